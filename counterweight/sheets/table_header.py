"""Find the row of column names in the cells of a file."""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass

Cell = str | int | float | bool | datetime.datetime | datetime.date | datetime.time | datetime.timedelta

# Rows among which the column names are looked for.
_SEARCHED = 20
_IMAGE_NAME = re.compile(r"\.(jpe?g|jfif|png|bmp|tiff?|webp|gif|avif|heic|p[pg]m|npy)$", re.IGNORECASE)
# Cells of 0/1 columns; as column names, none of them could occur twice.
_FLAG = re.compile(r"-?[01](\.0)?|na|nan|n/a|true|false", re.IGNORECASE)


@dataclass(frozen=True)
class TableHeader:
    """The first row of a table, from 0, and whether it has column names or already an image."""

    row: int
    is_named: bool


def find_header(grid: Sequence[Sequence[Cell]]) -> TableHeader:
    """Find the first row of a table.

    Blank rows are above it, and perhaps a title: a cell of several words, or one above a blank row. It holds an image
    instead of column names if it has the name of an image file, or repeats cells such as 0 and NA.

    Examples
    --------
    >>> find_header([["Our photographs"], [], ["id", "labels"], ["a.jpg", "sea"]])
    TableHeader(row=2, is_named=True)
    >>> find_header([["a.jpg", "1", "0"], ["b.jpg", "0", "0"]])
    TableHeader(row=0, is_named=False)
    """
    texts = [[text for cell in row if (text := str(cell).strip())] for row in grid[:_SEARCHED]]
    widest = max(map(len, texts), default=0)
    first = next((i for i, cells in enumerate(texts) if cells and not (widest > 1 and _is_title(texts, i))), 0)
    cells = texts[first] if texts else []
    flags = [cell.lower() for cell in cells if _FLAG.fullmatch(cell)]
    return TableHeader(first, not (len(set(flags)) < len(flags) or any(map(_IMAGE_NAME.search, cells))))


def _is_title(texts: Sequence[Sequence[str]], i: int) -> bool:
    """Return whether a row with cells is a title."""
    return len(texts[i]) == 1 and (" " in texts[i][0] or not any(texts[i + 1 : i + 2]))
