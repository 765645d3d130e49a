"""Read tables in text files, whatever character separates their cells."""

import csv
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from counterweight.base.errors import InputError
from counterweight.sheets.table_header import Cell

# What each kind of file usually has between cells, then what it may have.
_DELIMITERS = {".csv": ",;\t|", ".tsv": "\t,;|", ".txt": "\t,;| "}
DELIMITED = tuple(_DELIMITERS)
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", " ": "spaces"}
# Rows by which the delimiter is told.
_SAMPLE = 20


def read_delimited(path: Path) -> tuple[list[list[Cell]], list[str]]:
    """Read the cells of a text file, and what the user should know of how they were read.

    The delimiter is the one by which most of the first rows have equally many cells, two or more.

    Raises
    ------
    InputError
        If the file is not UTF-8 (or UTF-16 with a byte order mark), or has a quote without an end.
    """
    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    delimiters = _DELIMITERS[path.suffix.lower()]
    try:
        delimiter = max(delimiters, key=lambda delimiter: _agreement(path, encoding, delimiter))
        with path.open(encoding=encoding, newline="") as file:
            grid: list[list[Cell]] = [list(row) for row in _rows(file, delimiter)]
    except (UnicodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV in UTF-8: {error}. Save it as 'CSV UTF-8'.") from None
    notes = [] if delimiter == delimiters[0] else [f"{path}: its cells are separated by {_NAMES[delimiter]}"]
    return grid, notes


def _rows(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    if delimiter == " ":  # Spaces that align columns are one delimiter.
        return csv.reader((line.strip() for line in lines), delimiter=" ", skipinitialspace=True, strict=True)
    return csv.reader(lines, delimiter=delimiter, strict=True)


def _agreement(path: Path, encoding: str, delimiter: str) -> float:
    """Return the fraction of the first rows that have equally many cells, 0 if these have one."""
    with path.open(encoding=encoding, newline="") as file:
        try:
            widths = Counter(len(row) for row in islice(_rows(file, delimiter), _SAMPLE) if any(row))
        except csv.Error:
            return 0
    width, count = max(widths.items(), key=lambda item: item[1], default=(1, 0))
    return count / widths.total() if width > 1 else 0
