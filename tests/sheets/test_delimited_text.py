from pathlib import Path

import pytest

from counterweight.base.errors import InputError
from counterweight.sheets.delimited_text import read_delimited
from counterweight.sheets.spreadsheet import read_sheet
from counterweight.sheets.table_header import Cell

ROWS: list[list[Cell]] = [["id", "labels"], ["a", "sea,sky"], ["b", "ice"]]


@pytest.mark.parametrize(
    ("name", "text", "separated"),
    [
        ("s.csv", 'id,labels\na,"sea,sky"\nb,ice\n', None),
        ("s.csv", "id;labels\na;sea,sky\nb;ice\n", "semicolons"),
        ("s.csv", "id\tlabels\na\tsea,sky\nb\tice\n", "tabs"),
        ("s.csv", "id|labels\r\na|sea,sky\r\nb|ice\r\n", "vertical bars"),
        ("s.csv", "sep=;\nid;labels\na;sea,sky\nb;ice\n", "semicolons"),
        ("s.tsv", "id\tlabels\na\tsea,sky\nb\tice\n", None),
        ("s.txt", "id\tlabels\na\tsea,sky\nb\tice\n", None),
        ("s.txt", "id;labels\na;sea,sky\nb;ice\n", "semicolons"),
        ("s.txt", "id   labels\na    sea,sky\nb    ice  \n", "spaces"),
    ],
)
def test_the_delimiter_is_found_and_said(name: str, text: str, separated: str | None, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    notes = [f"{path}: its cells are separated by {separated}"] if separated else []
    assert read_delimited(path) == (ROWS, notes)


def test_text_that_excel_saves_as_unicode_is_read(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("id\tlabels\na\tsea,sky\nb\tice\n", encoding="utf-16")
    assert read_delimited(tmp_path / "s.txt")[0] == ROWS


def test_rows_that_end_early_do_not_change_the_delimiter(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("id,labels,note\na,sea;sky\nb,ice;sky,new\nc,sea;ice\nd,sea;ice\n")
    rows = [["id", "labels", "note"], ["a", "sea;sky"], ["b", "ice;sky", "new"], ["c", "sea;ice"], ["d", "sea;ice"]]
    assert read_delimited(tmp_path / "s.csv") == (rows, [])


def test_a_misplaced_quote_is_an_error_and_no_other_delimiter(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text('id;labels;size\na.jpg;cat;"big" one\n')
    with pytest.raises(InputError, match="not a CSV in UTF-8"):
        read_delimited(tmp_path / "s.csv")


def test_lines_of_a_name_and_flags_get_column_names(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("00001 1 NA 0 1\n00002 0 0 0 1\n")
    sheet = read_sheet(path)
    assert sheet.columns == ["column_1", "column_2", "column_3", "column_4", "column_5"]
    assert sheet.rows == [["00001", "1", "NA", "0", "1"], ["00002", "0", "0", "0", "1"]]
    assert sheet.place(0) == "row 1"
    assert sheet.notes == (
        f"{path}: its cells are separated by spaces",
        f"{path} has no row of column names, so they are column_1, column_2, column_3 and 2 more",
    )


def test_what_stands_above_the_table_is_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("My photographs\n\nid,labels\na,sea\n")
    sheet = read_sheet(path)
    assert (sheet.columns, sheet.rows, sheet.place(0)) == (["id", "labels"], [["a", "sea"]], "row 4")
    assert sheet.notes == (f"{path}: what stands above row 3, the first of the table, is left out",)


def test_text_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "s.tsv").write_bytes("id\tFrüh\n".encode("latin-1"))
    with pytest.raises(InputError, match="not a CSV in UTF-8"):
        read_delimited(tmp_path / "s.tsv")
