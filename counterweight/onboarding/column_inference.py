"""Infer the meaning of an unknown sheet's columns from their cells."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from counterweight.base.errors import InputError
from counterweight.dataset.annotations import read_annotations
from counterweight.dataset.label_sheet import LabelSheet, SheetConfig, joined
from counterweight.images.sources import ImageSource
from counterweight.onboarding.label_columns import find_flag_values, find_label_columns
from counterweight.sheets.cells import SPLIT_NAMES, cell_text
from counterweight.sheets.spreadsheet import Sheet

# Rows whose ids are looked up among the images.
_SAMPLE = 500
# Different cells of a column of images, as a part of all.
_MIN_DISTINCT = 0.05
# Part of the images that the cells of a column name if it is in long form, and part of the rows that repeat one.
_MOST_COVERED, _MIN_REPEATED = 0.9, 0.1
# Common names of columns of groups that must not be in two splits, in lower case without separators.
_GROUP_WORDS = ("patient", "subject", "lesion", "video", "clip", "slide", "burst", "group")
_GROUP_NUMBERS = (
    *_GROUP_WORDS, "person", "animal", "individual", "product", "sequence", "scene", "site", "camera", "case",
)  # fmt: skip
_GROUP_COLUMN_NAMES = {*_GROUP_WORDS, *(word + end for word in _GROUP_NUMBERS for end in ("id", "no", "number"))}
# Fewer different cells are no groups of images, but perhaps classes.
_MIN_GROUPS = 10
# Part of the cells of a column of splits that say one; the others are wrong, and ingest names them.
_MIN_SPLITS = 0.8


@dataclass(frozen=True)
class SheetSchema:
    """Inferred columns and task of a sheet.

    Attributes
    ----------
    image : str or None
        Column of image ids; None if row i is image i of an array.
    split : str or None
        Column of splits.
    labels : str or list of str
        Column of label names, or the 0/1 columns.
    separator : str
        Separates the names in a cell.
    task : str
        ``multilabel``, ``multiclass`` or ``binary``.
    counts : dict of str to int
        Images per label, the most common first.
    missing, without : int
        Numbers of missing label cells, and of rows without a label.
    files : list of list of str
        The images that each row's id matches.
    values : dict or None
        What 0/1 columns hold, if it is not 0 and 1; see ``data.values``.
    odd_splits : dict of str to int
        Cells of the column of splits that say none, and how often.
    group : str or None
        Column of groups that must not be in two splits.
    repeats : bool
        Whether images have several rows, whose labels were joined.
    nearly : list of (str, str)
        Ids that match an image only by `counterweight.images.near_names.near_names`, and that image.
    unknown : mapping of str to int
        Spellings of "unknown", such as NA, in the column of label names, and how often.
    absent_splits : list of str
        Those of train and test that no cell of the column of splits says.
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
    values: dict[str, list[str]] | None = None
    odd_splits: dict[str, int] = field(default_factory=dict)
    group: str | None = None
    repeats: bool = False
    nearly: list[tuple[str, str]] = field(default_factory=list)
    unknown: Mapping[str, int] = field(default_factory=dict)
    absent_splits: list[str] = field(default_factory=list)

    @property
    def matched(self) -> set[str]:
        """The images that have a row."""
        return {name for names in self.files for name in names}


