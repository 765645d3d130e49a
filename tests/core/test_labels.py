from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from stages.core.errors import InputError
from stages.core.labels import Annotations, annotations
from stages.core.workbook import Cell, Sheet

NAMES = ["id", "split", "target"]
FLAGS = ["id", "split", "cat", "dog"]


def read(columns: Sequence[str], *rows: Sequence[Cell], **changes: Any) -> Annotations:
    named = {"image": "id", "split": "split", "labels": "target", "separator": ",", "known": None}
    return annotations(Sheet(list(columns), [list(row) for row in rows]), where="labels.xlsx", **(named | changes))


def test_labels_are_those_that_occur_in_sorted_order() -> None:
    rows = read(NAMES, ["a", "train", "sunset,sea"], ["b", "test", "desert"])
    assert rows.labels == ["desert", "sea", "sunset"]
    assert rows.targets.tolist() == [[0, 1, 1], [1, 0, 0]]
    assert rows.targets.dtype == np.int8
    assert rows.problems == []


@pytest.mark.parametrize(
    ("cell", "separator", "target"),
    [
        ("sea,sky", ",", [1, 1]),
        (" sea ,  sky ", ",", [1, 1]),
        ("sky,sea,", ",", [1, 1]),
        ("sea,,sky", ",", [1, 1]),
        ("sea; sky", ";", [1, 1]),
        ("sea and sky", " and ", [1, 1]),
        ("sea,sea", ",", [1, 0]),
        ("", ",", [0, 0]),
        ("  ", ",", [0, 0]),
    ],
)
def test_names_are_separated_and_freed_of_spaces(cell: str, separator: str, target: list[int]) -> None:
    rows = read(NAMES, ["a", "train", cell], separator=separator, known=["sea", "sky"])
    assert (rows.targets.tolist(), rows.problems) == ([target], [])


def test_a_label_may_be_a_number() -> None:
    rows = read(NAMES, ["a", "train", 7.0], ["b", "train", "7,10"])
    assert (rows.labels, rows.targets.tolist()) == (["10", "7"], [[0, 1], [1, 1]])


def test_given_labels_keep_their_order_and_may_be_without_images() -> None:
    rows = read(NAMES, ["a", "train", "sea"], known=["sky", "sea", "desert"])
    assert (rows.labels, rows.targets.tolist()) == (["sky", "sea", "desert"], [[0, 1, 0]])


def test_a_label_that_is_not_given_is_named_with_its_row() -> None:
    rows = read(NAMES, ["a", "train", "sea"], ["b", "train", "sea,see"], known=["sea", "sky"])
    assert rows.problems == ["row 3: label 'see' is none of sea, sky. Correct it, or add it to data.labels."]


def test_a_sheet_without_any_label_is_a_problem() -> None:
    rows = read(NAMES, ["a", "train", ""], ["b", "test", ""])
    assert rows.problems == ["no row has a label. Set data.columns.labels to the column with the labels."]


@pytest.mark.parametrize("cell", [1, 1.0, True, "1", " 1 ", "True", "TRUE"])
def test_these_cells_are_one(cell: Cell) -> None:
    rows = read(FLAGS, ["a", "train", cell, 0], labels=["cat", "dog"])
    assert (rows.targets.tolist(), rows.problems) == ([[1, 0]], [])


@pytest.mark.parametrize("cell", [0, 0.0, -0.0, False, "0", "False", "FALSE"])
def test_these_cells_are_zero(cell: Cell) -> None:
    rows = read(FLAGS, ["a", "train", cell, 1], labels=["cat", "dog"])
    assert (rows.targets.tolist(), rows.problems) == ([[0, 1]], [])


@pytest.mark.parametrize(
    ("cell", "shown"), [("", ""), (2, "2"), (2.0, "2"), (0.5, "0.5"), (-1, "-1"), ("yes", "yes"), ("x ", "x")]
)
def test_any_other_cell_of_a_label_column_is_a_problem(cell: Cell, shown: str) -> None:
    rows = read(FLAGS, ["a", "train", 0, 1], ["b", "train", 1, cell], labels=["cat", "dog"])
    assert rows.problems == [f"row 3: label column 'dog' holds '{shown}'. It takes 0 or 1."]


