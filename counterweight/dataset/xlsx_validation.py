"""What a workbook holds that a reader of its cells passes over in silence, or had better not read at all."""

import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from posixpath import normpath
from xml.parsers import expat

from xlsxwriter.utility import xl_rowcol_to_cell

from counterweight.base.errors import InputError, raise_problems

# What all parts of a workbook may take when they are unpacked, in bytes: a full sheet of Excel's takes less.
MOST_UNPACKED = 4 * 2**30

# Cells that a problem names.
_NAMED = 5

_CHUNK = 2**20
_OLD_OR_ENCRYPTED = bytes.fromhex("d0cf11e0a1b11ae1")
_DECLARED = re.compile(rb"<!(DOCTYPE|ENTITY)")
# What a sheet with an error or a formula holds somewhere; most sheets do not, and need no second look.
_SUSPECT = re.compile(rb"""["']e["']|<f|:f""")


def check_workbook(path: Path) -> None:
    """Raise if an .xlsx is a danger, or its first sheet holds what would be read as an empty cell and is none.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    InputError
        If it is protected by a password, unpacks to more than 4 GiB, or declares entities, by which a small file may
        grow without end; or, in its first sheet, if a cell holds an error such as #N/A, or a formula that was never
        calculated. All such cells are one problem each.
    Exception
        If it is no .zip, or none that can be read; of which kind is up to the zip and XML readers.
    """
    with path.open("rb") as file:
        if file.read(8) == _OLD_OR_ENCRYPTED:
            raise InputError(
                f"{path}: the workbook is protected by a password, or is of the kind before 2007. Save it as .xlsx "
                "without a password."
            )
    with zipfile.ZipFile(path) as book:
        unpacked = sum(part.file_size for part in book.infolist())
        if unpacked > MOST_UNPACKED:
            raise InputError(
                f"{path}: the workbook unpacks to {unpacked:,} bytes, more than the {MOST_UNPACKED:,} that are read. "
                "Save the sheet alone, as a .csv."
            )
        for part in book.namelist():
            if not part.startswith("xl/media/") and _holds(book, part, _DECLARED):
                raise _declared(book, part)
        first = _first_sheet(book)
        faults = _Faults()
        if _holds(book, first, _SUSPECT):
            faults.read(book, first)
    raise_problems(
        [
            f"{what} in {_listed(places)}. {fix}"
            for what, places, fix in (
                ("an error, such as #N/A, stands", faults.failed, "Correct the cells, or empty them."),
                ("a formula was never calculated", faults.uncalculated, "Open the sheet in Excel and save it."),
            )
            if places
        ],
        str(path),
    )


class _Faults:
    """The cells of a sheet that hold an error, or a formula without a result, such as B7."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.uncalculated: list[str] = []
        self.row = self.column = -1
        self.cell: Mapping[str, str] = {}
        self.formula = self.result = self.value = False

    def read(self, book: zipfile.ZipFile, part: str) -> None:
        """Look at all cells."""
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
            self.row, self.column = int(attributes.get("r", self.row + 2)) - 1, -1
        elif kind == "c":
            self.cell, self.formula, self.result = attributes, False, False
            self.column += 1
        elif kind == "f":
            self.formula = True
        self.value = kind == "v"

    def _text(self, text: str) -> None:
        self.result = self.result or (self.value and bool(text))

    def _end(self, name: str) -> None:
        self.value = False
        if _local(name) != "c":
            return
        kind = self.cell.get("t")
        place = self.cell.get("r") or xl_rowcol_to_cell(self.row, self.column)
        if kind == "e":
            self.failed.append(place)
        elif self.formula and not self.result and kind != "str":  # A formula may well give an empty text.
            self.uncalculated.append(place)


def _local(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition(" ")[2]


def _declared(book: zipfile.ZipFile, part: str) -> InputError:
    return InputError(
        f"{book.filename}: {part} declares a document type or entities, which no workbook of Excel's does. Save the "
        "sheet anew in Excel."
    )


def _parser(book: zipfile.ZipFile, part: str) -> expat.XMLParserType:
    """A parser that knows namespaces, and refuses what may grow; see also `_DECLARED`, which other encodings pass."""
    parser = expat.ParserCreate(namespace_separator=" ")

    def refuse(*_: object) -> None:
        raise _declared(book, part)

    parser.StartDoctypeDeclHandler = refuse
    return parser


def _chunks(book: zipfile.ZipFile, part: str) -> Iterator[bytes]:
    """A part, a piece at a time."""
    with book.open(part) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _holds(book: zipfile.ZipFile, part: str, what: re.Pattern[bytes]) -> bool:
    """Whether a part holds something, also across two of its pieces."""
    before = b""
    for chunk in _chunks(book, part):
        if what.search(before + chunk):
            return True
        before = chunk[-16:]
    return False


def _first_sheet(book: zipfile.ZipFile) -> str:
    """The part that holds the first sheet, by what the workbook says."""
    sheets = [given for name, given in _elements(book, "xl/workbook.xml") if name == "sheet"]
    links = [given for name, given in _elements(book, "xl/_rels/workbook.xml.rels") if name == "Relationship"]
    wanted = next(value for name, value in sheets[0].items() if _local(name) == "id")
    target = next(link["Target"] for link in links if link["Id"] == wanted)
    return target.lstrip("/") if target.startswith("/") else normpath(f"xl/{target}")


def _elements(book: zipfile.ZipFile, part: str) -> list[tuple[str, Mapping[str, str]]]:
    """Names and attributes of all elements of a part."""
    found: list[tuple[str, Mapping[str, str]]] = []
    parser = _parser(book, part)
    parser.StartElementHandler = lambda name, given: found.append((_local(name), given))
    parser.Parse(book.read(part), True)
    return found


def _listed(places: list[str]) -> str:
    more = len(places) - _NAMED
    return ", ".join(places[:_NAMED]) + (f" and {more} more cells" if more > 0 else "")
