"""Reject workbooks that are dangerous to read, or have cells that a reader would silently take for empty."""

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from pathlib import Path
from posixpath import normpath
from xml.etree import ElementTree

from xlsxwriter.utility import xl_rowcol_to_cell

from counterweight.base.errors import InputError, name_some, raise_problems
from counterweight.sheets.sheet_writer import DATE_FORMATS

# Maximum size of an unpacked workbook; a full Excel sheet takes less.
MAX_UNPACKED_BYTES = 4 * 2**30

# A sheet may have this many cells, empty ones included, or this many times as many as are filled.
MAX_SPARSE_CELLS, _MAX_SPARSENESS = 30_000_000, 20
# Number of cells that a message names.
_MAX_NAMED = 5
_CHUNK_BYTES = 2**20
_OLD_OR_ENCRYPTED = bytes.fromhex("d0cf11e0a1b11ae1")
# Also in UTF-16, in which each of these characters has a zero byte.
_DECLARED = re.compile(rb"<\0?!\0?(D\0?O\0?C\0?T\0?Y\0?P\0?E|E\0?N\0?T\0?I\0?T\0?Y)")
_CELL = re.compile(rb"<(?:\w+:)?c[ >]")
# The number of a row that has cells.
_ROW = re.compile(rb"""<(?:\w+:)?row\b[^<>]*?\br=["'](\d{1,7})["'][^<>]*>\s*<(?:\w+:)?c[ >]""")
_WIDE_COLUMN = re.compile(rb"""\br=["']([A-Z]{2,3})\d""")
_HYPERLINK = re.compile(rb"<(?:\w+:)?hyperlink[ >]")
# The style of a cell, and the formats that show a value as it is: general, whole numbers and text.
_STYLE = re.compile(rb"""<(?:\w+:)?c\b[^<>]*?\bs=["'](\d+)["']""")
_PLAIN = {0, 1, 49}
# ECMA-376, part 1, 18.8.30.
_BUILT_IN = {9: "0%", 10: "0.00%"} | dict.fromkeys([*range(14, 23), *range(45, 48)], "formats of dates")
# Occurs in every sheet with an error or a formula. Most sheets have none and are not parsed.
_SUSPECT = re.compile(rb"""["']e["']|<f|:f""")


