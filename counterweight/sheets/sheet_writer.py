"""Write .xlsx and .csv sheets without changing their cells."""

import csv
import datetime
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import xlsxwriter

from counterweight.base.errors import InputError
from counterweight.base.outputs import atomic_file, scratch_folder
from counterweight.sheets.table_header import Cell

# Maximum characters per cell in Excel.
EXCEL_CELL = 32_767

# Up to here, Excel's numbers are exact.
_EXACT = 2**53

DATE_FORMATS = {
    datetime.datetime: "yyyy-mm-dd hh:mm:ss",
    datetime.date: "yyyy-mm-dd",
    datetime.time: "hh:mm:ss",
    datetime.timedelta: "[h]:mm:ss",
}


def write_sheet(columns: Sequence[str], rows: Iterable[Sequence[Cell]], path: Path, format: str) -> None:
    """Write a sheet: the same bytes for the same cells, in memory that does not grow with the number of rows.

    Text stays text, whatever it begins with; ``""`` is an empty cell. ``format`` is ``xlsx`` or ``csv``.
    """
    with atomic_file(path) as aside:
        if format == "csv":
            with aside.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(map(_without_points, chain([columns], rows)))
        else:
            with scratch_folder(path) as scratch:
                _write_xlsx(chain([columns], rows), aside, scratch)


def _without_points(row: Sequence[Cell]) -> list[Cell]:
    """Write whole numbers as 12 instead of 12.0, so that readers take them for integers."""
    return [int(c) if isinstance(c, float) and c.is_integer() and abs(c) < _EXACT else c for c in row]


class _ExactFloat(float):
    """A number that is written with all its digits: XlsxWriter's format has 16, but a double may need 17.

    Whole ones have no decimal point, so that readers take them for integers, as those that Excel writes.
    """

    def __format__(self, _format: str) -> str:
        whole = self.is_integer() and abs(self) < _EXACT
        return str(int(self)) if whole else repr(float(self))


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
    dates = {kind: book.add_format({"num_format": text}) for kind, text in DATE_FORMATS.items()}
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
            elif isinstance(cell, int) and abs(cell) > _EXACT:  # Excel would change its last digits.
                sheet.write_string(i, j, str(cell))
            elif isinstance(cell, (int, float)):
                sheet.write_number(i, j, _ExactFloat(cell))
            else:
                sheet.write_datetime(i, j, cell, dates[type(cell)])
    book.close()
