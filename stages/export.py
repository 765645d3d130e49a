"""Lay the balanced dataset out for what comes next: Hugging Face datasets, torchvision and FiftyOne.

Reads   augmented/manifest.csv, data/resized/, augmented/images/
Writes  augmented/dataset/: train/, val/ and test/ with the images and a metadata.csv each, in a folder a class where an
        image has exactly one; and fiftyone.csv
Params  data.task
Obeys   COUNTERWEIGHT_WORKERS
"""

import logging
from collections.abc import Sequence

from counterweight.base import manifest
from counterweight.base.command import arguments, run, worker_count
from counterweight.base.describing import described
from counterweight.base.outputs import folder_aside, write_table
from counterweight.base.params import load_params
from counterweight.dataset.export import absent, laid_out, metadata, place, samples

log = logging.getLogger("export")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(described(__doc__), argv, "manifest", "resized", "copies", "out")
    params = load_params(args.params)
    by_class = params.data.task != "multilabel"

    table = manifest.read(args.manifest)
    rows = laid_out(table, by_class=by_class)
    with folder_aside(args.out) as aside:
        place(rows, aside, resized=args.resized, copies=args.copies, workers=worker_count())
        for split in sorted(set(rows["split"])):
            write_table(metadata(rows, split, by_class=by_class), aside / split / "metadata.csv")
        write_table(samples(rows), aside / "fiftyone.csv")

    if len(rows) < len(table):
        log.warning("%d images are left out, since their class is missing", len(table) - len(rows))
    for remark in absent(rows) if by_class else ():
        log.warning(remark)
    return f"{args.out}: {len(rows)} images, {(rows['source_id'] != '').sum()} of them copies"


if __name__ == "__main__":
    run(main)