def test_label_columns_are_the_labels_in_the_order_of_the_params() -> None:
    rows = read(FLAGS, ["a", "train", 1, 0], ["b", "train", 1, 1], labels=["dog", "cat"])
    assert (rows.labels, rows.targets.tolist()) == (["dog", "cat"], [[0, 1], [1, 1]])


def test_one_label_column_is_enough() -> None:
    rows = read(FLAGS, ["a", "train", 1, ""], ["b", "train", 0, ""], labels=["cat"])
    assert (rows.labels, rows.targets.tolist(), rows.problems) == (["cat"], [[1], [0]], [])


@pytest.mark.parametrize(
    ("cell", "image_id"),
    [(12.0, "12"), (12, "12"), ("0012", "0012"), (" a.jpg ", "a.jpg"), ("12.0", "12.0"), (1e15, "1" + "0" * 15)],
)
def test_an_id_is_what_excel_shows(cell: Cell, image_id: str) -> None:
    assert read(NAMES, [cell, "train", "sea"]).image_ids == [image_id]


def test_an_id_that_stands_there_twice_is_named_with_both_rows() -> None:
    rows = read(NAMES, ["a", "train", "sea"], ["b", "train", "sea"], ["a", "test", "sea"])
    assert rows.problems == ["row 4: image 'a' stands in row 2 already. Delete one of the rows."]


def test_a_number_and_the_same_number_as_text_are_one_id() -> None:
    rows = read(NAMES, [12.0, "train", "sea"], ["12", "train", "sea"])
    assert rows.problems == ["row 3: image '12' stands in row 2 already. Delete one of the rows."]


def test_an_empty_id_is_a_problem_and_not_the_same_as_another() -> None:
    rows = read(NAMES, ["", "train", "sea"], [" ", "train", "sea"])
    assert rows.problems == [
        "row 2: the image's id is empty. Fill the cell or delete the row.",
        "row 3: the image's id is empty. Fill the cell or delete the row.",
    ]


@pytest.mark.parametrize(
    ("cell", "split"),
    [
        ("train", "train"),
        ("Train ", "train"),
        ("val", "val"),
        ("valid", "val"),
        ("Validation", "val"),
        ("VAL", "val"),
        ("TEST", "test"),
    ],
)
def test_a_split_may_be_spelled_like_this(cell: str, split: str) -> None:
    rows = read(NAMES, ["a", cell, "sea"])
    assert (rows.splits, rows.problems) == ([split], [])


@pytest.mark.parametrize(("cell", "shown"), [("dev", "dev"), ("", ""), ("Training", "training"), (1.0, "1")])
def test_an_unknown_split_is_named_with_its_row(cell: Cell, shown: str) -> None:
    rows = read(NAMES, ["a", "train", "sea"], ["b", cell, "sea"])
    assert rows.problems == [f"row 3: split '{shown}' is none of train, val, test. Correct the cell."]


def test_a_sheet_may_have_no_split() -> None:
    rows = read(["id", "target"], ["a", "sea"], split=None)
    assert (rows.splits, rows.problems) == (None, [])


def test_all_problems_of_a_sheet_are_in_one_list() -> None:
    rows = read(NAMES, ["a", "dev", "sea"], ["a", "train", "see"], ["", "train", ""], known=["sea"])
    assert rows.problems == [
        "row 3: image 'a' stands in row 2 already. Delete one of the rows.",
        "row 4: the image's id is empty. Fill the cell or delete the row.",
        "row 2: split 'dev' is none of train, val, test. Correct the cell.",
        "row 3: label 'see' is none of sea. Correct it, or add it to data.labels.",
    ]


def test_missing_columns_are_named_together_with_those_there_are() -> None:
    with pytest.raises(InputError) as error:
        read(["file", "split", "cat"], ["a", "train", 1], labels=["cat", "dog"])
    assert str(error.value) == (
        "labels.xlsx: 2 problems\n"
        "  there is no column 'id' in row 1. Its columns are: file, split, cat. "
        "Set data.columns in params.yaml to the names in your sheet.\n"
        "  there is no column 'dog' in row 1. Its columns are: file, split, cat. "
        "Set data.columns in params.yaml to the names in your sheet."
    )


def test_the_sheet_is_left_as_it_was() -> None:
    sheet = Sheet(NAMES, [[12.0, " Train", "sea, sky"]])
    annotations(sheet, where="x", image="id", split="split", labels="target", separator=",", known=None)
    assert sheet == Sheet(["id", "split", "target"], [[12.0, " Train", "sea, sky"]])
