from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterweight.augmentation.allocation import MadeCopy, Source
from counterweight.augmentation.provenance import redrawn, train_sources, with_copies
from counterweight.base import manifest
from counterweight.base.errors import InputError
from counterweight.dataset.balanced_sheet import balanced_sheet
from counterweight.dataset.spreadsheet import Cell, Sheet

COLUMNS = ["id", "split", "target", "photographer"]


def row(sheet: tuple[list[str], Any], image_id: str) -> dict[str, Cell]:
    columns, rows = sheet
    return next(cells for line in rows if (cells := dict(zip(columns, line, strict=True)))["id"] == image_id)


def copy_of(source: Source, number: int) -> MadeCopy:
    name = source.path.replace(".jpg", f"__copy{number}.jpg")
    return MadeCopy(name, name, source, f"sum of {name}", ())


@pytest.fixture
def table() -> pd.DataFrame:
    """Two clusters in train, and a row each of validation and test."""
    return manifest.build(
        image_ids=["a.jpg", "b.jpg", "c.jpg", "t.jpg", "v.jpg"],
        paths=["a.jpg", "b.jpg", "c.jpg", "t.jpg", "v.jpg"],
        splits=["train", "train", "train", "test", "val"],
        labels=["cat", "dog"],
        targets=np.array([[1, 0], [1, 0], [0, 1], [1, 1], [0, 1]]),
        checksums=["sum a", "sum b", "sum c", "sum t", "sum v"],
        clusters=[0, 0, 1, pd.NA, pd.NA],
    )


@pytest.fixture
def with_two_copies(table: pd.DataFrame) -> pd.DataFrame:
    c = Source("c.jpg", "c.jpg", "sum c")
    return with_copies(table, [copy_of(c, 1), copy_of(c, 2)])


def test_copies_that_were_drawn_again_are_listed_with_the_reasons() -> None:
    c = Source("c.jpg", "c.jpg", "sum c")
    faults: list[tuple[str, ...]] = [("contrast",), (), ("uniform", "contrast", "uniform")]
    copies = [replace(copy_of(c, number), faults=wrong) for number, wrong in zip((3, 2, 1), faults, strict=True)]
    expected = pd.DataFrame({"image_id": ["c__copy1.jpg", "c__copy3.jpg"], "uniform": [2, 0], "contrast": [1, 1]})
    pd.testing.assert_frame_equal(redrawn(copies, ["uniform", "contrast"]), expected)


@pytest.fixture
def sheet() -> Sheet:
    """The user's rows in an order of their own; v was carved from train."""
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


def test_sources_are_the_train_images_in_the_tables_order(table: pd.DataFrame) -> None:
    assert train_sources(table) == [
        Source("a.jpg", "a.jpg", "sum a"),
        Source("b.jpg", "b.jpg", "sum b"),
        Source("c.jpg", "c.jpg", "sum c"),
    ]


def test_copy_inherits_labels_cluster_and_split(with_two_copies: pd.DataFrame) -> None:
    copy = with_two_copies.set_index("image_id").loc["c__copy1.jpg"]
    assert copy.to_dict() == {
        "path": "c__copy1.jpg",
        "split": "train",
        "source_id": "c.jpg",
        "cluster": 1,
        "label:cat": 0,
        "label:dog": 1,
        "checksum": "sum of c__copy1.jpg",
    }


def test_table_with_copies_is_sorted_and_keeps_the_rows_there_were(
    table: pd.DataFrame, with_two_copies: pd.DataFrame
) -> None:
    assert with_two_copies["image_id"].tolist() == [
        "a.jpg", "b.jpg", "c.jpg", "c__copy1.jpg", "c__copy2.jpg", "t.jpg", "v.jpg",
    ]  # fmt: skip
    own = with_two_copies[with_two_copies["source_id"] == ""].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, table)


