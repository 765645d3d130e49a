"""Write the balanced sheet: the user's own rows unchanged, then the copies with inherited labels.

Reads   the sheet that params.yaml names, augmented/manifest.csv
Writes  augmented/balanced.xlsx (or .csv)
Params  sheet, data
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from counterweight.base import manifest
from counterweight.base.command import parse_options, run
from counterweight.base.errors import name_some
from counterweight.base.limits import check_row_count
from counterweight.base.params import load_params
from counterweight.dataset.balanced_sheet import balanced_sheet
from counterweight.dataset.label_sheet import SheetConfig, open_label_sheet
from counterweight.runtime.dvc_cache import check_not_edited, dvc_cache_folder, note_written
from counterweight.sheets.sheet_writer import write_sheet
from counterweight.sheets.xlsx_validation import lost_formats

log = logging.getLogger("sheet")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "manifest", "out", of_params=["sheet"])
    check_not_edited(args.out)
    params = load_params(args.params)
    sheet = args.sheet or Path(params.data.sheet)

    table = manifest.read(args.manifest, without=("path", "checksum"))
    check_row_count(len(table), params.sheet.format)
    links = [dvc_cache_folder(Path()), *map(Path, params.data.follow_links)]
    own = open_label_sheet(sheet, SheetConfig.from_params(params.data.model_dump()), links)
    columns, rows = balanced_sheet(own.sheet, table, image=own.image, split=own.split)
    write_sheet(columns, rows, args.out, params.sheet.format)
    lost = lost_formats(sheet, params.data.worksheet) if sheet.suffix.lower() == ".xlsx" else []
    if lost:
        log.warning("%s has the values of cells alone, not what %s shows: %s", args.out, sheet, name_some(lost))
    note_written(args.out)

    return f"{args.out}: {len(table)} rows, {(table['source_id'] != '').sum()} of them copies"


if __name__ == "__main__":
    run(main)