def infer_schema(sheet: Sheet, source: ImageSource, *, in_order: bool, classes: list[str] | None = None) -> SheetSchema:
    """Infer the columns and the task of a sheet.

    Parameters
    ----------
    sheet : Sheet
        The rows.
    source : ImageSource
        The images.
    in_order : bool
        Whether a sheet without an image column is accepted; row i is then image i.
    classes : list of str, optional
        The label names, if they are known, as from class folders.

    Raises
    ------
    InputError
        If no column names images, or none holds labels.
    """
    columns = _texts(sheet)
    image = _image_column(columns, source, 0.5 if in_order else _MIN_DISTINCT)
    if image is None and not in_order:
        raise InputError(
            f"no column names images of the folder: of {', '.join(sheet.columns)}, the first row has "
            f"{', '.join(cell_text(cell) for cell in sheet.rows[0])}. Give --images the folder to which the names "
            "are relative, or correct them."
        )
    rest = {name: cells for name, cells in columns.items() if name != image}
    split = _split_column(rest)
    cells_of_split = rest.pop(split or "", [])
    odd_splits = Counter(cell for cell in cells_of_split if cell.lower() not in SPLIT_NAMES)
    said = {SPLIT_NAMES.get(cell.lower()) for cell in cells_of_split}
    absent = [name for name in ("train", "test") if split and name not in said]
    group = _group_column(rest)
    rest.pop(group or "", None)
    labels, separator = find_label_columns(rest, classes)
    values = find_flag_values([rest[name] for name in labels]) if isinstance(labels, list) else None
    rows = LabelSheet(sheet, image or sheet.columns[0], split, labels, classes, group)
    ids = [cell for cell in columns[image] if cell] if image else []
    repeats = len(ids) - len(set(ids)) >= max(_MIN_REPEATED * len(ids), 1)  # Few are mistakes, which ingest names.
    if repeats:
        rows = joined(rows, SheetConfig(image, split, labels, separator=separator, values=values), "the sheet")
        columns = _texts(rows.sheet)
    read = read_annotations(rows, where="the sheet", separator=separator, task="multilabel", values=values)
    positive = read.targets == 1
    one_each = ((positive.sum(axis=1) == 1) | read.missing.all(axis=1)).all()
    if (isinstance(labels, list) and len(labels) == 1) or (one_each and len(read.labels) == 2):
        task = "binary"
    else:
        task = "multiclass" if one_each else "multilabel"
    counts = Counter(dict(zip(read.labels, positive.sum(axis=0).tolist(), strict=True)))
    without = int((~positive.any(axis=1) & ~read.missing.any(axis=1)).sum())
    ids = columns[image] if image else [str(i) for i in range(len(sheet.rows))]
    files = [list(matches) for matches in source.find(ids)]
    lost = [i for i, names in enumerate(files) if not names]
    taken = {name for names in files for name in names}
    nearly = [(i, name) for i, name in zip(lost, source.near([ids[i] for i in lost], taken), strict=True) if name]
    for i, name in nearly:
        files[i] = [name]
    return SheetSchema(
        image, split, labels, separator, task, dict(counts.most_common()), int(np.count_nonzero(read.missing)), without,
        files, values, dict(odd_splits), group, repeats, [(ids[i], name) for i, name in nearly],
        read.unknown, absent,
    )  # fmt: skip


def _texts(sheet: Sheet) -> dict[str, list[str]]:
    return {name: [cell_text(row[j]) for row in sheet.rows] for j, name in enumerate(sheet.columns)}


def _group_column(columns: Mapping[str, Sequence[str]]) -> str | None:
    """Return the first column that is named as one of groups, with many different cells, which repeat."""
    for name, cells in columns.items():
        is_named = "".join(filter(str.isalnum, name.lower())) in _GROUP_COLUMN_NAMES
        if is_named and _MIN_GROUPS <= len(set(cells)) < len(cells):
            return name
    return None


def _split_column(columns: Mapping[str, Sequence[str]]) -> str | None:
    """Return the column in which most cells say a split, if there is one; not one that says the same of all rows."""
    shares = {
        name: sum(cell.lower() in SPLIT_NAMES for cell in cells) / len(cells)
        for name, cells in columns.items()
        if len({cell.lower() for cell in cells}) > 1
    }
    best = max(shares, key=lambda name: shares[name], default=None)
    return best if best is not None and shares[best] >= _MIN_SPLITS else None


def _image_column(columns: Mapping[str, Sequence[str]], source: ImageSource, least: float) -> str | None:
    """Return the column whose cells match most images, if at least half of them do, be it nearly.

    More than ``least`` of its cells are different ones, or there are about as many as images.
    """
    # In long form, images repeat, but not as often as labels or splits.
    distinct = {name: len(set(cells)) / max(len(cells), 1) for name, cells in columns.items()}
    most = _MOST_COVERED * len(source.names())
    samples = {
        name: list(cells[:_SAMPLE])
        for name, cells in columns.items()
        if distinct[name] > least or len(set(cells)) >= max(most, 2)
    }
    found = {name: sum(map(bool, source.find(cells))) / len(cells) for name, cells in samples.items()}
    image = max(found, key=lambda name: (found[name], distinct[name]), default=None)
    if image is not None and found[image] >= 0.5:
        return image
    near = {
        name: sum(map(bool, source.near(cells))) / len(cells)
        for name, cells in samples.items()
        if len(set(cells)) * 2 > len(cells)
    }
    image = max(near, key=lambda name: near[name], default=None)
    return image if image is not None and near[image] >= 0.5 else None
