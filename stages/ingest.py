"""Check the sheet and the images, complete the split, and write the table that the other stages work on.

Reads   the sheet and the folder of images that params.yaml names
Writes  data/manifest.csv, data/labels.csv (counts and IRLbl), data/unlisted.csv (files without a row),
        data/ingest.json (metrics)
Params  data
"""

import logging
from collections.abc import Sequence

import pandas as pd

from stages.core import imbalance, manifest
from stages.core.command import arguments, run, worker_count
from stages.core.errors import raise_problems
from stages.core.files import check_files, match_files
from stages.core.labels import annotations
from stages.core.outputs import write_json, write_table
from stages.core.params import load_params
from stages.core.splitting import complete_splits
from stages.core.workbook import check_row_count, read_sheet

log = logging.getLogger("ingest")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(__doc__, argv, "images", "sheet", "manifest", "labels", "unlisted", "metrics")
    params = load_params(args.params)
    data, where = params.data, str(args.sheet)

    sheet = read_sheet(args.sheet)
    check_row_count(len(sheet.rows), params.split.format)
    rows = annotations(sheet, where=where, separator=data.separator, known=data.labels, **data.columns.model_dump())
    paths, unlisted, missing = match_files(rows.image_ids, args.images)
    checksums, unreadable = check_files(args.images, paths, workers=worker_count())
    raise_problems(rows.problems + missing + unreadable, where)

    splits = complete_splits(rows.splits, rows.targets, test=data.test, validation=data.validation, seed=data.seed)
    table = manifest.build(rows.image_ids, paths, splits, rows.labels, rows.targets, checksums)

    manifest.write(table, args.manifest)
    write_table(pd.DataFrame({"path": unlisted}, dtype="str"), args.unlisted)
    parts = {split: manifest.targets(manifest.of_split(table, split)) for split in manifest.SPLITS}
    write_table(imbalance.label_table(parts, rows.labels), args.labels)
    measures = {split: imbalance.summary(targets) for split, targets in parts.items()}
    write_json({"unlisted_files": len(unlisted), **measures}, args.metrics)

    if unlisted:
        log.warning("%d files without a row are left out, listed in %s", len(unlisted), args.unlisted)
    unlabelled = int((rows.targets.sum(axis=1) == 0).sum())
    if unlabelled:
        log.warning("%d rows have no label; they take part as images that show none", unlabelled)
    sizes = ", ".join(f"{len(targets)} {split}" for split, targets in parts.items())
    return f"{len(table)} images ({sizes}), {len(rows.labels)} labels, MeanIR {measures['train']['mean_ir']:.2f}"


if __name__ == "__main__":
    run(main)
