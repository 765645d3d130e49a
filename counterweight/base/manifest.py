"""Manifest: the table that runs through the pipeline, a CSV with one row per image, sorted by image id.

Columns, in this order: ``image_id``, ``path`` (in the folder that the previous stage wrote), ``split``, ``source_id``
(of a copy; empty for an original), ``cluster`` (of a train image; empty otherwise), a 0/1 column ``label:NAME`` per
label, and ``checksum`` (SHA-256 of the file at ``path``, or of the pixels if the images are an array). The cell of an
unknown label is empty, and ``MISSING``, -1, in memory. So test for ``targets(table) == 1``, and do not sum targets.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.base.errors import raise_problems
from counterweight.base.outputs import write_table

SPLITS = ("train", "val", "test")
LABEL = "label:"
MISSING = -1
TEXT = ("image_id", "path", "split", "source_id", "checksum")


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
    """Build a manifest from its columns, sorted by image id.

    Parameters
    ----------
    image_ids, paths, splits, checksums : sequences of str
        One per image.
    labels : sequence of str
        Names of the labels, in the order of the columns of ``targets``.
    targets : array of int, shape (n_images, n_labels)
        1 if the image has the label, 0 if not, -1 if unknown.
    source_ids : sequence of str, optional
        Source image of each copy, empty for originals.
    clusters : sequence of int, optional
        Clusters of train images, ``pd.NA`` for others.

    Returns
    -------
    pandas.DataFrame
        A valid manifest.
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


def read(path: Path) -> pd.DataFrame:
    """Read and validate a manifest.

    Parameters
    ----------
    path : Path
        File written by `write`.

    Returns
    -------
    pandas.DataFrame
        Text columns are str (empty, never missing), ``cluster`` is Int64, labels are int8, -1 if unknown.

    Raises
    ------
    InputError
        If the manifest is invalid; all problems are reported.
    """
    text = pd.read_csv(path, dtype="str", keep_default_na=False)
    missing = [name for name in (*TEXT, "cluster") if name not in text.columns]
    raise_problems([f"there is no column '{name}'. Make the file again: dvc repro." for name in missing], str(path))
    if not text["cluster"].str.fullmatch(r"\d{0,9}").all():
        raise_problems(["a cluster is not a whole number. Make the file again: dvc repro."], str(path))
    table = text.copy()
    table["cluster"] = pd.to_numeric(text["cluster"].where(text["cluster"] != "")).astype("Int64")
    for column in text.columns[text.columns.str.startswith(LABEL)]:
        table[column] = text[column].map({"0": 0, "1": 1, "": MISSING}).fillna(2).astype("int8")
    return _validated(table, str(path))


def write(table: pd.DataFrame, path: Path) -> None:
    """Validate a manifest and write it atomically."""
    columns = [name for name in _validated(table, str(path)).columns if name.startswith(LABEL)]
    cells = {name: table[name].astype("Int8").mask(table[name] == MISSING) for name in columns}
    write_table(table.assign(**cells), path)


def label_names(table: pd.DataFrame) -> list[str]:
    """Return the names of the labels, in the order of their columns."""
    return [name.removeprefix(LABEL) for name in table.columns if name.startswith(LABEL)]


def targets(table: pd.DataFrame) -> NDArray[np.int8]:
    """Return the label matrix, int8, shape (n_images, n_labels): 1 present, 0 absent, -1 (`MISSING`) unknown."""
    return table[[name for name in table.columns if name.startswith(LABEL)]].to_numpy(dtype=np.int8)


def with_targets(table: pd.DataFrame, split: str, targets: NDArray[np.integer]) -> pd.DataFrame:
    """Return a copy of the manifest with new labels for one split.

    Parameters
    ----------
    table : pandas.DataFrame
        A manifest.
    split : str
        Split whose labels are replaced.
    targets : array of int, shape (n_rows, n_labels)
        New labels, in the order of the split's rows.
    """
    changed = table.copy()
    for i, name in enumerate(label_names(table)):
        changed.loc[table["split"] == split, LABEL + name] = np.asarray(targets)[:, i].astype(np.int8)
    return changed


def rows_of_split(table: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the rows of one split, in order, with an index from 0."""
    return table[table["split"] == split].reset_index(drop=True)


def _validated(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return the table if it is valid; raise with all problems otherwise."""
    again = "Make the file again: dvc repro."
    problems = []
    if not table["image_id"].is_unique:
        duplicate = table["image_id"][table["image_id"].duplicated()].iloc[0]
        problems.append(f"image_id '{duplicate}' occurs twice. {again}")
    if not table["image_id"].is_monotonic_increasing:
        problems.append(f"the rows are not sorted by image_id. {again}")
    unknown = sorted(set(table["split"]) - set(SPLITS))
    problems += [f"split '{split}' is none of {', '.join(SPLITS)}. {again}" for split in unknown]
    if not label_names(table):
        problems.append(f"there is no label column. {again}")
    elif not np.isin(targets(table), (0, 1, MISSING)).all():
        problems.append(f"a label cell is not 0, 1 or empty. {again}")
    if (table["cluster"].notna() & (table["split"] != "train")).any():
        problems.append(f"a row outside train has a cluster. {again}")
    is_copy = table["source_id"] != ""
    train_ids = table["image_id"][(table["split"] == "train") & ~is_copy]
    if (is_copy & (table["split"] != "train")).any() or not table["source_id"][is_copy].isin(train_ids).all():
        problems.append(f"a copy is not in train, or its source is not. {again}")
    raise_problems(problems, where)
    return table
