"""What the cells of a sheet say: texts, and labels as people write them."""

import ast
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from unicodedata import normalize

from counterweight.base.errors import name_some
from counterweight.base.manifest import MISSING
from counterweight.sheets.table_header import Cell

# Spellings of "unknown", in lower case: pandas writes an empty cell or NaN, R writes NA, Excel #N/A.
MISSING_WORDS = frozenset({"na", "nan", "n/a", "#n/a"})

# Two or more quoted texts with spaces between them.
_NUMPY_LIST = re.compile(r"""\[\s*(?:'[^']*'|"[^"]*")(?:\s+(?:'[^']*'|"[^"]*"))+\s*\]""")
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")


# Spellings of a split, in lower case.
SPLIT_NAMES = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "development": "val", "test": "test", "testing": "test",
}  # fmt: skip
# What 0/1 columns hold, in lower case.
POSITIVE_WORDS = frozenset({"1", "1.0", "true", "yes"})
NEGATIVE_WORDS = frozenset({"0", "0.0", "false", "no"})


class UnreadableCellError(ValueError):
    """A cell that looks like a list, but cannot be read as one."""


def cell_text(cell: Cell) -> str:
    """Return a cell as Excel shows it: 12 for 12.0, and text without surrounding spaces.

    Examples
    --------
    >>> cell_text(12.0), cell_text(" 0012 "), cell_text(1.5)
    ('12', '0012', '1.5')
    """
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def label_names(cell: Cell, separator: str, allowed: Collection[str] | None) -> list[str] | None:
    """Return the label names in a cell, without surrounding spaces and empty ones, or None if it is missing.

    Parameters
    ----------
    cell : Cell
        Names between separators, or a list as Python, NumPy or JSON writes it.
    separator : str
        Separates names.
    allowed : collection of str or None
        Names that are not divided, though they may have a separator or brackets.

    Raises
    ------
    UnreadableCellError
        If the cell begins and ends like a list, but is none.

    Examples
    --------
    >>> label_names("sea, ice", ",", None), label_names("['sea', 'ice']", ",", None), label_names("NaN", ",", None)
    (['sea', 'ice'], ['sea', 'ice'], None)
    """
    text = cell_text(cell)
    if allowed is not None and text in allowed:
        return [text]
    if text.lower() in MISSING_WORDS:
        return None
    parts = _list(text) if _looks_like_list(text) else text.split(separator)
    return [name for part in parts if (name := part.strip())]


def unknown_names(cells: Iterable[Cell], allowed: Collection[str] | None) -> dict[str, int]:
    """Count the cells of a column of names that say "unknown", such as NA, by spelling; none if the names are known."""
    if allowed is not None:
        return {}
    texts = Counter(cell.strip() for cell in cells if isinstance(cell, str))
    named = {*MISSING_WORDS} - {"#n/a"}  # which is an error in Excel
    return {text: count for text, count in texts.items() if text.lower() in named}


def unknown_hint(unknown: Mapping[str, int]) -> str:
    """Say what to do if the cells that `unknown_names` counts are a class."""
    words = name_some([f"{count:,} '{text}'" for text, count in unknown.items()])
    return f"label cells read as unknown: {words}. If one of these is a class, name all classes in data.labels"


def join_names(names: Sequence[str], separator: str) -> str:
    """Write names into a cell from which `label_names` reads them.

    Examples
    --------
    >>> join_names(["sea", "ice"], ","), join_names(["cow, bull", "dog"], ",")
    ('sea,ice', '["cow, bull", "dog"]')
    """
    if any(separator in name for name in names):
        return json.dumps(list(names), ensure_ascii=False)
    return separator.join(names)


def other_spellings(names: Iterable[str]) -> list[list[str]]:
    """Return the groups of two or more names that differ only in case, or in how accents are composed."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_folded(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def merge_spellings(
    rows: Sequence[Sequence[str] | None], allowed: Sequence[str] | None
) -> tuple[list[list[str] | None], list[str] | None]:
    """Give names that differ only in case, or in how accents are composed, one spelling.

    It is the first that is allowed, or else the most frequent.

    Parameters
    ----------
    rows : sequence of sequence of str or None
        The names of each row.
    allowed : sequence of str or None
        The allowed names.

    Returns
    -------
    The rows and the allowed names with one spelling each.
    """
    counts = Counter(name for row in rows for name in row or ())
    order = list(allowed) if allowed is not None else sorted(counts, key=lambda name: (-counts[name], name))
    spelling: dict[str, str] = {}
    for name in order:
        spelling.setdefault(_folded(name), name)
    merged = [None if row is None else [spelling.get(_folded(name), name) for name in row] for row in rows]
    return merged, None if allowed is None else list(spelling.values())


def _folded(name: str) -> str:
    return normalize("NFC", name).casefold()


def flag_values(values: Mapping[str, Sequence[str]] | None) -> dict[str, int]:
    """Return what the texts in 0/1 columns mean, in lower case: 1, 0 or `MISSING`, as an empty cell unless it is named.

    ``values`` is ``data.values`` of params.yaml: texts that are ``positive``, ``negative`` and ``missing``.
    """
    if values is None:
        values = {"positive": [*POSITIVE_WORDS], "negative": [*NEGATIVE_WORDS], "missing": []}
    meanings = {MISSING: [*MISSING_WORDS, "", *values["missing"]], 0: values["negative"], 1: values["positive"]}
    return {word.lower(): meaning for meaning, words in meanings.items() for word in words}


def _looks_like_list(text: str) -> bool:
    ends = text[:1] + text[-1:]
    return ends == "[]" or (ends in {"()", "{}"} and bool(_QUOTED.search(text)))


def _list(text: str) -> list[str]:
    """Read a list of names."""
    for read in (json.loads, _numpy_list, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(found, list | tuple | set) and all(isinstance(item, str | int | float) for item in found):
            return [cell_text(item) for item in (sorted(found, key=str) if isinstance(found, set) else found)]
    raise UnreadableCellError(text)


def _numpy_list(text: str) -> list[str]:
    """Read a list as NumPy prints it, whose texts Python would join; raise ValueError if it is none."""
    if not _NUMPY_LIST.fullmatch(text):
        raise ValueError(text)
    return [single or double for single, double in _QUOTED.findall(text)]
