"""Find the row of column names in the cells of a file."""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass

Cell = str | int | float | bool | datetime.datetime | datetime.date | datetime.time | datetime.timedelta

# Rows among which the column names are looked for.
_SEARCHED = 20
_IMAGE_NAME = re.compile(r"\.(jpe?g?|jfif|png|bmp|tiff?|webp|gif|avif|hei[cf]|p[bgnp]m|npy)$", re.IGNORECASE)
# Cells of 0/1 columns.
_FLAG = re.compile(r"-?[01](\.0)?|na|nan|n/a|true|false", re.IGNORECASE)


@dataclass(frozen=True)
class TableHeader:
    """The first row of a table, from 0, and whether it has column names or already an image."""

    row: int
    is_named: bool


def find_header(grid: Sequence[Sequence[Cell]]) -> TableHeader:
    """Find the first row of a table.

    Blank rows are above it, and perhaps a title: a cell of several words, or one above a blank row. It holds an image
    instead of column names if it has the name of an image file, or flags such as 0 and NA that are no names of columns:
    they occur twice, or stand beside an id with the digits of those below.

    Examples
    --------
    >>> find_header([["Our photographs"], [], ["id", "labels"], ["a.jpg", "sea"]])
    TableHeader(row=2, is_named=True)
    >>> find_header([["a.jpg", "1", "0"], ["b.jpg", "0", "0"]])
    TableHeader(row=0, is_named=False)
    """
    texts = [[str(cell).strip() for cell in row] for row in grid[:_SEARCHED]]
    filled = [[cell for cell in row if cell] for row in texts]
    widest = max(map(len, filled), default=0)
    first = next((i for i, cells in enumerate(filled) if cells and not (widest > 1 and _is_title(filled, i))), 0)
    cells = filled[first] if filled else []
    flags = [cell.lower() for cell in cells if _FLAG.fullmatch(cell)]
    is_image = (
        any(map(_IMAGE_NAME.search, cells))
        or len(set(flags)) < len(flags)
        or (bool(flags) and _has_id(texts[first], texts[first + 1 :]))
    )
    return TableHeader(first, not is_image)


def _is_title(filled: Sequence[Sequence[str]], i: int) -> bool:
    """Return whether a row with cells is a title."""
    cell = filled[i][0]
    return len(filled[i]) == 1 and not _IMAGE_NAME.search(cell) and (" " in cell or not any(filled[i + 1 : i + 2]))


def _has_id(row: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Return whether a cell that is no flag has digits at the same places as all cells below it."""
    for j, cell in enumerate(row):
        column = [other[j] for other in below if j < len(other)]
        if column and re.search(r"\d", cell) and not _FLAG.fullmatch(cell):
            shape, *others = (re.sub(r"\d", "0", text) for text in (cell, *column))
            if all(other == shape for other in others):
                return True
    return False
