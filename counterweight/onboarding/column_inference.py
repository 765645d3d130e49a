"""What the columns of an unknown sheet are, told from what stands in them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from counterweight.base.errors import InputError
from counterweight.dataset.annotations import SPLIT_NAMES, UNKNOWN, annotations, as_text
from counterweight.dataset.spreadsheet import Sheet

# Rows that tell what a column of ids is.
_SAMPLE = 500
# How columns of labels are called, in lower case.
_CALLED = ("labels", "label", "target", "targets", "class", "classes", "category", "categories", "tags", "y")
_SEPARATORS = (",", ";", "|", "/", " ")
_FLAGS = frozenset({"0", "1", "0.0", "1.0", "true", "false"})
# A column with more names than this holds something else.
_MOST_NAMES = 500


@dataclass(frozen=True)
class Understood:
    """What a sheet is taken for.

    Attributes
    ----------
    image : str or None
        The column of the images; None where row i is image i of an array.
    split : str or None
        The column of the splits.
    labels : str or list of str
        The column of names, or the 0/1 columns.
    separator : str
        What stands between two names.
    task : str
        ``multilabel``, ``multiclass`` or ``binary``.
    counts : dict of str to int
        Images of each label, the commonest first.
    missing : int
        Label cells that are not known.
    without : int
        Rows without any label.
    files : list of list of str
        For each row the images that it may mean.
    """

    image: str | None
    split: str | None
    labels: str | list[str]
    separator: str
    task: str
    counts: dict[str, int]
    missing: int
    without: int
    files: list[list[str]]


def understand(sheet: Sheet, find: Callable[[Sequence[str]], Sequence[Sequence[str]]], *, in_order: bool) -> Understood:
    """Find the columns of a sheet.

    Parameters
    ----------
    sheet : Sheet
        The rows.
    find : callable
        For ids, the images that each may mean.
    in_order : bool
        Whether row i may be image i, without a column that says so.

    Raises
    ------
    InputError
        If no column names images, or none holds labels.
    """
    columns = {name: [as_text(row[i]) for row in sheet.rows] for i, name in enumerate(sheet.columns)}
    ids = [name for name, cells in columns.items() if len(set(cells)) * 2 > len(cells)]
    found = {name: sum(map(bool, find(columns[name][:_SAMPLE]))) for name in ids}
    image = max(found, key=lambda name: found[name], default=None)
    if image is None or found[image] * 2 < min(len(sheet.rows), _SAMPLE):
        if not in_order:
            raise InputError(
                f"no column names images of the folder: of {', '.join(sheet.columns)}, the first row has "
                f"{', '.join(as_text(cell) for cell in sheet.rows[0])}. Give --images the folder to which the names "
                "are relative, or correct them."
            )
        image = None
    rest = {name: cells for name, cells in columns.items() if name != image}
    split = next((name for name, cells in rest.items() if {cell.lower() for cell in cells} <= set(SPLIT_NAMES)), None)
    rest.pop(split or "", None)
    flags = [name for name, cells in rest.items() if _are_flags(cells)]
    names = {name: by for name, cells in rest.items() if name not in flags and (by := _separator(cells)) is not None}
    called = [name for name in (*names, *flags) if name.lower() in _CALLED]
    if not names and not flags:
        raise InputError(
            f"no column holds labels: neither 0 and 1 in several columns, nor names that come again. The columns are "
            f"{', '.join(sheet.columns)}. Add one, or set data.columns.labels by hand."
        )
    if called and called[0] in names:
        labels: str | list[str] = called[0]
    elif flags:
        labels = flags
    else:
        labels = min(names, key=lambda name: len(set(rest[name])))
    separator = names[labels] if isinstance(labels, str) else ","
    named = columns[image] if image else [str(i) for i in range(len(sheet.rows))]
    files = [list(names) for names in find(named)]
    return _with_task(sheet, files, image, split, labels, separator)


def _are_flags(cells: Sequence[str]) -> bool:
    """Whether a column says yes and no."""
    known = {cell.lower() for cell in cells} - UNKNOWN - {""}
    return len(known) == 2 and known <= _FLAGS


def _separator(cells: Sequence[str]) -> str | None:
    """What stands between the names of a column of labels; None if it holds no labels."""
    full = [cell for cell in cells if cell and cell.lower() not in UNKNOWN]
    tried = []
    for separator in _SEPARATORS:
        rows = [[name.strip() for name in cell.split(separator) if name.strip()] for cell in full]
        # A list of flags in one cell, or a sentence, has the same again and again.
        if any(len(set(row)) < len(row) for row in rows):
            return None
        names = {name for row in rows for name in row}
        tried.append((len(names), all(len(row) < 2 for row in rows), separator))
    fewest, _, best = min(tried, key=lambda one: one[:2])
    return best if 2 <= fewest <= min(_MOST_NAMES, len(full) / 2) else None


def _with_task(
    sheet: Sheet, files: list[list[str]], image: str | None, split: str | None, labels: str | list[str], separator: str
) -> Understood:
    read = annotations(
        sheet, where="the sheet", image=image or sheet.columns[0], split=split, labels=labels, separator=separator,
        known=None, task="multilabel",
    )  # fmt: skip
    there = read.targets == 1
    one_each = bool(((there.sum(axis=1) == 1) | (read.missing.all(axis=1))).all())
    single = isinstance(labels, list) and len(labels) == 1
    task = "binary" if single or (one_each and len(read.labels) == 2) else "multiclass" if one_each else "multilabel"
    counts = Counter(dict(zip(read.labels, there.sum(axis=0).tolist(), strict=True)))
    without = int((~there.any(axis=1) & ~read.missing.any(axis=1)).sum())
    return Understood(
        image,
        split,
        labels,
        separator,
        task,
        dict(counts.most_common()),
        int(np.count_nonzero(read.missing)),
        without,
        files,
    )
