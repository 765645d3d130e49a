"""Reject workbooks that are dangerous to read, or have cells that a reader would silently take for empty."""

import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from posixpath import normpath
from xml.parsers import expat

from xlsxwriter.utility import xl_rowcol_to_cell

from counterweight.base.errors import InputError, raise_problems

# Maximum size of an unpacked workbook; a full Excel sheet takes less.
MAX_UNPACKED_BYTES = 4 * 2**30

# Number of cells that a message names.
_MAX_NAMED = 5
_CHUNK_BYTES = 2**20
_OLD_OR_ENCRYPTED = bytes.fromhex("d0cf11e0a1b11ae1")
_DECLARED = re.compile(rb"<!(DOCTYPE|ENTITY)")
# Occurs in every sheet with an error or a formula. Most sheets have none and are not parsed.
_SUSPECT = re.compile(rb"""["']e["']|<f|:f""")


def check_workbook(path: Path) -> None:
    """Raise if an .xlsx is dangerous to read, or its first sheet has cells that would wrongly be read as empty.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    InputError
        If it is protected by a password, unpacks to more than 4 GiB, or declares entities, by which a small file can
        grow without bound; or if a cell of the first sheet has an error such as #N/A, or a formula that was never
        calculated.
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
            if not part.startswith("xl/media/") and _contains(book, part, _DECLARED):
                raise _declaration_error(book, part)
        first_sheet = _first_sheet(book)
        errors = _CellErrors()
        if _contains(book, first_sheet, _SUSPECT):
            errors.read(book, first_sheet)
    raise_problems(
        [
            f"{what} in {_listed(cells)}. {fix}"
            for what, cells, fix in (
                ("there is an error, such as #N/A,", errors.failed, "Correct the cells, or empty them."),
                ("a formula was never calculated", errors.uncalculated, "Open the sheet in Excel and save it."),
            )
            if cells
        ],
        str(path),
    )


class _CellErrors:
    """Names, such as B7, of the cells of a sheet that have an error, or a formula without a result."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.uncalculated: list[str] = []
        self._row = self._column = -1
        self._cell: Mapping[str, str] = {}
        self._has_formula = self._has_result = self._in_value = False

    def read(self, book: zipfile.ZipFile, part: str) -> None:
        """Parse a sheet."""
        parser = _parser(book, part)
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        for chunk in _chunks(book, part):
            parser.Parse(chunk, False)
        parser.Parse(b"", True)

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        kind = _local(name)
        if kind == "row":
            self._row, self._column = int(attributes.get("r", self._row + 2)) - 1, -1
        elif kind == "c":
            self._cell, self._has_formula, self._has_result = attributes, False, False
            self._column += 1
        elif kind == "f":
            self._has_formula = True
        self._in_value = kind == "v"

    def _text(self, text: str) -> None:
        self._has_result = self._has_result or (self._in_value and bool(text))

    def _end(self, name: str) -> None:
        self._in_value = False
        if _local(name) != "c":
            return
        kind = self._cell.get("t")
        cell = self._cell.get("r") or xl_rowcol_to_cell(self._row, self._column)
        if kind == "e":
            self.failed.append(cell)
        elif self._has_formula and not self._has_result and kind != "str":  # The result of a formula may be empty text.
            self.uncalculated.append(cell)


def _local(name: str) -> str:
    """Return a name without its namespace."""
    return name.rpartition(" ")[2]


def _declaration_error(book: zipfile.ZipFile, part: str) -> InputError:
    return InputError(
        f"{book.filename}: {part} declares a document type or entities, which Excel never does. Save the sheet again "
        "in Excel."
    )


def _parser(book: zipfile.ZipFile, part: str) -> expat.XMLParserType:
    """Return a namespace-aware parser that refuses declarations, also in encodings that `_DECLARED` does not match."""
    parser = expat.ParserCreate(namespace_separator=" ")

    def refuse(*_: object) -> None:
        raise _declaration_error(book, part)

    parser.StartDoctypeDeclHandler = refuse
    return parser


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
        before = chunk[-16:]
    return False


def _first_sheet(book: zipfile.ZipFile) -> str:
    """Return the name of the part with the first sheet."""
    sheets = [attributes for name, attributes in _elements(book, "xl/workbook.xml") if name == "sheet"]
    sheet_id = next(value for name, value in sheets[0].items() if _local(name) == "id")
    links = [attributes for name, attributes in _elements(book, "xl/_rels/workbook.xml.rels") if name == "Relationship"]
    target = next(link["Target"] for link in links if link["Id"] == sheet_id)
    return target.lstrip("/") if target.startswith("/") else normpath(f"xl/{target}")


def _elements(book: zipfile.ZipFile, part: str) -> list[tuple[str, Mapping[str, str]]]:
    """Return the names and attributes of all elements of a part."""
    elements: list[tuple[str, Mapping[str, str]]] = []
    parser = _parser(book, part)
    parser.StartElementHandler = lambda name, attributes: elements.append((_local(name), attributes))
    parser.Parse(book.read(part), True)
    return elements


def _listed(cells: list[str]) -> str:
    more = len(cells) - _MAX_NAMED
    return ", ".join(cells[:_MAX_NAMED]) + (f" and {more} more cells" if more > 0 else "")
