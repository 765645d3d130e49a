"""Export the balanced dataset for Hugging Face datasets, torchvision and FiftyOne.

Reads   augmented/manifest.csv, data/resized/, augmented/images/
Writes  augmented/dataset/: train/, val/ and test/, each with its images (in one folder per class if data.task is not
        multilabel) and a metadata.csv; and fiftyone.csv
Params  data.task
Obeys   COUNTERWEIGHT_WORKERS
"""

import logging
from collections.abc import Sequence

from counterweight.base import manifest
from counterweight.base.command import parse_options, run, worker_count
from counterweight.base.outputs import atomic_folder, write_table
from counterweight.base.params import load_params
from counterweight.dataset.export import fiftyone_samples, layout, link_images, metadata, missing_class_warnings

log = logging.getLogger("export")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "manifest", "resized", "copies", "out")
    params = load_params(args.params)
    by_class = params.data.task != "multilabel"

    table = manifest.read(args.manifest)
    table = table[table["split"] != manifest.UNUSED].reset_index(drop=True)
    rows = layout(table, by_class=by_class)
    with atomic_folder(args.out) as aside:
        link_images(rows, aside, resized=args.resized, copies=args.copies, workers=worker_count())
        for split in sorted(set(rows["split"])):
            write_table(metadata(rows, split, by_class=by_class), aside / split / "metadata.csv")
        write_table(fiftyone_samples(rows), aside / "fiftyone.csv")

    if len(rows) < len(table):
        log.warning("%d images are left out because their class is missing", len(table) - len(rows))
    for warning in missing_class_warnings(rows) if by_class else ():
        log.warning(warning)
    return f"{args.out}: {len(rows)} images, {(rows['source_id'] != '').sum()} of them copies"


if __name__ == "__main__":
    run(main)