def check_workbook(path: Path, worksheet: str | None = None) -> None:
    """Raise if an .xlsx is dangerous to read, or a worksheet has cells that would wrongly be read as empty.

    ``worksheet`` is its name; None is the first.

    Raises
    ------
    InputError
        If it is protected by a password, unpacks to more than 4 GiB, or declares entities, by which a small file can
        grow without bound; or if there is no such worksheet, or a cell of it has an error such as #N/A, or a formula
        that was never calculated; or if cells are so far apart that reading them would take gigabytes.
    Exception
        If it is not a readable .zip. The zip and XML readers determine the type.
    """
    with path.open("rb") as file:
        if file.read(8) == _OLD_OR_ENCRYPTED:
            raise InputError(
                f"{path}: the workbook is protected by a password, or older than Excel 2007. Save it as .xlsx without "
                "a password."
            )
    with zipfile.ZipFile(path) as book:
        unpacked = sum(part.file_size for part in book.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            raise InputError(
                f"{path}: the workbook unpacks to {unpacked:,} bytes, more than the limit of {MAX_UNPACKED_BYTES:,}. "
                "Save the sheet alone, as a .csv."
            )
        for part in book.namelist():
            is_picture = part.startswith("xl/media/") and not part.endswith((".xml", ".rels"))
            if not is_picture and _contains(book, part, _DECLARED):
                raise InputError(
                    f"{path}: {part} declares a document type or entities, which Excel never does. Save the sheet "
                    "again in Excel."
                )
        sheet, errors = _worksheet(book, worksheet, path), _CellErrors()
        _check_extent(book, sheet, path)
        if _contains(book, sheet, _SUSPECT):
            parser = ElementTree.XMLParser(target=errors)
            for chunk in _chunks(book, sheet):
                parser.feed(chunk)
            parser.close()
    raise_problems(
        [
            f"{what} in {name_some(cells, _MAX_NAMED)}. {fix}"
            for what, cells, fix in (
                ("there is an error, such as #N/A,", errors.failed, "Correct the cells, or empty them."),
                ("a formula was never calculated", errors.uncalculated, "Open the sheet in Excel and save it."),
            )
            if cells
        ],
        str(path),
    )


def _check_extent(book: zipfile.ZipFile, part: str, path: Path) -> None:
    """Raise if a sheet has a few cells that are far apart: a reader needs memory for all that are between them."""
    n_cells, rows, columns, before = 0, {0}, {b"Z"}, b""
    for chunk in _chunks(book, part):
        n_cells += len(_CELL.findall(chunk))
        rows.add(max(map(int, _ROW.findall(before + chunk)), default=0))
        columns.update(_WIDE_COLUMN.findall(before + chunk))
        before = chunk[-256:]
    column = max(columns, key=lambda letters: (len(letters), letters))
    width = reduce(lambda number, letter: number * 26 + letter - 64, column, 0)
    if max(rows) * width > max(MAX_SPARSE_CELLS, _MAX_SPARSENESS * n_cells):
        raise InputError(
            f"{path}: the sheet has {n_cells:,} cells, but reaches to row {max(rows):,} and column {column.decode()}. "
            "Delete what is far from the table, or save the sheet as a .csv."
        )


def lost_formats(path: Path, worksheet: str | None = None) -> list[str]:
    """Name what a worksheet shows and its values do not say: ``hyperlinks``, and formats such as ``0%``.

    ``worksheet`` is its name; None is the first. The workbook has passed `check_workbook`.
    """
    with zipfile.ZipFile(path) as book:
        part = _worksheet(book, worksheet, path)
        lost = ["hyperlinks"] if _contains(book, part, _HYPERLINK) else []
        if "xl/styles.xml" not in book.namelist():
            return lost
        used, before = set[int](), b""
        for chunk in _chunks(book, part):
            used.update(map(int, _STYLE.findall(before + chunk)))
            before = chunk[-256:]
        styles = ElementTree.fromstring(book.read("xl/styles.xml"))
    codes = {
        int(each.attrib["numFmtId"]): each.attrib["formatCode"]
        for each in styles.iter()
        if _local(each.tag) == "numFmt"
    }
    cells: Iterable[ElementTree.Element] = next((each for each in styles if _local(each.tag) == "cellXfs"), [])
    numbers = {int(each.attrib.get("numFmtId", 0)) for number, each in enumerate(cells) if number in used}
    numbers = {number for number in numbers - _PLAIN if codes.get(number) not in DATE_FORMATS.values()}
    named = {codes.get(number) or _BUILT_IN.get(number, "formats of numbers") for number in numbers}
    return [*lost, *sorted(named)]


class _CellErrors:
    """Parser target that keeps the names, such as B7, of cells with an error, or with a formula without a result."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.uncalculated: list[str] = []
        self._row = self._column = -1
        self._cell: Mapping[str, str] = {}
        self._has_formula = self._has_result = self._in_value = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Take the start of an element."""
        kind = _local(tag)
        if kind == "row":
            self._row, self._column = int(attributes.get("r", self._row + 2)) - 1, -1
        elif kind == "c":
            self._cell, self._has_formula, self._has_result = attributes, False, False
            self._column += 1
        self._has_formula |= kind == "f"
        self._in_value = kind == "v"

    def data(self, _text: str) -> None:
        """Take text, which is never empty."""
        self._has_result |= self._in_value

    def end(self, tag: str) -> None:
        """Take the end of an element."""
        self._in_value = False
        if _local(tag) != "c":
            return
        kind = self._cell.get("t")
        cell = self._cell.get("r") or xl_rowcol_to_cell(self._row, self._column)
        if kind == "e":
            self.failed.append(cell)
        elif self._has_formula and not self._has_result and kind != "str":  # The result of a formula may be empty text.
            self.uncalculated.append(cell)


def _local(name: str) -> str:
    """Return a name without its namespace."""
    return name.rpartition("}")[2]


def _chunks(book: zipfile.ZipFile, part: str) -> Iterator[bytes]:
    with book.open(part) as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _contains(book: zipfile.ZipFile, part: str, pattern: re.Pattern[bytes]) -> bool:
    """Return whether a part matches a pattern, also across chunks."""
    before = b""
    for chunk in _chunks(book, part):
        if pattern.search(before + chunk):
            return True
        before = chunk[-32:]
    return False


def _worksheet(book: zipfile.ZipFile, name: str | None, path: Path) -> str:
    """Return the name of the part with a worksheet, or with the first."""
    sheets = {element["name"]: element for element in _elements(book, "xl/workbook.xml", "sheet")}
    if name is not None and name not in sheets:
        raise InputError(
            f"{path}: there is no worksheet '{name}'. Set data.worksheet to one of {name_some(list(sheets), 10)}."
        )
    sheet = sheets[name or next(iter(sheets))]
    sheet_id = next(value for name, value in sheet.items() if _local(name) == "id")
    links = _elements(book, "xl/_rels/workbook.xml.rels", "Relationship")
    target = next(link["Target"] for link in links if link["Id"] == sheet_id)
    return target.lstrip("/") if target.startswith("/") else normpath(f"xl/{target}")


def _elements(book: zipfile.ZipFile, part: str, kind: str) -> list[Mapping[str, str]]:
    """Return the attributes of all elements of a kind in a part."""
    tree = ElementTree.fromstring(book.read(part))
    return [element.attrib for element in tree.iter() if _local(element.tag) == kind]
