from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterweight.base import manifest
from counterweight.dataset.balanced_sheet import balanced_sheet
from counterweight.sheets.spreadsheet import Sheet
from counterweight.sheets.table_header import Cell

COLUMNS = ["id", "split", "target", "photographer"]
CELLS = st.text(max_size=8) | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.dates()


def row(sheet: tuple[list[str], Any], image_id: str) -> dict[str, Cell]:
    columns, rows = sheet
    return next(cells for line in rows if (cells := dict(zip(columns, line, strict=True)))["id"] == image_id)


@pytest.fixture
def with_two_copies() -> pd.DataFrame:
    """Two clusters in train, two copies of c, and one row each of validation and test."""
    ids = ["a.jpg", "b.jpg", "c.jpg", "c__copy1.jpg", "c__copy2.jpg", "t.jpg", "v.jpg"]
    return manifest.build(
        ids, ids, ["train"] * 5 + ["test", "val"], ["cat", "dog"],
        np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 1], [1, 1], [0, 1]]), ids,
        ["", "", "", "c.jpg", "c.jpg", "", ""], [0, 0, 1, 1, 1, pd.NA, pd.NA],
    )  # fmt: skip


@pytest.fixture
def sheet() -> Sheet:
    """The user's rows in their own order; v was moved from train to validation."""
    return Sheet(
        COLUMNS,
        [
            ["t.jpg", "Test", " cat,dog", "Ana"],
            ["c.jpg", "train", "dog", "Bo"],
            ["v.jpg", "train", "dog", "Bo"],
            ["a.jpg", "TRAIN", "cat", 7.0],
            ["b.jpg", "train", "cat", ""],
        ],
    )


