"""Which image a copy comes from, in the table and in the sheet, and how often it was drawn."""

from collections.abc import Iterator, Sequence
from itertools import chain

import pandas as pd

from stages.base import manifest
from stages.base.errors import raise_problems
from stages.core.balancing import MadeCopy, Source
from stages.core.labels import SPLIT_NAMES, as_text
from stages.core.workbook import Cell, Sheet, free_name


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


def balanced_sheet(
    sheet: Sheet, table: pd.DataFrame, *, image: str, split: str | None
) -> tuple[list[str], Iterator[list[Cell]]]:
    """The user's sheet with a row for each copy below it.

    Parameters
    ----------
    sheet : Sheet
        The user's.
    table : pandas.DataFrame
        A manifest with copies.
    image, split : str
        Names of the sheet's columns with the image's id and its split; where it has no split column (None), one
        named ``split`` is added.

    Returns
    -------
    columns : list of str
        The sheet's own, then ``source_id`` and ``cluster``.
    rows : iterator of list of Cell
        The sheet's rows in their order and as they were, but for train rows that went to validation, which say
        ``val``, and without those that the table does not have, which ingest dropped; then the copies, each with
        the cells of its source and its own id.
    """
    split_name = split or free_name("split", sheet.columns)
    columns = [*sheet.columns, *([] if split else [split_name])]
    added = [free_name("source_id", columns), free_name("cluster", columns)]
    at_image, at_split = columns.index(image), columns.index(split_name)
    by_id = table.set_index("image_id")
    split_of = by_id["split"].to_dict()
    cluster_of = {image_id: "" if pd.isna(c) else int(c) for image_id, c in by_id["cluster"].items()}

    def own_rows() -> Iterator[list[Cell]]:
        for cells in sheet.rows:
            image_id = as_text(cells[at_image])
            if image_id not in split_of:
                continue
            row = [*cells, *([] if split else [split_of[image_id]])]
            if split_of[image_id] == "val" and SPLIT_NAMES.get(as_text(row[at_split]).lower()) != "val":
                row[at_split] = "val"
            yield [*row, "", cluster_of[image_id]]

    def copy_rows() -> Iterator[list[Cell]]:
        cells_of = {as_text(cells[at_image]): cells for cells in sheet.rows}
        copies = table[table["source_id"] != ""]
        for image_id, source_id in zip(copies["image_id"], copies["source_id"], strict=True):
            row = [*cells_of[source_id], *([] if split else ["train"])]
            row[at_image] = image_id
            yield [*row, source_id, cluster_of[image_id]]

    return columns + added, chain(own_rows(), copy_rows())
