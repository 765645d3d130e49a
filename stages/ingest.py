"""Check the rows and the images, complete the split, and write the table that the other stages work on.

Reads   the sheet and the images that params.yaml names
Writes  data/manifest.csv, data/labels.csv (counts and IRLbl), data/unlisted.csv (images without a row),
        data/dropped.csv (rows whose image is missing, bad or a duplicate), data/duplicates.csv (images that stand
        there more than once), data/ingest.json (metrics)
Params  data
Obeys   COUNTERWEIGHT_WORKERS
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from counterweight.base import manifest
from counterweight.base.command import arguments, run, worker_count
from counterweight.base.describing import described
from counterweight.base.errors import raise_problems
from counterweight.base.limits import check_row_count
from counterweight.base.outputs import write_json, write_table
from counterweight.base.params import load_params
from counterweight.dataset.annotations import annotations, only
from counterweight.dataset.data_warnings import about_duplicates, about_files, about_labels
from counterweight.dataset.duplicates import duplicates_table, groups_of, pictures_of, summary, superfluous, without
from counterweight.dataset.label_sheet import check_source, open_rows
from counterweight.dataset.matching import bad_problems, dropped_table, match_files, missing_problems, rows_with_image
from counterweight.dataset.stratified_split import complete_splits
from counterweight.images.sources import open_images
from counterweight.images.validation import check_files
from counterweight.metrics import imbalance
from counterweight.metrics.imbalance import about_parts
from counterweight.runtime.side_process import SideProcess

log = logging.getLogger("ingest")

FORECAST_SECONDS = 60.0  # After which it is given up.


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(
        described(__doc__), argv,
        "images", "sheet", "manifest", "labels", "unlisted", "dropped", "duplicates", "metrics",
    )  # fmt: skip
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
    checked, bad = check_files(source, matches.paths, max_pixels=data.max_pixels, workers=worker_count())
    absent = missing_problems(matches, rows.image_ids, source) if data.missing_files == "error" else []
    unreadable = bad_problems(bad) if data.bad_images == "error" else []
    raise_problems(rows.problems + matches.problems + absent + unreadable, where)

    # In the order of the ids, so that what is drawn does not depend on the order of the sheet.
    with_image = sorted(rows_with_image(matches, bad, source), key=rows.image_ids.__getitem__)
    forecast = SideProcess("counterweight.onboarding.forecast", str(len(with_image)))
    ids, rows, checked = rows.image_ids, only(rows, with_image), [checked[i] for i in with_image]
    sums = [each.checksum for each in checked]
    pictures = pictures_of(sums, [each.hash for each in checked])
    groups = groups_of(pictures, data.hash_distance)
    splits = complete_splits(
        rows.splits, rows.targets, test=data.test, validation=data.validation, seed=data.seed, groups=groups
    )
    instead = superfluous(pictures, splits, data.hash_distance) if data.duplicates == "drop" else {}
    twice = duplicates_table(
        pictures, groups, checksums=sums, rows=[i + 2 for i in with_image], image_ids=rows.image_ids, splits=splits,
        targets=rows.targets, distance=data.hash_distance, dropped=instead,
    )  # fmt: skip
    same = {with_image[i]: f"is the same picture as '{rows.image_ids[j]}'" for i, j in instead.items()}
    dropped = dropped_table(matches, bad | same, ids)
    paths = [matches.paths[i] for i in with_image]
    table = manifest.build(rows.image_ids, paths, splits, rows.labels, rows.targets, sums)
    table = without(table, [rows.image_ids[i] for i in instead])

    manifest.write(table, args.manifest)
    write_table(pd.DataFrame({"path": matches.unlisted}, dtype="str"), args.unlisted)
    write_table(dropped, args.dropped)
    write_table(twice, args.duplicates)
    parts = {split: manifest.targets(manifest.of_split(table, split)) for split in manifest.SPLITS}
    write_table(imbalance.label_table(parts, rows.labels), args.labels)
    measures = {split: imbalance.summary(targets) for split, targets in parts.items()}
    counts = {"unlisted_files": len(matches.unlisted), "dropped_rows": len(dropped), "bad_images": len(bad)}
    write_json({**counts, "duplicates": summary(twice), **measures}, args.metrics)

    for remark in (
        *about_files(len(matches.unlisted), len(dropped), {"unlisted": args.unlisted, "dropped": args.dropped}),
        *about_labels(rows, data.missing),
        *about_parts(rows.labels, parts),
        *about_duplicates(twice, args.duplicates),
    ):
        log.warning(remark)
    asked = {"source": asdict(source), "manifest": args.manifest, "params": args.params}
    for line in forecast.ask(asked, FORECAST_SECONDS):
        log.info(line)
    sizes = ", ".join(f"{len(targets)} {split}" for split, targets in parts.items())
    return f"{len(table)} images ({sizes}), {len(rows.labels)} labels, MeanIR {measures['train']['mean_ir']:.2f}"


if __name__ == "__main__":
    run(main)
