"""The image ids, splits and labels of a sheet, with every row checked."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from counterweight.base.errors import MAX_SHOWN, name_some, raise_problems
from counterweight.base.manifest import MISSING
from counterweight.dataset.label_matrix import read_names, targets_from_flags, targets_from_names
from counterweight.dataset.label_sheet import LabelSheet
from counterweight.sheets.cells import (
    SPLIT_NAMES,
    cell_text,
    flag_values,
    merge_spellings,
    other_spellings,
    unknown_hint,
    unknown_names,
)
from counterweight.sheets.spreadsheet import Place

# Groups of labels with other spellings that are warned of.
_MAX_SPELLINGS = 3
# What happens to missing label cells, by data.missing.
_TREATMENT = {
    "mask": "they are left out of loss and metrics",
    "negative": "they are read as 0",
    "self_train": "those of train are imputed by a classifier, the others left out of metrics",
}


@dataclass(frozen=True)
class Annotations:
    """The rows of a sheet.

    ``targets`` and ``missing`` have the shape (n_rows, n_labels). A target is 1 if the row has the label, 0 if not, -1
    if the cell is missing. With one class per image, a row has exactly one 1, or is missing as a whole.
    """

    image_ids: list[str]  # without surrounding spaces; whole numbers as Excel shows them
    splits: list[str] | None  # train, val or test; None if the sheet has no split column
    labels: list[str]  # names of the columns of targets
    targets: NDArray[np.int8]
    missing: NDArray[np.bool_]  # whether the cell is missing in the sheet, even if targets has 0 there
    problems: list[str]  # one message per cell that breaks a rule
    groups: list[str] | None = None  # cells of the column of groups, which may be empty; None without such a column
    unknown: Mapping[str, int] = field(default_factory=dict)  # label cells of the whole sheet that say NA, by spelling


def read_annotations(
    rows: LabelSheet,
    *,
    where: str,
    separator: str,
    task: str,
    negative: bool = False,
    values: Mapping[str, Sequence[str]] | None = None,
    merge: bool = False,
    group_pattern: str | None = None,
) -> Annotations:
    """Read the image, split and label columns of a sheet, and check every row.

    A label cell that is NA, N/A or NaN is missing. So is an empty one, except in a column of names with several labels
    per image, where it means that the image has none.

    Parameters
    ----------
    rows : LabelSheet
        The sheet. A cell that equals one of its ``label_names`` is not split at separators; if these are None, the
        labels are the names that occur, sorted.
    where : str
        Name of the sheet, for messages.
    separator : str
        Separates the names in a cell.
    task : str
        ``multilabel``; or ``multiclass`` or ``binary``: exactly one class per image, of several or of two. A binary
        task may have a single 0/1 column NAME; its classes are "not NAME" and "NAME".
    negative : bool
        Whether missing cells are read as 0; with one class per image, a missing row is then a problem.
    values : mapping of str to sequence of str, optional
        What 0/1 columns hold instead of 1, 0 and NA: ``positive``, ``negative`` and ``missing`` texts.
    merge : bool
        Whether names in cells that differ only in case, or in how accents are composed, are one label; see
        `merge_spellings`.
    group_pattern : str, optional
        Regular expression whose brackets hold an image's group, if its name begins so.

    Returns
    -------
    Annotations
        Including all problems, so that the caller can report them together with those of the files.

    Raises
    ------
    InputError
        If a named column is not in the sheet.
    """
    sheet, place = rows.sheet, rows.sheet.place
    label_columns = [rows.labels] if isinstance(rows.labels, str) else rows.labels
    columns = [rows.image, *(name for name in (rows.split, rows.group) if name), *label_columns]
    raise_problems(
        [
            f"there is no column '{name}'. Its columns are: {', '.join(sheet.columns)}. "
            "Set data.columns in params.yaml to the names in your sheet."
            for name in columns
            if name not in sheet.columns
        ],
        where,
    )
    at = {name: sheet.columns.index(name) for name in columns}
    image_ids = [cell_text(row[at[rows.image]]) for row in sheet.rows]
    problems = _id_problems(image_ids, place)
    splits, unknown = None, rows.unknown or {}
    if rows.split:
        words = [cell_text(row[at[rows.split]]).lower() for row in sheet.rows]
        splits = [SPLIT_NAMES.get(word, "") for word in words]
        problems += [
            f"{place(i)}: split '{word}' is not one of train, val, test. Correct the cell."
            for i, word in enumerate(words)
            if word not in SPLIT_NAMES
        ]
    if isinstance(rows.labels, str):
        cells = [row[at[rows.labels]] for row in sheet.rows]
        unknown = unknown_names(cells, rows.label_names) if rows.unknown is None else rows.unknown
        named, unreadable = read_names(cells, separator, rows.label_names, task, place)
        named, allowed = merge_spellings(named, rows.label_names) if merge else (named, rows.label_names)
        names, targets, label_problems = targets_from_names(named, allowed, place)
        problems += unreadable
    else:
        names = label_columns
        flags = [[row[at[name]] for name in names] for row in sheet.rows]
        targets, label_problems = targets_from_flags(flags, names, flag_values(values), place)
    problems += label_problems
    if task == "binary" and not isinstance(rows.labels, str) and len(names) == 1:
        complement = np.where(targets == MISSING, MISSING, 1 - targets)
        names, targets = [f"not {names[0]}", names[0]], np.hstack([complement, targets]).astype(np.int8)
    if task != "multilabel" and names:
        targets, class_problems = _require_single_label(targets, names, task, place)
        problems += class_problems
    missing = targets == MISSING
    if negative and task != "multilabel":
        problems += [
            f"{place(i)}: the class is missing, and data.missing negative needs one for each image. Fill the cell, or "
            "set data.missing to mask."
            for i in np.flatnonzero(missing.any(axis=1)).tolist()
        ]
    targets = np.where(missing & negative, 0, targets).astype(np.int8)
    groups = [cell_text(row[at[rows.group]]) for row in sheet.rows] if rows.group else None
    if groups is None and group_pattern is not None:
        groups = _groups_in_names(image_ids, group_pattern)
    return Annotations(image_ids, splits, names, targets, missing, problems, groups, unknown)


def select_rows(rows: Annotations, rows_kept: Sequence[int]) -> Annotations:
    """Return some of the rows, by index from 0."""
    return replace(
        rows,
        image_ids=[rows.image_ids[i] for i in rows_kept],
        splits=rows.splits and [rows.splits[i] for i in rows_kept],
        groups=rows.groups and [rows.groups[i] for i in rows_kept],
        targets=rows.targets[list(rows_kept)],
        missing=rows.missing[list(rows_kept)],
    )


def label_warnings(rows: Annotations, missing: str) -> list[str]:
    """Warn of missing label cells and of images without any label; ``missing`` is ``data.missing``."""
    warnings = [
        f"labels that differ only in case, or in how accents are composed, are labels of their own: "
        f"{' and '.join(group)}. Correct the sheet, or, if they are in one column, set data.merge_labels to true"
        for group in other_spellings(rows.labels)[:_MAX_SPELLINGS]
    ]
    if rows.missing.any():
        counts = zip(rows.labels, rows.missing.sum(axis=0), strict=True)
        cells = name_some([f"{count} of '{name}'" for name, count in counts if count], MAX_SHOWN)
        warnings.append(f"label cells are missing, {cells}: {_TREATMENT[missing]}")
    if rows.unknown:
        warnings.append(unknown_hint(rows.unknown))
    unlabeled = int(((rows.targets == 0) & ~rows.missing).all(axis=1).sum())
    if unlabeled:
        warnings.append(f"{unlabeled} rows have no label; they count as images that show none")
    return warnings


def _groups_in_names(image_ids: Sequence[str], pattern: str) -> list[str]:
    """Return the group in each image's name without folders; empty if there is none."""
    found = (re.match(pattern, PurePosixPath(image_id).name) for image_id in image_ids)
    return [match[1] or "" if match else "" for match in found]


