"""Find the columns of an unknown sheet that hold labels, and how their cells are read."""

from collections.abc import Mapping, Sequence

from counterweight.base.errors import InputError
from counterweight.sheets.cells import (
    MISSING_WORDS,
    NEGATIVE_WORDS,
    POSITIVE_WORDS,
    UnreadableCellError,
    label_names,
    unknown_hint,
    unknown_names,
)

# Common names of label columns, in lower case.
_LABEL_COLUMN_NAMES = frozenset(
    ["labels", "label", "targets", "target", "classes", "class", "categories", "category", "tags", "y"]
)
_SEPARATORS = (",", ";", "|", "/", " ")
# What 0/1 columns hold: the usual words; or numbers of which -1 stands for no, or for unknown.
_WORDS, _NUMBERS = POSITIVE_WORDS | NEGATIVE_WORDS, frozenset({"-1", "0", "1", "-1.0", "0.0", "1.0"})
# A column with more distinct names holds no labels.
_MAX_LABELS = 20_000


def find_label_columns(
    columns: Mapping[str, Sequence[str]], classes: Sequence[str] | None = None
) -> tuple[str | list[str], str]:
    """Return the column of label names or the 0/1 columns, and the separator of the names.

    Parameters
    ----------
    columns : mapping of str to sequence of str
        The cells of the columns that hold neither images nor splits or groups.
    classes : sequence of str, optional
        The label names, if they are known.

    Raises
    ------
    InputError
        If none holds labels.
    """
    flags = [name for name, cells in columns.items() if _is_binary(cells)]
    others = {name: cells for name, cells in columns.items() if name not in flags}
    separators = {
        name: found for name, cells in others.items() if (found := _infer_separator(cells, classes)) is not None
    }
    if not separators and not flags:
        unknown = [
            words
            for cells in columns.values()
            if (words := unknown_names(cells, classes)) and _infer_separator(cells, [*words]) is not None
        ]
        hint = f" {unknown_hint(unknown[0])}." if unknown else ""
        raise InputError(
            "no column holds labels: neither 0 and 1 in several columns, nor names that repeat. The columns are "
            f"{', '.join(columns) or 'none'}. Add one, or set data.columns.labels by hand.{hint}"
        )
    usual = [name for name in (*separators, *flags) if name.lower() in _LABEL_COLUMN_NAMES]
    if flags and not (usual and usual[0] in separators):
        return flags, ","
    labels = usual[0] if usual else min(separators, key=lambda name: len(set(columns[name])))
    return labels, separators[labels]


def _is_binary(cells: Sequence[str]) -> bool:
    found = _flags(cells)
    return len(found) >= 2 and (found <= _WORDS or found <= _NUMBERS)


def _flags(cells: Sequence[str]) -> set[str]:
    return {cell.lower() for cell in cells} - MISSING_WORDS - {""}


def find_flag_values(columns: Sequence[Sequence[str]]) -> dict[str, list[str]] | None:
    """Return what the cells of 0/1 columns mean, as ``data.values``; None if it is the usual.

    -1 stands for unknown if a column has it beside 0, else for no.
    """
    found = set().union(*map(_flags, columns))
    minus = found & {"-1", "-1.0"}
    if not minus:
        return None
    is_unknown = any(_flags(cells) & minus and _flags(cells) & NEGATIVE_WORDS for cells in columns)
    negative = (found & NEGATIVE_WORDS) | (set() if is_unknown else minus)
    return {
        "positive": sorted(found & POSITIVE_WORDS), "negative": sorted(negative),
        "missing": sorted(minus) if is_unknown else [],
    }  # fmt: skip


def _infer_separator(cells: Sequence[str], classes: Sequence[str] | None) -> str | None:
    """Return the separator of a column of label names; None if the column holds none."""
    known = frozenset(classes or [])
    full = [cell for cell in cells if cell and (cell.lower() not in MISSING_WORDS or cell in known)]
    distinct, candidates = list(dict.fromkeys(full)), []
    for separator in _SEPARATORS:
        try:
            rows = [label_names(cell, separator, known) or [] for cell in distinct]
        except UnreadableCellError:
            return None
        # A list of flags in one cell, or a sentence, repeats its parts.
        if any(len(set(row)) < len(row) for row in rows):
            return None
        names = {name for row in rows for name in row}
        # Classes such as "red apple" have spaces, too, but their words do not stand alone.
        if separator != " " or (len(names) <= len(distinct) and names.intersection(full)):
            candidates.append((len(names), all(len(row) < 2 for row in rows), separator))
    fewest, _, best = min(candidates, key=lambda candidate: candidate[:2])
    return best if 2 <= fewest <= min(_MAX_LABELS, len(full) / 2) else None
