"""Read and write .xlsx and .csv sheets without changing their cells."""

import csv
import datetime
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count, starmap
from pathlib import Path

import xlsxwriter
from python_calamine import CalamineWorkbook
from xlsxwriter.utility import xl_rowcol_to_cell

from counterweight.base.errors import InputError, raise_problems
from counterweight.base.outputs import atomic_file, scratch_folder
from counterweight.sheets.xlsx_validation import check_workbook

Cell = str | int | float | bool | datetime.datetime | datetime.date | datetime.time | datetime.timedelta

# Maximum characters per cell in Excel.
EXCEL_CELL = 32_767

_DATE_FORMATS = {
    datetime.datetime: "yyyy-mm-dd hh:mm:ss",
    datetime.date: "yyyy-mm-dd",
    datetime.time: "hh:mm:ss",
    datetime.timedelta: "[h]:mm:ss",
}


@dataclass(frozen=True)
class Sheet:
    """Column names (the first row) and the rows below, each as long as ``columns``; an empty cell is ``""``."""

    columns: list[str]
    rows: list[list[Cell]]


def read_sheet(path: Path) -> Sheet:
    """Read the first sheet of an .xlsx, or a .csv. Formulas are read as Excel's last result; a .csv holds text alone.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, has no rows, or names a column twice.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file. Set data.sheet in params.yaml to your sheet.")
    if path.suffix.lower() == ".csv":
        grid = _csv_grid(path)
    elif path.suffix.lower() == ".xlsx":
        grid = _xlsx_grid(path)
    else:
        raise InputError(f"{path}: a sheet is an .xlsx or a .csv, not '{path.suffix}'. Save it as one of these.")
    while grid and all(cell == "" for cell in grid[-1]):
        grid.pop()
    if len(grid) < 2:
        raise InputError(
            f"{path}: the sheet needs a row of column names and one row per image, found {len(grid)} rows. Add them."
        )
    columns = [str(cell).strip() for cell in grid[0]]
    nameless = [j for j in range(max(map(len, grid))) if j >= len(columns) or not columns[j]]
    filled = [j for j in nameless if any(j < len(row) and row[j] != "" for row in grid[1:])]
    if filled:
        raise InputError(f"{path} row 1: column {filled[0] + 1} has cells but no name. Name it, or delete its cells.")
    while columns and not columns[-1]:
        columns.pop()
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise InputError(f"{path} row 1: the column name '{repeated[0]}' occurs twice. Rename one of them.")
    width = len(columns)
    return Sheet(columns, [[*row[:width], *[""] * (width - len(row))] for row in grid[1:]])


def write_sheet(columns: Sequence[str], rows: Iterable[Sequence[Cell]], path: Path, format: str) -> None:
    """Write a sheet: the same bytes for the same cells, in memory that does not grow with the number of rows.

    Text stays text, whatever it begins with; ``""`` is an empty cell. ``format`` is ``xlsx`` or ``csv``.
    """
    with atomic_file(path) as aside:
        if format == "csv":
            with aside.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([columns, *rows])
        else:
            with scratch_folder(path) as scratch:
                _write_xlsx([columns, *rows], aside, scratch)


def free_name(name: str, columns: Sequence[str]) -> str:
    """Return the name, numbered if the user's sheet already has a column of that name.

    Examples
    --------
    >>> free_name("split", ["id"]), free_name("split", ["id", "split"])
    ('split', 'split_2')
    """
    names = chain([name], (f"{name}_{number}" for number in count(2)))
    return next(free for free in names if free not in columns)


def _csv_grid(path: Path) -> list[list[Cell]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [list(row) for row in csv.reader(file, strict=True)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV in UTF-8: {error}. Save it as 'CSV UTF-8'.") from None


def _xlsx_grid(path: Path) -> list[list[Cell]]:
    try:
        check_workbook(path)
        with CalamineWorkbook.from_path(path) as book:
            sheet = book.get_sheet_by_index(0)
            # All merged cells but the first would be read as empty.
            areas = [":".join(starmap(xl_rowcol_to_cell, area)) for area in sheet.merged_cell_ranges or ()]
            problems = [f"the cells {area} are merged. Unmerge them, and give each its own content." for area in areas]
            raise_problems(problems, str(path))
            return sheet.to_python(skip_empty_area=False)
    except InputError:
        raise
    except Exception as error:  # Damaged files raise almost anything.
        raise InputError(
            f"{path}: not a workbook: {str(error) or type(error).__name__}. Save it as .xlsx in Excel."
        ) from None


class _ExactFloat(float):
    """A number that is written with all its digits: XlsxWriter's format has 16, but a double may need 17."""

    def __format__(self, _format: str) -> str:
        return repr(float(self))


def _escaped(content: object) -> str:
    """Escape control characters as _xHHHH_, and text that looks like such an escape."""
    text = str(content)
    marked = re.sub(r"_(?=x[0-9a-fA-F]{4}_)", "_x005F_", text)
    marked = re.sub(r"[\x00-\x08\x0b-\x1f]", lambda match: f"_x{ord(match[0]):04X}_", marked)
    return "_x003C_" + marked[1:] if marked.startswith("<r>") else marked


def _write_xlsx(rows: Iterable[Sequence[Cell]], path: Path, scratch: Path) -> None:
    book = xlsxwriter.Workbook(str(path), {"constant_memory": True, "tmpdir": str(scratch)})
    # Without a fixed date, the same cells give other bytes a second later.
    book.set_properties({"created": datetime.datetime(2000, 1, 1)})
    dates = {kind: book.add_format({"num_format": text}) for kind, text in _DATE_FORMATS.items()}
    sheet = book.add_worksheet()
    # XlsxWriter's own escaping misses overlapping escapes, and reads text between <r> and </r> as markup.
    sheet._escape_control_characters = _escaped
    sheet.freeze_panes(1, 0)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            if isinstance(cell, str):
                length = len(cell.encode("utf-16-le")) // 2  # as Excel counts
                if length > EXCEL_CELL:
                    raise InputError(
                        f"row {i + 1}, column {j + 1}: {length:,} characters; Excel takes {EXCEL_CELL:,} in a cell. "
                        "Shorten it, or set sheet.format to csv."
                    )
                if cell:  # Not by `write`, which would turn '=A1' into a formula.
                    sheet.write_string(i, j, cell)
            elif isinstance(cell, bool):
                sheet.write_boolean(i, j, cell)
            elif isinstance(cell, (int, float)):
                sheet.write_number(i, j, _ExactFloat(cell))
            else:
                sheet.write_datetime(i, j, cell, dates[type(cell)])
    book.close()
