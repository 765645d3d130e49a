"""What a sheet says of each image: its id, its split and its labels, every row checked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from counterweight.base.errors import raise_problems
from counterweight.base.manifest import MISSING
from counterweight.dataset.spreadsheet import Cell, Sheet

SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
# How sheets say that nobody knows, in lower case; pandas writes an empty cell or NaN, R writes NA, Excel #N/A.
UNKNOWN = frozenset({"na", "nan", "n/a", "#n/a"})


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
        1 where the row has the label, 0 where it has not, -1 where its cell is missing. With one class an image, a row
        has one 1, or is missing as a whole.
    missing : array of bool, shape (n_rows, n_labels)
        Where a cell is missing in the sheet, whatever was put in its place.
    problems : list of str
        A sentence for each cell that breaks a rule.
    """

    image_ids: list[str]
    splits: list[str] | None
    labels: list[str]
    targets: NDArray[np.int8]
    missing: NDArray[np.bool_]
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
    task: str,
    negative: bool = False,
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
        One column of names, or 0/1 columns, one a label. A cell NA, N/A or NaN is missing; so is an empty one, but for
        several labels an image in a column of names, where it says that there is none.
    separator : str
        What stands between two names. A cell that is one of ``known`` as a whole is not taken apart.
    known : sequence of str or None
        The labels there are; None takes those that occur, in sorted order.
    task : str
        ``multilabel``; or ``multiclass`` or ``binary``: exactly one label an image, of several or of two. A binary task
        may have a single 0/1 column NAME, which gives the classes "not NAME" and "NAME".
    negative : bool
        Whether missing cells are read as 0; with exactly one label an image, such a row is a problem.

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
        named = [_names(row[at[labels]], separator, known, task) for row in sheet.rows]
        names, targets, found = _from_names(named, known)
    else:
        names = label_columns
        targets, found = _from_flags([[row[at[name]] for name in names] for row in sheet.rows], names)
    if task == "binary" and not isinstance(labels, str) and len(names) == 1:
        names, targets = [f"not {names[0]}", names[0]], np.hstack([_opposite(targets), targets])
    if task != "multilabel" and names:
        targets, wrong = _one_each(targets, names, task)
        found += wrong
    missing = targets == MISSING
    if negative and task != "multilabel":
        found += [
            f"row {i + 2}: there is no class, and data.missing is negative: each image has one. Fill the cell, or set "
            "data.missing to mask."
            for i in np.flatnonzero(missing.any(axis=1))
        ]
    targets = np.where(missing & negative, 0, targets).astype(np.int8)
    return Annotations(image_ids, splits, names, targets, missing, problems + found)


def only(rows: Annotations, kept: Sequence[int]) -> Annotations:
    """Some of the rows, by their numbers from 0."""
    return replace(
        rows,
        image_ids=[rows.image_ids[i] for i in kept],
        splits=rows.splits and [rows.splits[i] for i in kept],
        targets=rows.targets[list(kept)],
        missing=rows.missing[list(kept)],
    )


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


def _names(cell: Cell, separator: str, known: Sequence[str] | None, task: str) -> list[str] | None:
    """The names in a cell; None where it is missing."""
    text = as_text(cell)
    if known is not None and text in known:
        return [text]
    names = [name for part in text.split(separator) if (name := part.strip())]
    return None if text.lower() in UNKNOWN or (task != "multilabel" and not names) else names


def _from_names(
    rows: Sequence[Sequence[str] | None], known: Sequence[str] | None
) -> tuple[list[str], NDArray[np.int8], list[str]]:
    names = list(known) if known is not None else sorted({name for row in rows for name in row or ()})
    column = {name: j for j, name in enumerate(names)}
    targets = np.zeros((len(rows), len(names)), dtype=np.int8)
    problems = []
    for i, row in enumerate(rows):
        unknown = [name for name in row or () if name not in column]
        if row is None or unknown:
            targets[i] = MISSING
        targets[i, [column[name] for name in row or () if name in column]] = 1
        problems += [
            f"row {i + 2}: label '{name}' is none of {', '.join(names)}. Correct it, or add it to data.labels."
            for name in unknown
        ]
    if not names:
        problems.append("no row has a label. Set data.columns.labels to the column with the labels.")
    return names, targets, problems


def _from_flags(rows: Sequence[Sequence[Cell]], names: Sequence[str]) -> tuple[NDArray[np.int8], list[str]]:
    values = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1, "": MISSING, **dict.fromkeys(UNKNOWN, MISSING)}
    targets = np.full((len(rows), len(names)), MISSING, dtype=np.int8)
    problems = []
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            text = as_text(cell).lower()
            if text in values:
                targets[i, j] = values[text]
            else:
                problems.append(
                    f"row {i + 2}: label column '{names[j]}' holds '{text}'. Give 0, 1, or NA where nobody knows."
                )
    return targets, problems


def _opposite(targets: NDArray[np.int8]) -> NDArray[np.int8]:
    return np.where(targets == MISSING, MISSING, 1 - targets).astype(np.int8)


def _one_each(targets: NDArray[np.int8], names: Sequence[str], task: str) -> tuple[NDArray[np.int8], list[str]]:
    """Rows with one class each, or missing as a whole, and a sentence for each that has none or several."""
    ones = (targets == 1).sum(axis=1)
    unknown = (ones == 0) & (targets == MISSING).any(axis=1)

    def found(row: NDArray[np.int8]) -> str:
        return " and ".join(name for name, value in zip(names, row, strict=True) if value == 1) or "no class"

    problems = [
        f"row {i + 2}: it says {found(targets[i])}, and data.task is {task}: exactly one an image. "
        "Correct the row, or set data.task to multilabel."
        for i in np.flatnonzero((ones != 1) & ~unknown)
    ]
    if len(names) < 2 or (task == "binary" and len(names) > 2):
        wanted = "two" if task == "binary" else "two or more"
        problems.append(
            f"there are {len(names)} classes ({', '.join(names)}), and data.task is {task}, which takes {wanted}. "
            "Correct data.task, data.labels or data.columns.labels."
        )
    return np.where(unknown[:, None], MISSING, targets == 1).astype(np.int8), problems
