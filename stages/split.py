"""Write the balanced sheet: the user's own rows as they were, then the copies with inherited labels.

Reads   the rows that params.yaml names, augmented/manifest.csv
Writes  augmented/balanced.xlsx (or .csv)
Params  split, data.columns
"""

from collections.abc import Sequence

from stages.base import manifest
from stages.base.command import arguments, run
from stages.base.describing import described
from stages.base.params import load_params
from stages.core.provenance import balanced_sheet
from stages.core.rows import open_rows
from stages.core.workbook import check_row_count, write_sheet


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(described(__doc__), argv, "sheet", "manifest", "out")
    params = load_params(args.params)

    table = manifest.read(args.manifest)
    check_row_count(len(table), params.split.format)
    own = open_rows(args.sheet, **params.data.columns.model_dump())
    columns, rows = balanced_sheet(own.sheet, table, image=own.image, split=own.split)
    write_sheet(columns, rows, args.out, params.split.format)

    return f"{args.out}: {len(table)} rows, {(table['source_id'] != '').sum()} of them copies"


if __name__ == "__main__":
    run(main)
