"""Join the rows of an image: sheets in long form have one for each of its labels."""

from collections.abc import Mapping, Sequence

from counterweight.base.errors import raise_problems
from counterweight.sheets.cells import UnreadableCellError, cell_text, flag_values, join_names, label_names
from counterweight.sheets.spreadsheet import Sheet
from counterweight.sheets.table_header import Cell


def join_rows(
    sheet: Sheet,
    *,
    image: str,
    labels: str | Sequence[str],
    same: Sequence[str],
    separator: str,
    allowed: Sequence[str] | None = None,
    values: Mapping[str, Sequence[str]] | None = None,
    where: str,
) -> Sheet:
    """Return a sheet with one row per image, which has all labels of its rows and the other cells of the first.

    Parameters
    ----------
    sheet : Sheet
        The rows.
    image : str
        The column of image ids.
    labels : str or sequence of str
        The column of label names, whose names are joined; or the 0/1 columns, where 1 wins over 0, and both over a
        missing cell.
    same : sequence of str
        Columns that must be the same in all rows of an image, such as that of splits.
    separator, allowed, values
        How label cells are read, see `counterweight.dataset.annotations.read_annotations`.
    where : str
        Name of the sheet, for messages.

    Raises
    ------
    InputError
        If rows of an image differ in a column of ``same``.
    """
    at = {name: j for j, name in enumerate(sheet.columns)}
    rows_of: dict[str, list[int]] = {}
    for i, row in enumerate(sheet.rows):
        # An empty id is a problem of its own row.
        rows_of.setdefault(cell_text(row[at[image]]) or f"\0{i}", []).append(i)
    raise_problems(
        [
            f"{sheet.place(i)}: the column '{name}' has '{found}' for image '{image_id}', but '{first}' in "
            f"{sheet.place(rows[0])}. Correct one of them."
            for image_id, rows in rows_of.items()
            for i in rows[1:]
            for name in same
            if (found := cell_text(sheet.rows[i][at[name]])) != (first := cell_text(sheet.rows[rows[0]][at[name]]))
        ],
        where,
    )
    meanings = flag_values(values)
    joined = []
    for rows in rows_of.values():
        row = list(sheet.rows[rows[0]])
        for name in [labels] if isinstance(labels, str) else labels if len(rows) > 1 else []:
            cells = [sheet.rows[i][at[name]] for i in rows]
            if isinstance(labels, str):
                row[at[name]] = _joined_names(cells, separator, allowed)
            else:
                row[at[name]] = max(cells, key=lambda cell: meanings.get(cell_text(cell).lower(), 2))
        joined.append(row)
    firsts = [rows[0] for rows in rows_of.values()]
    files = None if sheet.files is None else [sheet.files[i] for i in firsts]
    return Sheet(sheet.columns, joined, [sheet.number(i) for i in firsts], files, sheet.notes)


def _joined_names(cells: Sequence[Cell], separator: str, allowed: Sequence[str] | None) -> Cell:
    """Return a cell with the names in all cells; the first cell, if it is alone, or if one cannot be read."""
    if len(cells) == 1:
        return cells[0]
    try:
        read = [label_names(cell, separator, allowed) for cell in cells]
    except UnreadableCellError as error:
        return str(error)
    names = list(dict.fromkeys(name for row in read for name in row or ()))
    return join_names(names, separator) if names else cells[0]
