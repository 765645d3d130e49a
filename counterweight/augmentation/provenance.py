"""The source of each copy, in the table, and how it came about."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from counterweight.augmentation.allocation import MadeCopy, Source
from counterweight.base import manifest
from counterweight.base.errors import raise_problems


def train_sources(table: pd.DataFrame) -> list[Source]:
    """Return the train images, in the order of the table."""
    train = manifest.rows_of_split(table, "train")
    return [Source(*row) for row in zip(train["image_id"], train["path"], train["checksum"], strict=True)]


def append_copies(table: pd.DataFrame, copies: Sequence[MadeCopy], left_out: Sequence[str] = ()) -> pd.DataFrame:
    """Add a row per copy to a manifest, with the split, cluster and labels of its source, and sort it by image id.

    The split of images that are left out becomes ``unused``.

    Raises
    ------
    InputError
        If a copy has the id of an image of the table.
    """
    clashes = sorted(set(table["image_id"]) & {copy.image_id for copy in copies})
    raise_problems(
        [f"image '{image_id}' has the name of a copy. Rename it in the sheet and the folder." for image_id in clashes],
        "data.sheet",
    )
    row_of = {image_id: row for row, image_id in enumerate(table["image_id"])}
    rows = table.iloc[[row_of[copy.source.image_id] for copy in copies]].assign(
        image_id=[copy.image_id for copy in copies],
        path=[copy.path for copy in copies],
        source_id=[copy.source.image_id for copy in copies],
        checksum=[copy.checksum for copy in copies],
    )
    split = table["split"].mask(table["image_id"].isin(left_out), manifest.UNUSED)
    return pd.concat([table.assign(split=split), rows]).sort_values("image_id", ignore_index=True)


def arm_table(table: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Return what an arm is trained and judged on.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest with the copies.
    arm : str
        Remedies joined by ``+``, such as ``copies+weights``, or ``nothing``.

    Returns
    -------
    pandas.DataFrame
        The manifest without the clusters, which training does not read, so that other clusters train nothing again if
        they lead to the same copies. If copies are a remedy of the arm, it is without the images that were left out;
        otherwise, without the copies.
    """
    if "copies" in arm.split("+"):
        rows = table[table["split"] != manifest.UNUSED]
    else:
        rows = table[table["source_id"] == ""].replace({"split": {manifest.UNUSED: "train"}})
    return rows.assign(cluster=pd.array([pd.NA] * len(rows), dtype="Int64")).reset_index(drop=True)


def cluster_sizes(table: pd.DataFrame) -> dict[str, int]:
    """Return the number of train images, with copies, of each cluster of a manifest, by its name, ascending."""
    clusters = manifest.rows_of_split(table, "train")["cluster"]
    return {str(cluster): int(size) for cluster, size in clusters.value_counts().sort_index().items()}


def copies_table(copies: Sequence[MadeCopy], reasons: Sequence[str]) -> pd.DataFrame:
    """Return how each copy came about.

    The columns are ``image_id``, by which rows are sorted; per reason the number of draws rejected for it; and
    ``by_fallback`` and ``shown`` of `MadeCopy`, rounded down to four digits, so that what is below 1 stays so.
    """
    rows = [
        [copy.image_id, *(copy.rejections.count(reason) for reason in reasons), copy.by_fallback, copy.shown]
        for copy in sorted(copies, key=lambda copy: copy.image_id)
    ]
    table = pd.DataFrame(rows, columns=["image_id", *reasons, "by_fallback", "shown"])
    return table.assign(shown=np.floor(table["shown"].astype(float) * 1e4) / 1e4)