def test_the_users_rows_come_first_unchanged_and_in_their_order(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    _, rows = balanced_sheet(sheet, with_two_copies, image="id", split="split")
    assert [line[: len(COLUMNS)] for line in list(rows)[:5] if line[0] != "v.jpg"] == [
        line for line in sheet.rows if line[0] != "v.jpg"
    ]


def test_two_rows_of_an_image_both_stay(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    twice = replace(sheet, rows=[*sheet.rows, ["a.jpg", "train", "cat", 8.0]])
    _, rows = balanced_sheet(twice, with_two_copies, image="id", split="split")
    assert [line for line in rows if line[0] == "a.jpg"] == [
        ["a.jpg", "TRAIN", "cat", 7.0, "", 0],
        ["a.jpg", "train", "cat", 8.0, "", 0],
    ]


def test_copies_come_last_with_their_sources_cells(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    columns, rows = balanced_sheet(sheet, with_two_copies, image="id", split="split")
    assert columns == ["id", "split", "target", "photographer", "source_id", "cluster"]
    assert list(rows)[5:] == [
        ["c__copy1.jpg", "train", "dog", "Bo", "c.jpg", 1],
        ["c__copy2.jpg", "train", "dog", "Bo", "c.jpg", 1],
    ]


def test_a_row_moved_to_validation_says_val(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    carved = row(balanced_sheet(sheet, with_two_copies, image="id", split="split"), "v.jpg")
    assert list(carved.values()) == ["v.jpg", "val", "dog", "Bo", "", ""]


def test_a_row_that_undersampling_left_out_says_unused(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    left_out = with_two_copies.assign(
        split=with_two_copies["split"].mask(with_two_copies["image_id"] == "b.jpg", "unused")
    )
    unused = row(balanced_sheet(sheet, left_out, image="id", split="split"), "b.jpg")
    assert list(unused.values()) == ["b.jpg", "unused", "cat", "", "", 0]


@pytest.mark.parametrize("word", ["val", "Valid", "VALIDATION"])
def test_the_users_own_word_for_validation_is_kept(word: str, sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    sheet.rows[2][1] = word
    assert row(balanced_sheet(sheet, with_two_copies, image="id", split="split"), "v.jpg")["split"] == word


def test_a_train_row_has_its_cluster(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    own = row(balanced_sheet(sheet, with_two_copies, image="id", split="split"), "a.jpg")
    assert list(own.values()) == ["a.jpg", "TRAIN", "cat", 7.0, "", 0]


def test_the_added_cells_of_a_test_row_are_empty(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    test = row(balanced_sheet(sheet, with_two_copies, image="id", split="split"), "t.jpg")
    assert list(test.values()) == ["t.jpg", "Test", " cat,dog", "Ana", "", ""]


def test_a_sheet_without_a_split_column_gets_one(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    without = Sheet(["id", "target"], [[line[0], line[2]] for line in sheet.rows])
    columns, rows = balanced_sheet(without, with_two_copies, image="id", split=None)
    assert columns == ["id", "target", "split", "source_id", "cluster"]
    assert [(line[0], line[2]) for line in rows] == [
        ("t.jpg", "test"),
        ("c.jpg", "train"),
        ("v.jpg", "val"),
        ("a.jpg", "train"),
        ("b.jpg", "train"),
        ("c__copy1.jpg", "train"),
        ("c__copy2.jpg", "train"),
    ]


def test_another_column_named_split_is_kept(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    other = Sheet(["id", "split"], [[line[0], "left"] for line in sheet.rows])
    columns, rows = balanced_sheet(other, with_two_copies, image="id", split=None)
    assert columns == ["id", "split", "split_2", "source_id", "cluster"]
    assert {line[1] for line in rows} == {"left"}


def test_the_users_cluster_column_is_kept_and_ours_is_named_cluster_2(
    sheet: Sheet, with_two_copies: pd.DataFrame
) -> None:
    own = Sheet(["id", "split", "cluster"], [[line[0], line[1], "north"] for line in sheet.rows])
    columns, rows = balanced_sheet(own, with_two_copies, image="id", split="split")
    assert columns == ["id", "split", "cluster", "source_id", "cluster_2"]
    assert {line[2] for line in rows} == {"north"}


def test_ours_gets_the_next_free_number_if_cluster_2_exists(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    own = Sheet([*COLUMNS, "cluster", "cluster_2"], [[*line, "", ""] for line in sheet.rows])
    columns, _ = balanced_sheet(own, with_two_copies, image="id", split="split")
    assert columns[-2:] == ["source_id", "cluster_3"]


def test_copies_of_an_image_with_a_numeric_id_follow_its_row() -> None:
    ids = ["12", "12__copy1", "7"]
    table = manifest.build(
        ids, ids, ["train", "train", "test"], ["cat"], np.array([[1], [1], [0]]), ids, ["", "12", ""], [0, 0, pd.NA]
    )
    own = Sheet(["id", "split", "cat"], [[12.0, "train", 1], [7.0, "test", 0]])
    _, rows = balanced_sheet(own, table, image="id", split="split")
    assert list(rows) == [
        [12.0, "train", 1, "", 0],
        [7.0, "test", 0, "", ""],
        ["12__copy1", "train", 1, "12", 0],
    ]


def test_rows_that_are_not_in_the_table_are_left_out(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    longer = Sheet(sheet.columns, [["gone.jpg", "train", "cat", ""], *sheet.rows, ["lost.jpg", "test", "dog", ""]])
    _, rows = balanced_sheet(longer, with_two_copies, image="id", split="split")
    assert [line[0] for line in rows] == [*(line[0] for line in sheet.rows), "c__copy1.jpg", "c__copy2.jpg"]


@settings(deadline=None, derandomize=True)
@given(extra=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6))
def test_test_rows_are_returned_unchanged(extra: list[tuple[Cell, Cell]]) -> None:
    ids = [f"t{i}.jpg" for i in range(len(extra))]
    all_ids, count = [*ids, "train.jpg", "train__copy1.jpg"], len(ids)
    table = manifest.build(
        all_ids, all_ids, ["test"] * count + ["train"] * 2, ["cat"], np.ones((count + 2, 1), dtype=np.int8), all_ids,
        [""] * (count + 1) + ["train.jpg"], [*[pd.NA] * count, 0, 0],
    )  # fmt: skip
    rows: list[list[Cell]] = [[image_id, " Test", *cells] for image_id, cells in zip(ids, extra, strict=True)]
    own = Sheet(["id", "split", "x", "y"], [*rows, ["train.jpg", "train", "", ""]])
    _, balanced = balanced_sheet(own, table, image="id", split="split")
    result = list(balanced)[: len(ids)]
    assert [line[:4] for line in result] == rows
    assert [line[4:] for line in result] == [["", ""]] * len(ids)
