"""Read tables in text files, whatever character separates their cells."""

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from counterweight.base.errors import InputError
from counterweight.sheets.table_header import Cell

# What each kind of file usually has between cells, then what it may have.
_DELIMITERS = {".csv": ",;\t|", ".tsv": "\t,;|", ".txt": "\t,;| "}
DELIMITED = tuple(_DELIMITERS)
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", " ": "spaces"}
# What Excel takes for the delimiter of a file.
_NAMED = re.compile(r"sep=(.)\s*")
# Different cells that are kept once. Those that come later, such as ids, are seldom repeated.
_SHARED = 100_000
# Rows by which the delimiter is told.
_SAMPLE = 20


def read_delimited(path: Path) -> tuple[list[list[Cell]], list[str]]:
    """Read the cells of a text file, and what the user should know of how they were read.

    The delimiter is the one by which most of the first rows have two or more cells, and none more than the first such
    row; or the one that a first line such as ``sep=;`` names, which Excel reads.

    Raises
    ------
    InputError
        If the file is not UTF-8 (or UTF-16 with a byte order mark), or has a quote at a wrong place.
    """
    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    delimiters = _DELIMITERS[path.suffix.lower()]
    try:
        with path.open(encoding=encoding, newline="") as file:
            named = _NAMED.fullmatch(file.readline())
        found = {delimiter: _agreement(path, encoding, delimiter) for delimiter in delimiters}
        delimiter = named[1] if named else max(delimiters, key=found.__getitem__)
        if not named and not found[delimiter]:  # Perhaps a misplaced quote keeps another from being it.
            delimiter = next((other for other in delimiters if found[other] < 0), delimiters[0])
        with path.open(encoding=encoding, newline="") as file:
            grid = _shared(_rows(file, delimiter))
    except (UnicodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV in UTF-8: {error}. Save it as 'CSV UTF-8'.") from None
    if named:
        del grid[0]
    name = _NAMES.get(delimiter, f"'{delimiter}'")
    notes = [] if delimiter == delimiters[0] else [f"{path}: its cells are separated by {name}"]
    return grid, notes


def _rows(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    if delimiter == " ":  # Spaces that align columns are one delimiter.
        return csv.reader((line.strip() for line in lines), delimiter=" ", skipinitialspace=True, strict=True)
    return csv.reader(lines, delimiter=delimiter, strict=True)


def _shared(rows: Iterable[list[str]]) -> list[list[Cell]]:
    """Return rows in which equal cells are one text, so that splits and labels take no memory for each image."""
    texts: dict[str, str] = {}
    return [
        [texts.get(cell, cell) if len(texts) >= _SHARED else texts.setdefault(cell, cell) for cell in row]
        for row in rows
    ]


def _agreement(path: Path, encoding: str, delimiter: str) -> float:
    """Return the part of the first rows that fit the first one with several cells; -1 if a quote is misplaced."""
    with path.open(encoding=encoding, newline="") as file:
        try:
            widths = [len(row) for row in islice(_rows(file, delimiter), _SAMPLE) if any(row)]
        except csv.Error:
            return -1
    first = next((width for width in widths if width > 1), 0)
    return sum(1 < width <= first for width in widths) / max(len(widths), 1)
