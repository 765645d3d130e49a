"""Read sheets of any kind without changing their cells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, count, starmap
from pathlib import Path

from python_calamine import CalamineWorkbook
from xlsxwriter.utility import xl_rowcol_to_cell

from counterweight.base.errors import InputError, name_some, raise_problems
from counterweight.sheets.delimited_text import DELIMITED, read_delimited
from counterweight.sheets.records import RECORDS, read_records
from counterweight.sheets.table_header import Cell, TableHeader, find_header
from counterweight.sheets.xlsx_validation import check_workbook

# Names row i, from 0, for messages.
Place = Callable[[int], str]


def excel_row(i: int) -> int:
    """Return the number that Excel shows for row ``i``, from 0, below a row of column names."""
    return i + 2


def row_name(i: int) -> str:
    """Return "row" and `excel_row`, for messages."""
    return f"row {excel_row(i)}"


@dataclass(frozen=True)
class Sheet:
    """Column names and the rows below, each as long as ``columns``; an empty cell is ``""``.

    Attributes
    ----------
    columns : list of str
    rows : list of list of Cell
    numbers : sequence of int or None
        The number of each row in its file, if that is not `excel_row`.
    files : sequence of str or None
        The file of each row, if there are several.
    notes : tuple of str
        What the user should know of how the file was read.
    """

    columns: list[str]
    rows: list[list[Cell]]
    numbers: Sequence[int] | None = None
    files: Sequence[str] | None = None
    notes: tuple[str, ...] = ()

    def number(self, i: int) -> int:
        """Return the number of row ``i`` in its file."""
        return excel_row(i) if self.numbers is None else self.numbers[i]

    def place(self, i: int) -> str:
        """Name row ``i`` for messages."""
        return f"row {self.number(i)}" if self.files is None else f"{self.files[i]} row {self.number(i)}"


def read_sheet(path: Path, worksheet: str | None = None) -> Sheet:
    """Read a table: a workbook, text with delimiters, JSON Lines or Parquet.

    The row of column names is found below blank rows and a title, and a table without one gets names. Formulas are read
    as Excel's last result; text with delimiters holds text alone.

    Parameters
    ----------
    path : Path
        An .xlsx, .csv, .tsv, .txt, .jsonl or .parquet.
    worksheet : str, optional
        The worksheet of a workbook; the first, if none is named.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, has no rows, or names a column twice.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise InputError(f"{path}: there is no such file. Set data.sheet in params.yaml to your sheet.")
    if worksheet is not None and suffix != ".xlsx":
        raise InputError(f"{path}: data.worksheet is '{worksheet}', but only an .xlsx has worksheets. Set it to null.")
    if suffix in RECORDS:
        return _from_grid(*read_records(path), path, has_names=True)
    if suffix in DELIMITED:
        grid, notes = read_delimited(path)
    elif suffix == ".xlsx":
        grid, notes = _xlsx_grid(path, worksheet), []
    else:
        readable = ", ".join([".xlsx", *DELIMITED, *RECORDS])
        raise InputError(f"{path}: a sheet is one of {readable}, not '{path.suffix}'. Save it as one of these.")
    return _from_grid(grid, notes, path, has_names=False)


def worksheet_names(path: Path) -> list[str]:
    """Return the names of a workbook's worksheets; of any other file, none."""
    if path.suffix.lower() != ".xlsx" or not path.is_file():
        return []
    try:
        with CalamineWorkbook.from_path(path) as book:
            return list(book.sheet_names)
    except Exception:  # Damaged files raise almost anything, which `read_sheet` reports.
        return []


def _from_grid(grid: list[list[Cell]], notes: list[str], path: Path, *, has_names: bool) -> Sheet:
    """Make a sheet of the cells of a file, whose first row has the column names if ``has_names``."""
    while grid and all(cell == "" for cell in grid[-1]):
        grid.pop()
    header = TableHeader(0, True) if has_names else find_header(grid)
    body = grid[header.row + header.is_named :]
    if not body:
        raise InputError(
            f"{path}: the sheet needs a row of column names and one row per image, found {len(grid)} rows. Add them"
            f"{_other_worksheets(path)}."
        )
    where, width = f"{path} row {header.row + 1}", max(map(len, grid[header.row :]))
    if header.is_named:
        columns = [str(cell).strip() for cell in grid[header.row]]
    else:
        columns = [f"column_{j + 1}" for j in range(width)]
        notes.append(f"{path} has no row of column names, so they are {name_some(columns)}")
    if header.row:
        notes.append(f"{path}: what stands above row {header.row + 1}, the first of the table, is left out")
    nameless = [j for j in range(width) if j >= len(columns) or not columns[j]]
    filled = [j for j in nameless if any(j < len(row) and row[j] != "" for row in body)]
    if filled:
        raise InputError(f"{where}: column {filled[0] + 1} has cells but no name. Name it, or delete its cells.")
    while columns and not columns[-1]:
        columns.pop()
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise InputError(f"{where}: the column name '{repeated[0]}' occurs twice. Rename one of them.")
    # The column names of records are in no row.
    width, first = len(columns), 1 if has_names else header.row + 1 + header.is_named
    rows = [row if len(row) == width else [*row[:width], *[""] * (width - len(row))] for row in body]
    return Sheet(columns, rows, None if first == excel_row(0) else range(first, first + len(rows)), notes=tuple(notes))


def _other_worksheets(path: Path) -> str:
    """Return the end of a message that says which other worksheets a workbook has."""
    names = worksheet_names(path)
    return f", or set data.worksheet to one of {name_some(names)}" if len(names) > 1 else ""


def free_name(name: str, columns: Sequence[str]) -> str:
    """Return the name, numbered if the user's sheet already has a column of that name.

    Examples
    --------
    >>> free_name("split", ["id"]), free_name("split", ["id", "split"])
    ('split', 'split_2')
    """
    names = chain([name], (f"{name}_{number}" for number in count(2)))
    return next(free for free in names if free not in columns)


def _xlsx_grid(path: Path, worksheet: str | None) -> list[list[Cell]]:
    try:
        check_workbook(path, worksheet)
        with CalamineWorkbook.from_path(path) as book:
            sheet = book.get_sheet_by_index(0) if worksheet is None else book.get_sheet_by_name(worksheet)
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
