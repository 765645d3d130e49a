"""The user's sheet, followed by a row for each copy."""

from collections.abc import Iterator
from itertools import chain

import pandas as pd

from counterweight.base.manifest import UNUSED
from counterweight.sheets.cells import SPLIT_NAMES, cell_text
from counterweight.sheets.spreadsheet import Sheet, free_name
from counterweight.sheets.table_header import Cell


def balanced_sheet(
    sheet: Sheet, table: pd.DataFrame, *, image: str, split: str | None
) -> tuple[list[str], Iterator[list[Cell]]]:
    """Append a row for each copy to the user's sheet.

    Parameters
    ----------
    sheet, table : Sheet, pandas.DataFrame
        The user's sheet, and a manifest with copies.
    image, split : str, str or None
        Columns with the image ids and the splits; None adds one named ``split``.

    Returns
    -------
    columns : list of str
        The sheet's own, then ``source_id`` and ``cluster``.
    rows : iterator of list of Cell
        The sheet's rows, in their order and unchanged, except that train rows moved to validation say ``val``, those
        that undersampling left out say ``unused``, and rows that are not in the table are missing; then the copies,
        each with its own id and the other cells of its source.
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
            image_id = cell_text(cells[at_image])
            if image_id not in split_of:
                continue
            row = [*cells, *([] if split else [split_of[image_id]])]
            made = split_of[image_id]
            if made in ("val", UNUSED) and SPLIT_NAMES.get(cell_text(row[at_split]).lower()) != made:
                row[at_split] = made
            yield [*row, "", cluster_of[image_id]]

    def copy_rows() -> Iterator[list[Cell]]:
        cells_of = {cell_text(cells[at_image]): cells for cells in sheet.rows}
        copies = table[table["source_id"] != ""]
        for image_id, source_id in zip(copies["image_id"], copies["source_id"], strict=True):
            row = [*cells_of[source_id], *([] if split else ["train"])]
            row[at_image] = image_id
            yield [*row, source_id, cluster_of[image_id]]

    return columns + added, chain(own_rows(), copy_rows())
