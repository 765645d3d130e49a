"""Which image a copy comes from, in the table and in the sheet, and how often it was drawn."""

from collections.abc import Sequence

import pandas as pd

from counterweight.augmentation.allocation import MadeCopy, Source
from counterweight.base import manifest
from counterweight.base.errors import raise_problems


def train_sources(table: pd.DataFrame) -> list[Source]:
    """The train images, in the table's order."""
    train = manifest.of_split(table, "train")
    return [Source(*row) for row in zip(train["image_id"], train["path"], train["checksum"], strict=True)]


def with_copies(table: pd.DataFrame, copies: Sequence[MadeCopy]) -> pd.DataFrame:
    """The table with a row for each copy, which has its source's split, cluster and labels.

    Parameters
    ----------
    table : pandas.DataFrame
        A manifest with clusters.
    copies : sequence of MadeCopy
        What was made from its train rows.

    Raises
    ------
    InputError
        If a copy has the id of an image that is there already.
    """
    taken = set(table["image_id"]) & {copy.image_id for copy in copies}
    raise_problems(
        [
            f"image '{image_id}' has the name of a copy. Rename it in the sheet and the folder."
            for image_id in sorted(taken)
        ],
        "data.sheet",
    )
    row_of = {image_id: row for row, image_id in enumerate(table["image_id"])}
    rows = table.iloc[[row_of[copy.source.image_id] for copy in copies]].assign(
        image_id=[copy.image_id for copy in copies],
        path=[copy.path for copy in copies],
        source_id=[copy.source.image_id for copy in copies],
        checksum=[copy.checksum for copy in copies],
    )
    return pd.concat([table, rows]).sort_values("image_id", ignore_index=True)


def redrawn(copies: Sequence[MadeCopy], reasons: Sequence[str]) -> pd.DataFrame:
    """The copies that were drawn again.

    Parameters
    ----------
    copies : sequence of MadeCopy
        What was made.
    reasons : sequence of str
        What may be wrong with a draw.

    Returns
    -------
    pandas.DataFrame
        ``image_id``, and for each reason how many draws were refused for it; sorted by the first.
    """
    again = sorted((copy for copy in copies if copy.faults), key=lambda copy: copy.image_id)
    rows = [[copy.image_id, *(copy.faults.count(reason) for reason in reasons)] for copy in again]
    return pd.DataFrame(rows, columns=["image_id", *reasons])
