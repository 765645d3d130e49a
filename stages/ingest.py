"""Check the rows and the images, complete the split, and write the table that the other stages work on.

Reads   the sheet and the images that params.yaml names
Writes  data/manifest.csv, data/labels.csv (counts and IRLbl), data/unlisted.csv (images without a row),
        data/dropped.csv (rows whose image is missing or bad), data/ingest.json (metrics)
Params  data
"""

import logging
from collections.abc import Sequence

import pandas as pd

from stages.core import imbalance, manifest
from stages.core.command import arguments, run, worker_count
from stages.core.errors import raise_problems
from stages.core.files import (
    bad_problems,
    check_files,
    dropped_table,
    match_files,
    missing_problems,
    rows_with_image,
)
from stages.core.labels import annotations, only
from stages.core.outputs import write_json, write_table
from stages.core.params import load_params
from stages.core.rows import check_source, open_rows
from stages.core.sources import open_images
from stages.core.splitting import complete_splits
from stages.core.workbook import check_row_count

log = logging.getLogger("ingest")

# What becomes of missing label cells, by data.missing.
TREATMENT = {
    "mask": "they are left out of loss and metrics",
    "negative": "they are read as 0",
    "self_train": "those of train are filled by a classifier, the others left out of metrics",
}


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(__doc__, argv, "images", "sheet", "manifest", "labels", "unlisted", "dropped", "metrics")
    params = load_params(args.params)
    data, where = params.data, str(args.sheet)

    source = open_images(args.images)
    named = open_rows(args.sheet, known=data.labels, **data.columns.model_dump())
    check_source(named, args.sheet, args.images, source)
    check_row_count(len(named.sheet.rows), params.split.format)
    rows = annotations(
        named.sheet, where=where, image=named.image, split=named.split, labels=named.labels, known=named.known,
        separator=data.separator, task=data.task, negative=data.missing == "negative",
    )  # fmt: skip
    matches = match_files(rows.image_ids, source)
    checksums, bad = check_files(source, matches.paths, max_pixels=data.max_pixels, workers=worker_count())
    absent = missing_problems(matches, rows.image_ids, source) if data.missing_files == "error" else []
    unreadable = bad_problems(bad) if data.bad_images == "error" else []
    raise_problems(rows.problems + matches.problems + absent + unreadable, where)

    kept = rows_with_image(matches, bad, source)
    dropped = dropped_table(matches, bad, rows.image_ids)
    rows = only(rows, kept)
    splits = complete_splits(rows.splits, rows.targets, test=data.test, validation=data.validation, seed=data.seed)
    paths, sums = [matches.paths[i] for i in kept], [checksums[i] for i in kept]
    table = manifest.build(rows.image_ids, paths, splits, rows.labels, rows.targets, sums)

    manifest.write(table, args.manifest)
    write_table(pd.DataFrame({"path": matches.unlisted}, dtype="str"), args.unlisted)
    write_table(dropped, args.dropped)
    parts = {split: manifest.targets(manifest.of_split(table, split)) for split in manifest.SPLITS}
    write_table(imbalance.label_table(parts, rows.labels), args.labels)
    measures = {split: imbalance.summary(targets) for split, targets in parts.items()}
    counts = {"unlisted_files": len(matches.unlisted), "dropped_rows": len(dropped), "bad_images": len(bad)}
    write_json({**counts, **measures}, args.metrics)

    if matches.unlisted:
        log.warning("%d images without a row are left out, listed in %s", len(matches.unlisted), args.unlisted)
    if len(dropped):
        log.warning("%d rows without an image that can be read are dropped, listed in %s", len(dropped), args.dropped)
    if rows.missing.any():
        cells = ", ".join(
            f"{n} of '{name}'" for name, n in zip(rows.labels, rows.missing.sum(axis=0), strict=True) if n
        )
        log.warning("label cells are missing, %s: %s", cells, TREATMENT[data.missing])
    unlabelled = int(((rows.targets == 0) & ~rows.missing).all(axis=1).sum())
    if unlabelled:
        log.warning("%d rows have no label; they take part as images that show none", unlabelled)
    sizes = ", ".join(f"{len(targets)} {split}" for split, targets in parts.items())
    return f"{len(table)} images ({sizes}), {len(rows.labels)} labels, MeanIR {measures['train']['mean_ir']:.2f}"


if __name__ == "__main__":
    run(main)
