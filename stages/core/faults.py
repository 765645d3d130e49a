"""What a workbook holds that a reader of its cells passes over in silence, or had better not read at all."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from stages.core.errors import InputError, raise_problems

# What all parts of a workbook may take when they are unpacked, in bytes: a full sheet of Excel's takes less.
MOST_UNPACKED = 4 * 2**30

# Cells that a problem names.
_NAMED = 5

_CHUNK = 2**20
# No cell's markup up to its value is longer: Excel's longest formula has 8,192 characters, of up to 6 bytes each.
_OVERLAP = 2**16

_OLD_OR_ENCRYPTED = bytes.fromhex("d0cf11e0a1b11ae1")
_DECLARED = re.compile(rb"<!(DOCTYPE|ENTITY)")
_PLACE = rb'[^>]*?\br="(?P<place>[A-Z]+[0-9]+)"[^>]*'
_FAILED = re.compile(rb'<(?:\w+:)?c\b(?=[^>]*\bt="e")' + _PLACE)
# A formula whose result is an empty text says that it is a text.
_FORMULA = rb"<(?:\w+:)?f\b(?:[^>]*/>|[^>]*>[^<]*</(?:\w+:)?f>)"
_NO_RESULT = rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v></|</(?:\w+:)?c>)"
_UNCALCULATED = re.compile(rb'<(?:\w+:)?c\b(?![^>]*\bt="str")' + _PLACE + rb">\s*" + _FORMULA + rb"\s*" + _NO_RESULT)
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LINK = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


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
    zipfile.BadZipFile
        If it is no .zip.
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
            if part.endswith((".xml", ".rels")) and any(_DECLARED.search(chunk) for _, chunk in _chunks(book, part)):
                raise InputError(
                    f"{path}: {part} declares a document type or entities, which no workbook of Excel's does. Save the "
                    "sheet anew in Excel."
                )
        first = _first_sheet(book)
        if first is None:
            return
        failed, uncalculated = (_places(book, first, what) for what in (_FAILED, _UNCALCULATED))
    raise_problems(
        [
            f"{what} in {_listed(places)}. {fix}"
            for what, places, fix in (
                ("an error, such as #N/A, stands", failed, "Correct the cells, or empty them."),
                ("a formula was never calculated", uncalculated, "Open the sheet in Excel and save it."),
            )
            if places
        ],
        str(path),
    )


def _chunks(book: zipfile.ZipFile, part: str) -> Iterator[tuple[int, bytes]]:
    """A part in pieces that overlap, each with how much of it was in the piece before."""
    with book.open(part) as file:
        before = b""
        while chunk := file.read(_CHUNK):
            yield len(before), before + chunk
            before = (before + chunk)[-_OVERLAP:]


def _places(book: zipfile.ZipFile, part: str, what: re.Pattern[bytes]) -> list[str]:
    """Cells of a sheet that are written like that, in the order of the sheet, such as B7."""
    found = (match["place"].decode() for _, chunk in _chunks(book, part) for match in what.finditer(chunk))
    return list(dict.fromkeys(found))


def _first_sheet(book: zipfile.ZipFile) -> str | None:
    """The part that holds the first sheet; None where the workbook does not say so as Excel does."""
    try:
        sheet = ElementTree.fromstring(book.read("xl/workbook.xml")).find(f"{_MAIN}sheets/{_MAIN}sheet")
        links = ElementTree.fromstring(book.read("xl/_rels/workbook.xml.rels"))
        assert sheet is not None
        target = next(link.get("Target", "") for link in links if link.get("Id") == sheet.get(_LINK))
        part = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
        return part if part in book.namelist() else None
    except (KeyError, StopIteration, AssertionError, ElementTree.ParseError):
        return None


def _listed(places: list[str]) -> str:
    more = len(places) - _NAMED
    return ", ".join(places[:_NAMED]) + (f" and {more} more cells" if more > 0 else "")
