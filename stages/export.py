"""Export the balanced dataset for Hugging Face datasets, torchvision, FiftyOne and WebDataset.

Reads   augmented/manifest.csv, data/resized/, augmented/images/
Writes  with the format folders, augmented/dataset/: train/, val/ and test/, each with its images (in one folder per
        class if data.task is not multilabel) and a metadata.csv; and fiftyone.csv. With webdataset and parquet,
        augmented/shards/webdataset/ and augmented/shards/parquet/, the former with labels.json
Params  data.task, export
Obeys   COUNTERWEIGHT_WORKERS
"""

import logging
from collections.abc import Sequence

from counterweight.base import manifest
from counterweight.base.command import parse_options, run, worker_count
from counterweight.base.outputs import atomic_folder, write_json, write_table
from counterweight.base.params import load_params
from counterweight.export.folders import fiftyone_samples, layout, link_images, metadata, missing_class_warnings
from counterweight.export.parquet_shards import require_pyarrow, write_parquet_shard
from counterweight.export.shards import build_shards, class_names, write_shards
from counterweight.export.tar_shards import write_tar_shard

log = logging.getLogger("export")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "manifest", "resized", "copies", "out", "shards")
    params = load_params(args.params)
    by_class, formats, workers = params.data.task != "multilabel", params.export.formats, worker_count()
    if "parquet" in formats:
        require_pyarrow()

    table = manifest.read(args.manifest)
    table = table[table["split"] != manifest.UNUSED].reset_index(drop=True)
    rows = layout(table, by_class=by_class)
    with atomic_folder(args.out) as aside:
        if "folders" in formats:
            link_images(rows, aside, resized=args.resized, copies=args.copies, workers=workers)
            for split in sorted(set(rows["split"])):
                write_table(metadata(rows, split, by_class=by_class), aside / split / "metadata.csv")
            write_table(fiftyone_samples(rows), aside / "fiftyone.csv")
    with atomic_folder(args.shards) as aside:
        if formats != ["folders"]:
            shards = build_shards(rows, by_class=by_class, resized=args.resized, copies=args.copies)
        if "webdataset" in formats:
            write_shards(shards, aside / "webdataset", write_tar_shard, workers=workers)
            write_json({"labels": class_names(rows, by_class=by_class)}, aside / "webdataset/labels.json")
        if "parquet" in formats:
            write_shards(shards, aside / "parquet", write_parquet_shard, workers=workers)

    if len(rows) < len(table):
        log.warning("%d images are left out because their class is missing", len(table) - len(rows))
    for warning in missing_class_warnings(rows) if by_class and "folders" in formats else ():
        log.warning(warning)
    places = [args.out if name == "folders" else args.shards / name for name in formats]
    return f"{', '.join(map(str, places))}: {len(rows)} images, {(rows['source_id'] != '').sum()} of them copies"


if __name__ == "__main__":
    run(main)
