"""The user's sheet, followed by a row for each copy."""

from collections.abc import Iterator
from itertools import chain

import numpy as np
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
    row_of = {cell_text(cells[at_image]): i for i, cells in enumerate(sheet.rows)}
    # The table's row of each row of the sheet. Numbers, because a text per image takes several times the memory.
    table_rows = np.full(len(sheet.rows), -1)
    for table_row, image_id in enumerate(table["image_id"]):
        if image_id in row_of:
            table_rows[row_of[image_id]] = table_row
    for i, cells in enumerate(sheet.rows):  # Rows of the same image have the same one.
        table_rows[i] = table_rows[row_of[cell_text(cells[at_image])]]
    split_codes, splits = pd.factorize(table["split"])
    clusters = table["cluster"].to_numpy(np.int64, na_value=-1)

    def own_rows() -> Iterator[list[Cell]]:
        for cells, table_row in zip(sheet.rows, table_rows, strict=True):
            if table_row < 0:
                continue
            made = splits[split_codes[table_row]]
            row = [*cells, *([] if split else [made])]
            if made in ("val", UNUSED) and SPLIT_NAMES.get(cell_text(row[at_split]).lower()) != made:
                row[at_split] = made
            yield [*row, "", _cluster_cell(clusters[table_row])]

    def copy_rows() -> Iterator[list[Cell]]:
        is_copy = table["source_id"] != ""
        ids, source_ids = table["image_id"][is_copy], table["source_id"][is_copy]
        for image_id, source_id, cluster in zip(ids, source_ids, clusters[is_copy], strict=True):
            row = [*sheet.rows[row_of[source_id]], *([] if split else ["train"])]
            row[at_image] = image_id
            yield [*row, source_id, _cluster_cell(cluster)]

    return columns + added, chain(own_rows(), copy_rows())


def _cluster_cell(cluster: np.int64) -> Cell:
    return "" if cluster < 0 else int(cluster)
