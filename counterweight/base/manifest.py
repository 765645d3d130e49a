"""Manifest: the table that runs through the pipeline, a CSV with one row per image, sorted by image id.

Columns, in this order: ``image_id``, ``path`` (in the folder that the previous stage wrote), ``split``, ``source_id``
(of a copy; empty for an original), ``cluster`` (of a train image; empty otherwise), a 0/1 column ``label:NAME`` per
label, and ``checksum`` (SHA-256 of the file at ``path``, or of the pixels if the images are an array). The cell of an
unknown label is empty, and ``MISSING``, -1, in memory. So test for ``targets(table) == 1``, and do not sum targets.
The split of a train image that undersampling left out is ``unused``; it keeps its cluster.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.base.errors import raise_problems
from counterweight.base.outputs import rows_at_once, write_table

SPLITS = ("train", "val", "test")
UNUSED = "unused"
LABEL = "label:"
MISSING = -1
TEXT = ("image_id", "path", "split", "source_id", "checksum")
_WRONG_LABEL, _WRONG_CLUSTER = "a label cell is not 0, 1 or empty", "a cluster is not a whole number"
_MAX_CLUSTER = 10**9
# How a label is written: absent, present, and MISSING, which is the last one.
_CELLS = np.array(["0", "1", ""], dtype=object)


def build(
    image_ids: Sequence[str],
    paths: Sequence[str],
    splits: Sequence[str],
    labels: Sequence[str],
    targets: NDArray[np.integer],
    checksums: Sequence[str],
    source_ids: Sequence[str] | None = None,
    clusters: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Build a valid manifest from its columns, sorted by image id; by default of originals without clusters.

    Parameters
    ----------
    image_ids, paths, splits, checksums : sequences of str
        One per image.
    labels : sequence of str
        Names of the labels, in the order of the columns of ``targets``.
    targets : array of int, shape (n_images, n_labels)
        1 if the image has the label, 0 if not, -1 if unknown.
    source_ids, clusters : sequences, optional
        One per image: empty for an original; ``pd.NA`` for an image outside train.
    """
    rows = len(image_ids)
    table = pd.DataFrame(
        {
            "image_id": pd.Series(image_ids, dtype="str"),
            "path": pd.Series(paths, dtype="str"),
            "split": pd.Series(splits, dtype="str"),
            "source_id": pd.Series([""] * rows if source_ids is None else source_ids, dtype="str"),
            "cluster": pd.Series([pd.NA] * rows if clusters is None else clusters, dtype="Int64"),
            **{LABEL + name: np.asarray(targets)[:, i].astype(np.int8) for i, name in enumerate(labels)},
            "checksum": pd.Series(checksums, dtype="str"),
        }
    )
    return _validated(table.sort_values("image_id", ignore_index=True), "table")


def read(path: Path, without: Collection[str] = ()) -> pd.DataFrame:
    """Read a manifest; raise InputError with all problems if it is invalid.

    Text columns are str (empty, never missing), ``cluster`` is Int64, labels are int8, -1 if unknown. ``path`` and
    ``checksum`` may be left out: they take most of the memory.
    """
    columns = pd.read_csv(path, dtype="str", nrows=0).columns
    _raise_problems([f"there is no column '{name}'" for name in (*TEXT, "cluster") if name not in columns], path)
    labels = [name for name in columns if name.startswith(LABEL)]
    # Numbers, and words that repeat, are read several times faster and into less memory than a text per cell.
    numbers = {"cluster": "float64", **dict.fromkeys(labels, "float32")}
    types, empty = dict.fromkeys(TEXT, "str") | {"split": "category"} | numbers, {name: [""] for name in numbers}
    kept = [name for name in columns if name not in without]
    rows = rows_at_once(len(columns))
    try:
        with pd.read_csv(
            path, dtype=types, keep_default_na=False, na_values=empty, usecols=kept, chunksize=rows
        ) as parts:
            table = pd.concat([_with_integers(part, labels, path)[kept] for part in parts], ignore_index=True)
    except ValueError:
        _raise_problems([f"{_WRONG_LABEL}, or {_WRONG_CLUSTER}"], path)
    return _validated(table, path)


