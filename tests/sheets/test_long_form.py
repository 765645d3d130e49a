from typing import Any

import pytest

from counterweight.base.errors import InputError
from counterweight.sheets.long_form import join_rows
from counterweight.sheets.spreadsheet import Sheet
from counterweight.sheets.table_header import Cell


def joined(columns: list[str], rows: list[list[Cell]], labels: str | list[str], **options: Any) -> Sheet:
    settings = {"same": [], "separator": ",", "where": "s.csv"} | options
    return join_rows(Sheet(columns, rows), image="id", labels=labels, **settings)


def test_an_image_has_the_names_of_all_its_rows_once() -> None:
    rows: list[list[Cell]] = [["a", "sea", "x"], ["b", "", "y"], ["a", "sky,sea", "z"], ["a", "NA", ""]]
    sheet = joined(["id", "tag", "note"], rows, "tag")
    assert sheet.rows == [["a", "sea,sky", "x"], ["b", "", "y"]]
    assert [sheet.number(i) for i in range(2)] == [2, 3]


def test_names_with_the_separator_in_them_are_written_as_a_list() -> None:
    sheet = joined(["id", "tag"], [["a", "cow, bull"], ["a", "dog"]], "tag", allowed=["cow, bull", "dog"])
    assert sheet.rows == [["a", '["cow, bull", "dog"]']]


def test_rows_without_any_name_stay_missing() -> None:
    assert joined(["id", "tag"], [["a", "NA"], ["a", "NA"]], "tag").rows == [["a", "NA"]]


def test_1_wins_over_0_and_both_over_a_missing_cell() -> None:
    rows: list[list[Cell]] = [["a", 0.0, "", "NA"], ["a", 1.0, 0.0, ""]]
    assert joined(["id", "sea", "sky", "ice"], rows, ["sea", "sky", "ice"]).rows == [["a", 1.0, 0.0, "NA"]]


def test_rows_of_an_image_in_two_splits_are_an_error() -> None:
    rows: list[list[Cell]] = [["a", "sea", "train"], ["a", "sky", "test"]]
    with pytest.raises(InputError) as error:
        joined(["id", "tag", "split"], rows, "tag", same=["split"])
    assert str(error.value) == (
        "s.csv: 1 problem\n  row 3: the column 'split' has 'test' for image 'a', but 'train' in row 2. Correct one of "
        "them."
    )


def test_rows_without_an_id_are_not_joined() -> None:
    assert len(joined(["id", "tag"], [["", "sea"], ["", "sky"]], "tag").rows) == 2