def _id_problems(image_ids: Sequence[str], place: Place) -> list[str]:
    first: dict[str, int] = {}
    problems = []
    for i, image_id in enumerate(image_ids):
        if not image_id:
            problems.append(f"{place(i)}: the image's id is empty. Fill the cell or delete the row.")
        elif (earlier := first.setdefault(image_id, i)) != i:
            problems.append(
                f"{place(i)}: image '{image_id}' is already in {place(earlier)}. Delete one of the rows, or "
                "set data.duplicate_rows to merge, so that the image has the labels of both."
            )
    return problems


def _require_single_label(
    targets: NDArray[np.int8], names: Sequence[str], task: str, place: Place
) -> tuple[NDArray[np.int8], list[str]]:
    """Return rows with one class each or missing as a whole, and a message for each that has none or several."""
    ones = (targets == 1).sum(axis=1)
    unknown = (ones == 0) & (targets == MISSING).any(axis=1)
    problems = []
    for i in np.flatnonzero((ones != 1) & ~unknown).tolist():
        classes = " and ".join(np.array(names)[targets[i] == 1]) or "no class"
        problems.append(
            f"{place(i)}: the image has {classes}, and data.task {task} needs exactly one class per image. Correct "
            "the row, or set data.task to multilabel; or data.separator, if its label has the separator in it."
        )
    if len(names) < 2 or (task == "binary" and len(names) > 2):
        problems.append(
            f"there are {len(names)} classes ({name_some(names, MAX_SHOWN)}), but data.task {task} needs "
            f"{'two' if task == 'binary' else 'two or more'}. Correct data.task, data.labels or data.columns.labels."
        )
    return np.where(unknown[:, None], MISSING, targets == 1).astype(np.int8), problems
