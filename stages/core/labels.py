"""What a sheet says of each image: its id, its split and its labels, every row checked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.core.errors import raise_problems
from stages.core.workbook import Cell, Sheet

SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Annotations:
    """What a sheet says, row by row.

    Attributes
    ----------
    image_ids : list of str
        As text, without surrounding spaces; a whole number as Excel shows it.
    splits : list of str or None
        ``train``, ``val`` or ``test``; None where the sheet has no split column.
    labels : list of str
        The labels there are, in the order of the columns of ``targets``.
    targets : array of int8, shape (n_rows, n_labels)
        1 where the row has the label.
    problems : list of str
        A sentence for each cell that breaks a rule.
    """

    image_ids: list[str]
    splits: list[str] | None
    labels: list[str]
    targets: NDArray[np.int8]
    problems: list[str]


def annotations(
    sheet: Sheet,
    *,
    where: str,
    image: str,
    split: str | None,
    labels: str | Sequence[str],
    separator: str,
    known: Sequence[str] | None,
) -> Annotations:
    """Read the image, split and label columns of a sheet, and check every row.

    Parameters
    ----------
    sheet : Sheet
        The rows.
    where : str
        The sheet's name, for messages.
    image, split : str
        Names of the columns with the image's id and its split; no split column is None.
    labels : str or sequence of str
        One column of names, or 0/1 columns, one a label.
    separator : str
        What stands between two names.
    known : sequence of str or None
        The labels there are; None takes those that occur, in sorted order.

    Returns
    -------
    Annotations
        With the problems in it, so that the caller can report them with those of the files.

    Raises
    ------
    InputError
        If a named column is not in the sheet.
    """
    label_columns = [labels] if isinstance(labels, str) else list(labels)
    wanted = [image, *([split] if split else []), *label_columns]
    raise_problems(
        [
            f"there is no column '{name}' in row 1. Its columns are: {', '.join(sheet.columns)}. "
            "Set data.columns in params.yaml to the names in your sheet."
            for name in wanted
            if name not in sheet.columns
        ],
        where,
    )
    at = {name: sheet.columns.index(name) for name in wanted}
    image_ids = [as_text(row[at[image]]) for row in sheet.rows]
    problems = _id_problems(image_ids)
    splits = None
    if split:
        cells = [as_text(row[at[split]]).lower() for row in sheet.rows]
        splits = [SPLIT_NAMES.get(cell, "") for cell in cells]
        problems += [
            f"row {i + 2}: split '{cell}' is none of train, val, test. Correct the cell."
            for i, cell in enumerate(cells)
            if cell not in SPLIT_NAMES
        ]
    if isinstance(labels, str):
        named = [_names(row[at[labels]], separator) for row in sheet.rows]
        names, targets, found = _from_names(named, known)
    else:
        names = label_columns
        targets, found = _from_flags([[row[at[name]] for name in names] for row in sheet.rows], names)
    return Annotations(image_ids, splits, names, targets, problems + found)


def as_text(cell: Cell) -> str:
    """A cell as Excel shows it: 12 for 12.0, and no spaces around a text.

    Examples
    --------
    >>> as_text(12.0), as_text(" 0012 "), as_text(1.5)
    ('12', '0012', '1.5')
    """
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _id_problems(image_ids: Sequence[str]) -> list[str]:
    first: dict[str, int] = {}
    problems = []
    for i, image_id in enumerate(image_ids):
        if not image_id:
            problems.append(f"row {i + 2}: the image's id is empty. Fill the cell or delete the row.")
        elif image_id in first:
            problems.append(
                f"row {i + 2}: image '{image_id}' stands in row {first[image_id] + 2} already. Delete one of the rows."
            )
        else:
            first[image_id] = i
    return problems


def _names(cell: Cell, separator: str) -> list[str]:
    return [name for part in as_text(cell).split(separator) if (name := part.strip())]


def _from_names(
    rows: Sequence[Sequence[str]], known: Sequence[str] | None
) -> tuple[list[str], NDArray[np.int8], list[str]]:
    names = list(known) if known is not None else sorted({name for row in rows for name in row})
    column = {name: j for j, name in enumerate(names)}
    targets = np.zeros((len(rows), len(names)), dtype=np.int8)
    problems = []
    for i, row in enumerate(rows):
        for name in row:
            if name in column:
                targets[i, column[name]] = 1
            else:
                problems.append(
                    f"row {i + 2}: label '{name}' is none of {', '.join(names)}. Correct it, or add it to data.labels."
                )
    if not names:
        problems.append("no row has a label. Set data.columns.labels to the column with the labels.")
    return names, targets, problems


def _from_flags(rows: Sequence[Sequence[Cell]], names: Sequence[str]) -> tuple[NDArray[np.int8], list[str]]:
    values = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
    targets = np.zeros((len(rows), len(names)), dtype=np.int8)
    problems = []
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            text = as_text(cell).lower()
            if text in values:
                targets[i, j] = values[text]
            else:
                problems.append(f"row {i + 2}: label column '{names[j]}' holds '{text}'. It takes 0 or 1.")
    return targets, problems
