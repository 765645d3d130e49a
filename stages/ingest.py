"""Check the rows and the images, complete the split, and write the table that the other stages work on.

Reads   the sheet and the images that params.yaml names
Writes  data/manifest.csv, data/labels.csv (counts and IRLbl), data/unlisted.csv (files without a row),
        data/dropped.csv (rows left out, and why), data/duplicates.csv, data/splits.csv, data/ingest.json (metrics)
Params  data
Obeys   COUNTERWEIGHT_WORKERS
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from counterweight.base import manifest
from counterweight.base.command import parse_options, run, worker_count
from counterweight.base.errors import raise_problems
from counterweight.base.limits import check_row_count
from counterweight.base.outputs import write_json, write_table
from counterweight.base.params import load_params
from counterweight.dataset import duplicates, matching
from counterweight.dataset.annotations import label_warnings, read_annotations
from counterweight.dataset.label_sheet import SheetConfig, check_source, open_label_sheet
from counterweight.dataset.split_completion import SplitConfig, kept_table, read_kept
from counterweight.images.sources import open_images
from counterweight.images.validation import validate_images
from counterweight.metrics import imbalance
from counterweight.runtime.dvc_cache import check_not_edited, dvc_cache_folder, note_written
from counterweight.runtime.side_process import SideProcess

log = logging.getLogger("ingest")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    files = ("manifest", "labels", "unlisted", "dropped", "duplicates", "splits", "metrics")
    args = parse_options(__doc__, argv, *files, of_params=["images", "sheet"])
    check_not_edited(args.manifest)
    params = load_params(args.params)
    image_path, sheet_path = args.images or Path(params.data.images), args.sheet or Path(params.data.sheet)
    data, section = params.data, params.data.model_dump()
    links = [dvc_cache_folder(Path()), *map(Path, data.follow_links)]
    source = open_images(image_path, links)
    sheet = open_label_sheet(sheet_path, SheetConfig.from_params(section), links)
    check_source(sheet, sheet_path, image_path, source)
    check_row_count(len(sheet.sheet.rows), params.sheet.format)
    rows = read_annotations(
        sheet, where=str(sheet_path), separator=data.separator, task=data.task, negative=data.missing == "negative",
        values=section["values"], merge=data.merge_labels, group_pattern=data.group_pattern,
    )  # fmt: skip
    matches = matching.match_files(rows.image_ids, source, near=data.match_names == "near", place=sheet.sheet.place)
    checks, bad = validate_images(source, matches.paths, max_pixels=data.max_pixels, workers=worker_count())
    absent = [] if data.missing_files == "drop" else matching.missing_problems(matches, rows.image_ids, source)
    unreadable = [] if data.bad_images == "drop" else matching.unreadable_problems(bad, matches.place)
    raise_problems(rows.problems + matches.problems + absent + unreadable, str(sheet_path))

    images = matching.usable_images(rows, matches, checks, source)
    forecast = SideProcess("counterweight.onboarding.forecast", "--manifest", args.manifest, "--params", args.params)
    config, checksums = SplitConfig.from_params(section), [check.checksum for check in images.checks]
    table, repeated, redundant = matching.build_dataset(
        images, config, max_hash_distance=data.max_hash_distance, drop_duplicates=data.duplicates == "drop",
        kept=read_kept(args.splits, images.annotations.image_ids, checksums, config), number=sheet.sheet.number,
    )  # fmt: skip
    dropped = matching.dropped_table(matches, bad | redundant, rows.image_ids, sheet.sheet.number)
    manifest.write(table, args.manifest)
    note_written(args.manifest)
    write_table(pd.DataFrame(list(matches.unlisted.items()), columns=["path", "reason"], dtype="str"), args.unlisted)
    write_table(kept_table(table, images.annotations.splits, config), args.splits)
    write_table(dropped, args.dropped)
    write_table(repeated, args.duplicates)
    parts = {split: manifest.targets(manifest.rows_of_split(table, split)) for split in manifest.SPLITS}
    write_table(imbalance.label_table(parts, rows.labels), args.labels)
    measures = {split: imbalance.summary(targets) for split, targets in parts.items()}
    counts = matching.file_counts(matches.unlisted, dropped, bad)
    write_json({**counts, "duplicates": duplicates.summary(repeated), **measures}, args.metrics)
    for warning in (
        *matching.file_warnings(matches.unlisted, len(dropped), (args.unlisted, args.dropped), source.linked_folders),
        *label_warnings(images.annotations, data.missing),
        *imbalance.absent_label_warnings(rows.labels, parts),
        *duplicates.duplicate_warnings(repeated, args.duplicates),
    ):
        log.warning(warning)
    sizes = ", ".join(f"{len(targets)} {split}" for split, targets in parts.items())
    summary = f"{len(table)} images ({sizes}), {len(rows.labels)} labels, MeanIR {measures['train']['mean_ir']:.2f}"
    return "\n".join([*sheet.sheet.notes, *forecast.finish(timeout=60), summary])


if __name__ == "__main__":
    run(main)