def write(table: pd.DataFrame, path: Path) -> None:
    """Validate a manifest and write it atomically."""
    labels = [LABEL + name for name in label_names(_validated(table, path))]

    def with_text(part: pd.DataFrame) -> pd.DataFrame:
        # One array for all: with thousands of labels, a column at a time takes minutes.
        cells = pd.DataFrame(_CELLS[part[labels].to_numpy()], index=part.index, columns=labels, dtype=object)
        return pd.concat([part.drop(columns=labels), cells], axis=1)[table.columns]

    write_table(table, path, with_text)


def _with_integers(part: pd.DataFrame, labels: list[str], path: Path) -> pd.DataFrame:
    """Convert labels and clusters to integers; raise if one is not what a manifest has."""
    clusters = part["cluster"].dropna()
    if not ((clusters >= 0) & (clusters < _MAX_CLUSTER) & (clusters % 1 == 0)).all():
        _raise_problems([_WRONG_CLUSTER], path)
    cells = part[labels].to_numpy()
    if not (np.isnan(cells) | (cells == 0) | (cells == 1)).all():
        _raise_problems([_WRONG_LABEL], path)
    integers = pd.DataFrame(np.nan_to_num(cells, nan=MISSING).astype(np.int8), columns=labels, index=part.index)
    return pd.concat([part.drop(columns=labels).astype({"split": "str", "cluster": "Int64"}), integers], axis=1)


def label_names(table: pd.DataFrame) -> list[str]:
    """Return the names of the labels, in the order of their columns."""
    return [name.removeprefix(LABEL) for name in table.columns if name.startswith(LABEL)]


def targets(table: pd.DataFrame) -> NDArray[np.int8]:
    """Return the label matrix, int8, shape (n_images, n_labels): 1 present, 0 absent, -1 (`MISSING`) unknown."""
    return table[[LABEL + name for name in label_names(table)]].to_numpy(dtype=np.int8)


def with_targets(table: pd.DataFrame, split: str, targets: NDArray[np.integer]) -> pd.DataFrame:
    """Return a copy of the manifest with new labels, shape (n_rows, n_labels), for the rows of one split."""
    labels = [LABEL + name for name in label_names(table)]
    changed = table[labels].to_numpy(dtype=np.int8, copy=True)
    changed[(table["split"] == split).to_numpy()] = targets
    cells = pd.DataFrame(changed, columns=labels, index=table.index)
    return pd.concat([table.drop(columns=labels), cells], axis=1)[list(table.columns)]


def rows_of_split(table: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the rows of one split, in order, with an index from 0."""
    return table[table["split"] == split].reset_index(drop=True)


def _validated(table: pd.DataFrame, where: Path | str) -> pd.DataFrame:
    """Return the table if it is valid; raise with all problems otherwise."""
    ids, in_train, is_copy = table["image_id"], table["split"] == "train", table["source_id"] != ""
    wrong = []
    if not (ids.array[1:] > ids.array[:-1]).all():
        wrong = [f"image_id '{image_id}' occurs twice" for image_id in ids[ids.duplicated()].head(1)]
        wrong += ["the rows are not sorted by image_id"] if not ids.is_monotonic_increasing else []
    unknown = sorted(set(table["split"].unique()) - {*SPLITS, UNUSED})
    wrong += [f"split '{split}' is none of {', '.join(SPLITS)}" for split in unknown]
    if not label_names(table):
        wrong.append("there is no label column")
    elif not ((targets(table) >= MISSING) & (targets(table) <= 1)).all():
        wrong.append(_WRONG_LABEL)
    if (table["cluster"].notna() & ~in_train & (table["split"] != UNUSED)).any():
        wrong.append("a row outside train has a cluster")
    if (is_copy & ~in_train).any() or not _are_among(table["source_id"][is_copy], ids[in_train & ~is_copy]):
        wrong.append("a copy is not in train, or its source is not")
    _raise_problems(wrong, where)
    return table


def _are_among(wanted: pd.Series, ids: pd.Series) -> bool:
    """Return whether every text is among different ids. The texts are indexed, since they are fewer than the ids."""
    index, rows = pd.Index(wanted.unique()), rows_at_once(1)
    parts = (index.get_indexer(ids.iloc[start : start + rows]) >= 0 for start in range(0, len(ids), rows))
    return bool(sum(np.count_nonzero(part) for part in parts) >= len(index))


def _raise_problems(wrong: Sequence[str], where: Path | str) -> None:
    raise_problems([f"{problem}. Make the file again: dvc repro." for problem in wrong], str(where))
