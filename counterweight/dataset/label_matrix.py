"""The 0/1 matrix of the labels that the cells of a sheet name."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from counterweight.base.errors import MAX_SHOWN, name_some
from counterweight.base.manifest import MISSING
from counterweight.sheets.cells import UnreadableCellError, cell_text, label_names
from counterweight.sheets.spreadsheet import Place, row_name
from counterweight.sheets.table_header import Cell

_OR_SEPARATOR = "; or set data.separator otherwise, if the whole cell is one label"


def read_names(
    cells: Sequence[Cell], separator: str, allowed: Sequence[str] | None, task: str, place: Place = row_name
) -> tuple[list[list[str] | None], list[str]]:
    """Return the names in each cell, None where they are missing, and a message for each cell that cannot be read."""
    rows: list[list[str] | None] = []
    problems = []
    for i, cell in enumerate(cells):
        try:
            names = label_names(cell, separator, allowed)
        except UnreadableCellError as error:
            names = None
            problems.append(
                f"{place(i)}: the label cell {error} looks like a list, but cannot be read as one. Write "
                f"['cat', 'dog'], or names with '{separator}' between them; or add it to data.labels, if it is one "
                "label."
            )
        rows.append(None if task != "multilabel" and not names else names)
    return rows, problems


def targets_from_names(
    rows: Sequence[Sequence[str] | None], allowed: Sequence[str] | None, place: Place = row_name
) -> tuple[list[str], NDArray[np.int8], list[str]]:
    """Return the labels, their targets, and a message for each name that is not allowed.

    Parameters
    ----------
    rows : sequence of sequence of str or None
        Names of each row, None if they are missing.
    allowed : sequence of str or None
        The labels; None for all names, sorted.
    place : callable
        Names a row, from 0, for messages.

    Returns
    -------
    labels : list of str
    targets : array of int8, shape (n_rows, n_labels)
        1 if the row has the label, 0 if not, -1 if unknown.
    problems : list of str
    """
    names = list(allowed) if allowed is not None else sorted({name for row in rows for name in row or ()})
    column = {name: j for j, name in enumerate(names)}
    targets = np.zeros((len(rows), len(names)), dtype=np.int8)
    problems = []
    for i, row in enumerate(rows):
        unknown = [name for name in row or () if name not in column]
        if row is None or unknown:
            targets[i] = MISSING
        targets[i, [column[name] for name in row or () if name in column]] = 1
        problems += [
            f"{place(i)}: label '{name}' is not one of {name_some(names, MAX_SHOWN)}. Correct it, or add it to "
            f"data.labels{_OR_SEPARATOR if row and len(row) > 1 else ''}."
            for name in unknown
        ]
    if not names:
        problems.append("no row has a label. Set data.columns.labels to the column with the labels.")
    return names, targets, problems


def targets_from_flags(
    rows: Sequence[Sequence[Cell]], names: Sequence[str], values: Mapping[str, int], place: Place = row_name
) -> tuple[NDArray[np.int8], list[str]]:
    """Return the targets of 0/1 columns, as `targets_from_names` does, and a message for each cell that says nothing.

    ``values`` is what `counterweight.sheets.cells.flag_values` returns, and ``names`` are those of the columns.
    """
    targets = np.full((len(rows), len(names)), MISSING, dtype=np.int8)
    problems = []
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            text = cell_text(cell).lower()
            if text in values:
                targets[i, j] = values[text]
            else:
                problems.append(
                    f"{place(i)}: label column '{names[j]}' holds '{text}'. Give 0, 1, or NA for a missing label; or "
                    "say in data.values what it means."
                )
    return targets, problems