def test_no_copies_leave_the_table_as_it_was(table: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(with_copies(table, []), table, check_dtype=False)


def test_table_given_is_not_changed(table: pd.DataFrame) -> None:
    before = table.copy()
    with_copies(table, [copy_of(Source("c.jpg", "c.jpg", "sum c"), 1)])
    pd.testing.assert_frame_equal(table, before)


def test_copy_with_the_id_of_an_image_is_an_error(table: pd.DataFrame) -> None:
    table.loc[3, "image_id"] = "c__copy1.jpg"
    with pytest.raises(InputError) as error:
        with_copies(table, [copy_of(Source("c.jpg", "c.jpg", "sum c"), 1)])
    assert str(error.value) == (
        "data.sheet: 1 problem\n  image 'c__copy1.jpg' has the name of a copy. Rename it in the sheet and the folder."
    )


def test_users_rows_come_first_in_their_order_and_as_they_were(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    _, rows = balanced_sheet(sheet, with_two_copies, image="id", split="split")
    assert [line[: len(COLUMNS)] for line in list(rows)[:5] if line[0] != "v.jpg"] == [
        line for line in sheet.rows if line[0] != "v.jpg"
    ]


def test_copies_come_last_with_their_sources_cells(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    columns, rows = balanced_sheet(sheet, with_two_copies, image="id", split="split")
    assert columns == ["id", "split", "target", "photographer", "source_id", "cluster"]
    assert list(rows)[5:] == [
        ["c__copy1.jpg", "train", "dog", "Bo", "c.jpg", 1],
        ["c__copy2.jpg", "train", "dog", "Bo", "c.jpg", 1],
    ]


def test_row_carved_for_validation_says_val(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    carved = row(balanced_sheet(sheet, with_two_copies, image="id", split="split"), "v.jpg")
    assert list(carved.values()) == ["v.jpg", "val", "dog", "Bo", "", ""]


@pytest.mark.parametrize("word", ["val", "Valid", "VALIDATION"])
def test_users_own_word_for_validation_stays(word: str, sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    sheet.rows[2][1] = word
    assert row(balanced_sheet(sheet, with_two_copies, image="id", split="split"), "v.jpg")["split"] == word


def test_train_row_says_its_cluster(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    own = row(balanced_sheet(sheet, with_two_copies, image="id", split="split"), "a.jpg")
    assert list(own.values()) == ["a.jpg", "TRAIN", "cat", 7.0, "", 0]


def test_added_cells_of_a_test_row_are_empty(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    test = row(balanced_sheet(sheet, with_two_copies, image="id", split="split"), "t.jpg")
    assert list(test.values()) == ["t.jpg", "Test", " cat,dog", "Ana", "", ""]


def test_sheet_without_a_split_column_gets_one(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
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


def test_column_named_split_that_holds_something_else_is_kept(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    other = Sheet(["id", "split"], [[line[0], "left"] for line in sheet.rows])
    columns, rows = balanced_sheet(other, with_two_copies, image="id", split=None)
    assert columns == ["id", "split", "split_2", "source_id", "cluster"]
    assert {line[1] for line in rows} == {"left"}


def test_users_cluster_column_is_kept_and_ours_is_named_cluster_2(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    own = Sheet(["id", "split", "cluster"], [[line[0], line[1], "north"] for line in sheet.rows])
    columns, rows = balanced_sheet(own, with_two_copies, image="id", split="split")
    assert columns == ["id", "split", "cluster", "source_id", "cluster_2"]
    assert {line[2] for line in rows} == {"north"}


def test_next_free_number_names_ours_where_cluster_2_is_taken(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    own = Sheet([*COLUMNS, "cluster", "cluster_2"], [[*line, "", ""] for line in sheet.rows])
    columns, _ = balanced_sheet(own, with_two_copies, image="id", split="split")
    assert columns[-2:] == ["source_id", "cluster_3"]


def test_id_that_is_a_number_names_its_copies() -> None:
    table = manifest.build(["12", "7"], ["12.jpg", "7.jpg"], ["train", "test"], ["cat"], np.array([[1], [0]]), "xy",
                           clusters=[0, pd.NA])  # fmt: skip
    copy = MadeCopy("12__copy1", "12__copy1.jpg", Source("12", "12.jpg", "x"), "z", ())
    own = Sheet(["id", "split", "cat"], [[12.0, "train", 1], [7.0, "test", 0]])
    _, rows = balanced_sheet(own, with_copies(table, [copy]), image="id", split="split")
    assert list(rows) == [
        [12.0, "train", 1, "", 0],
        [7.0, "test", 0, "", ""],
        ["12__copy1", "train", 1, "12", 0],
    ]


def test_rows_that_the_table_does_not_have_are_left_out(sheet: Sheet, with_two_copies: pd.DataFrame) -> None:
    longer = Sheet(sheet.columns, [["gone.jpg", "train", "cat", ""], *sheet.rows, ["lost.jpg", "test", "dog", ""]])
    _, rows = balanced_sheet(longer, with_two_copies, image="id", split="split")
    assert [line[0] for line in rows] == [*(line[0] for line in sheet.rows), "c__copy1.jpg", "c__copy2.jpg"]


CELLS = st.text(max_size=8) | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.dates()


@settings(deadline=None, derandomize=True)
@given(extra=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6))
def test_test_rows_come_back_to_the_letter(extra: list[tuple[Cell, Cell]]) -> None:
    ids = [f"t{i}.jpg" for i in range(len(extra))]
    table = manifest.build(
        [*ids, "train.jpg"],
        [*ids, "train.jpg"],
        ["test"] * len(ids) + ["train"],
        ["cat"],
        np.ones((len(ids) + 1, 1), dtype=np.int8),
        [""] * (len(ids) + 1),
        clusters=[*[pd.NA] * len(ids), 0],
    )
    copied = with_copies(table, [copy_of(Source("train.jpg", "train.jpg", ""), 1)])
    rows: list[list[Cell]] = [[image_id, " Test", *cells] for image_id, cells in zip(ids, extra, strict=True)]
    own = Sheet(["id", "split", "x", "y"], [*rows, ["train.jpg", "train", "", ""]])
    _, balanced = balanced_sheet(own, copied, image="id", split="split")
    came_back = list(balanced)[: len(ids)]
    assert [line[:4] for line in came_back] == rows
    assert [line[4:] for line in came_back] == [["", ""]] * len(ids)
