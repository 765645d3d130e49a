from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from counterweight.base.errors import InputError
from counterweight.dataset.annotations import Annotations, label_warnings, read_annotations, select_rows
from counterweight.dataset.label_sheet import LabelSheet
from counterweight.sheets.spreadsheet import Sheet
from counterweight.sheets.table_header import Cell

NAMES = ["id", "split", "target"]
FLAGS = ["id", "split", "cat", "dog"]
MERGE = ", or set data.duplicate_rows to merge, so that the image has the labels of both."


def read(
    columns: Sequence[str],
    *rows: Sequence[Cell],
    split: str | None = "split",
    labels: str | list[str] = "target",
    allowed_labels: list[str] | None = None,
    **changes: Any,
) -> Annotations:
    sheet = Sheet(list(columns), [list(row) for row in rows])
    options = {"separator": ",", "task": "multilabel"} | changes
    return read_annotations(LabelSheet(sheet, "id", split, labels, allowed_labels), where="labels.xlsx", **options)


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
def test_names_are_split_at_separators_and_stripped(cell: str, separator: str, target: list[int]) -> None:
    rows = read(NAMES, ["a", "train", cell], separator=separator, allowed_labels=["sea", "sky"])
    assert (rows.targets.tolist(), rows.problems) == ([target], [])


def test_a_label_may_be_a_number() -> None:
    rows = read(NAMES, ["a", "train", 7.0], ["b", "train", "7,10"])
    assert (rows.labels, rows.targets.tolist()) == (["10", "7"], [[0, 1], [1, 1]])


def test_allowed_labels_keep_their_order_and_may_have_no_images() -> None:
    rows = read(NAMES, ["a", "train", "sea"], allowed_labels=["sky", "sea", "desert"])
    assert (rows.labels, rows.targets.tolist()) == (["sky", "sea", "desert"], [[0, 1, 0]])


def test_a_label_that_is_not_allowed_is_reported_with_its_row() -> None:
    rows = read(NAMES, ["a", "train", "sea"], ["b", "train", "sea,see"], allowed_labels=["sea", "sky"])
    assert rows.problems == [
        "row 3: label 'see' is not one of sea, sky. Correct it, or add it to data.labels; or set data.separator "
        "otherwise, if the whole cell is one label."
    ]


def test_a_sheet_without_any_label_is_a_problem() -> None:
    rows = read(NAMES, ["a", "train", ""], ["b", "test", ""])
    assert rows.problems == ["no row has a label. Set data.columns.labels to the column with the labels."]


@pytest.mark.parametrize("cell", [1, 1.0, True, "1", " 1 ", "True", "TRUE"])
def test_cell_is_read_as_one(cell: Cell) -> None:
    rows = read(FLAGS, ["a", "train", cell, 0], labels=["cat", "dog"])
    assert (rows.targets.tolist(), rows.problems) == ([[1, 0]], [])


@pytest.mark.parametrize("cell", [0, 0.0, -0.0, False, "0", "False", "FALSE"])
def test_cell_is_read_as_zero(cell: Cell) -> None:
    rows = read(FLAGS, ["a", "train", cell, 1], labels=["cat", "dog"])
    assert (rows.targets.tolist(), rows.problems) == ([[0, 1]], [])


@pytest.mark.parametrize(("cell", "shown"), [(2, "2"), (2.0, "2"), (0.5, "0.5"), (-1, "-1"), ("x ", "x")])
def test_any_other_cell_of_a_label_column_is_a_problem(cell: Cell, shown: str) -> None:
    rows = read(FLAGS, ["a", "train", 0, 1], ["b", "train", 1, cell], labels=["cat", "dog"])
    assert rows.problems == [
        f"row 3: label column 'dog' holds '{shown}'. Give 0, 1, or NA for a missing label; or say in data.values what "
        "it means."
    ]


@pytest.mark.parametrize(("cell", "target"), [("yes", 1), ("No", 0), ("TRUE", 1), (False, 0)])
def test_label_cells_may_be_words(cell: Cell, target: int) -> None:
    rows = read(FLAGS, ["a", "train", 0, cell], labels=["cat", "dog"])
    assert (rows.targets.tolist(), rows.problems) == ([[0, target]], [])


@pytest.mark.parametrize(("cell", "target"), [(1, 1), ("-1", 0), (-1.0, 0), ("u", -1), ("NA", -1), ("", -1)])
def test_label_cells_hold_what_the_params_say(cell: Cell, target: int) -> None:
    values = {"positive": ["1"], "negative": ["-1"], "missing": ["U"]}
    rows = read(FLAGS, ["a", "train", -1, cell], labels=["cat", "dog"], values=values)
    assert (rows.targets.tolist(), rows.problems) == ([[0, target]], [])
    assert read(FLAGS, ["a", "train", -1, 0], labels=["cat", "dog"], values=values).problems


def test_a_list_that_cannot_be_read_is_a_problem() -> None:
    rows = read(NAMES, ["a", "train", "['sea', 'ice']"], ["b", "train", "[sea, ice]"])
    assert rows.labels == ["ice", "sea"]
    assert rows.problems == [
        "row 3: the label cell [sea, ice] looks like a list, but cannot be read as one. Write ['cat', 'dog'], or names "
        "with ',' between them; or add it to data.labels, if it is one label."
    ]


CAFES = ["caf\u00e9", "cafe\u0301"]  # composed and decomposed


def test_labels_that_differ_in_case_or_accents_are_warned_of() -> None:
    rows = read(NAMES, ["a", "train", "Cat,dog"], ["b", "train", "cat"], ["c", "train", ",".join(CAFES)])
    assert len(rows.labels) == 5
    assert label_warnings(rows, "mask") == [
        "labels that differ only in case, or in how accents are composed, are labels of their own: "
        f"{' and '.join(group)}. Correct the sheet, or, if they are in one column, set data.merge_labels to true"
        for group in (["Cat", "cat"], [CAFES[1], CAFES[0]])
    ]


def test_labels_that_differ_in_case_or_accents_are_merged_into_the_most_frequent() -> None:
    cells = ["cat", "Cat,dog", "CAT", "Cat", *CAFES, "cat,Cat"]
    rows = read(NAMES, *([str(i), "train", cell] for i, cell in enumerate(cells)), merge=True)
    assert rows.labels == ["Cat", CAFES[1], "dog"]
    assert rows.targets.sum(axis=0).tolist() == [5, 2, 1]
    assert label_warnings(rows, "mask") == []


def test_labels_are_merged_into_the_allowed_one() -> None:
    rows = read(NAMES, ["a", "train", "CAT"], ["b", "train", "cow"], allowed_labels=["cat", "dog"], merge=True)
    assert (rows.labels, rows.targets[0].tolist()) == (["cat", "dog"], [1, 0])
    assert rows.problems[0].startswith("row 3: label 'cow' is not one of cat, dog.")


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


def test_groups_may_be_in_the_names_of_images() -> None:
    ids = ["a_1.jpg", "cat/a_2.jpg", "b.jpg", "a_b_1"]
    rows = read(NAMES, *([image_id, "train", "sea"] for image_id in ids), group_pattern=r"(.+)_\d+")
    assert rows.groups == ["a", "a", "", "a_b"]


def test_a_repeated_id_is_reported_with_both_rows() -> None:
    rows = read(NAMES, ["a", "train", "sea"], ["b", "train", "sea"], ["a", "test", "sea"])
    assert rows.problems == ["row 4: image 'a' is already in row 2. Delete one of the rows" + MERGE]


def test_a_number_and_the_same_number_as_text_are_one_id() -> None:
    rows = read(NAMES, [12.0, "train", "sea"], ["12", "train", "sea"])
    assert rows.problems == ["row 3: image '12' is already in row 2. Delete one of the rows" + MERGE]


def test_each_empty_id_is_a_problem_of_its_own() -> None:
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
        ("dev", "val"),
        ("Training", "train"),
        ("testing", "test"),
    ],
)
def test_split_may_be_spelled_in_several_ways(cell: str, split: str) -> None:
    rows = read(NAMES, ["a", cell, "sea"])
    assert (rows.splits, rows.problems) == ([split], [])


@pytest.mark.parametrize(("cell", "shown"), [("tset", "tset"), ("", ""), ("Train 2", "train 2"), (1.0, "1")])
def test_an_unknown_split_is_reported_with_its_row(cell: Cell, shown: str) -> None:
    rows = read(NAMES, ["a", "train", "sea"], ["b", cell, "sea"])
    assert rows.problems == [f"row 3: split '{shown}' is not one of train, val, test. Correct the cell."]


def test_a_sheet_may_have_no_split_column() -> None:
    rows = read(["id", "target"], ["a", "sea"], split=None)
    assert (rows.splits, rows.problems) == (None, [])


def test_all_problems_of_a_sheet_are_in_one_list() -> None:
    rows = read(NAMES, ["a", "tset", "sea"], ["a", "train", "see"], ["", "train", ""], allowed_labels=["sea"])
    assert rows.problems == [
        "row 3: image 'a' is already in row 2. Delete one of the rows" + MERGE,
        "row 4: the image's id is empty. Fill the cell or delete the row.",
        "row 2: split 'tset' is not one of train, val, test. Correct the cell.",
        "row 3: label 'see' is not one of sea. Correct it, or add it to data.labels.",
    ]


def test_missing_columns_are_reported_together_with_the_existing_ones() -> None:
    with pytest.raises(InputError) as error:
        read(["file", "split", "cat"], ["a", "train", 1], labels=["cat", "dog"])
    assert str(error.value) == (
        "labels.xlsx: 2 problems\n"
        "  there is no column 'id'. Its columns are: file, split, cat. "
        "Set data.columns in params.yaml to the names in your sheet.\n"
        "  there is no column 'dog'. Its columns are: file, split, cat. "
        "Set data.columns in params.yaml to the names in your sheet."
    )


def test_the_sheet_is_not_changed() -> None:
    sheet = Sheet(NAMES, [[12.0, " Train", "sea, sky"]])
    read_annotations(LabelSheet(sheet, "id", "split", "target", None), where="x", separator=",", task="multilabel")
    assert sheet == Sheet(["id", "split", "target"], [[12.0, " Train", "sea, sky"]])


@pytest.mark.parametrize("cell", ["", " ", "NA", "na", "NaN", "nan", "N/A", "#N/A", float("nan")])
def test_cell_of_a_label_column_is_missing(cell: Cell) -> None:
    rows = read(FLAGS, ["a", "train", cell, 1], labels=["cat", "dog"])
    assert (rows.targets.tolist(), rows.missing.tolist(), rows.problems) == ([[-1, 1]], [[True, False]], [])


@pytest.mark.parametrize("cell", ["NA", " na ", "NaN", "N/A", float("nan")])
def test_an_na_cell_in_a_column_of_names_makes_all_labels_of_the_row_missing(cell: Cell) -> None:
    rows = read(NAMES, ["a", "train", "sea,sky"], ["b", "train", cell])
    assert (rows.labels, rows.targets.tolist(), rows.problems) == (["sea", "sky"], [[1, 1], [-1, -1]], [])


def test_an_empty_cell_in_a_column_of_names_means_no_label() -> None:
    rows = read(NAMES, ["a", "train", "sea"], ["b", "train", ""])
    assert (rows.targets.tolist(), rows.missing.any()) == ([[1], [0]], False)


def test_na_is_a_label_if_it_is_allowed() -> None:
    rows = read(
        NAMES, ["a", "train", "NA"], ["b", "train", "ZA,NA"], ["c", "train", "NaN"], allowed_labels=["NA", "ZA"]
    )
    assert rows.targets.tolist() == [[1, 0], [1, 1], [-1, -1]]


def test_na_among_other_names_is_a_label() -> None:
    assert read(NAMES, ["a", "train", "ZA,NA"]).labels == ["NA", "ZA"]


def test_a_cell_that_is_an_allowed_label_is_not_split() -> None:
    rows = read(NAMES, ["a", "train", "cats, dogs"], ["b", "train", "dogs"], allowed_labels=["cats, dogs", "dogs"])
    assert (rows.targets.tolist(), rows.problems) == ([[1, 0], [0, 1]], [])


def test_missing_cells_read_as_negative_are_still_marked_as_missing() -> None:
    rows = read(FLAGS, ["a", "train", "NA", 1], ["b", "test", 0, ""], labels=["cat", "dog"], negative=True)
    assert (rows.targets.tolist(), rows.targets.dtype) == ([[0, 1], [0, 0]], np.int8)
    assert (rows.missing.tolist(), rows.problems) == ([[True, False], [False, True]], [])


def test_multiclass_names_become_one_column_per_class() -> None:
    rows = read(NAMES, ["a", "train", "cat"], ["b", "train", " dog "], ["c", "test", "emu"], task="multiclass")
    assert rows.labels == ["cat", "dog", "emu"]
    assert (rows.targets.tolist(), rows.problems) == ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [])


@pytest.mark.parametrize("cell", ["", " ", ",", "NA", "NaN"])
def test_binary_row_with_an_empty_cell_is_missing_as_a_whole(cell: str) -> None:
    rows = read(NAMES, ["a", "train", "cat"], ["b", "train", cell], ["c", "train", "dog"], task="binary")
    assert (rows.targets.tolist(), rows.problems) == ([[1, 0], [-1, -1], [0, 1]], [])


def test_two_classes_on_one_image_are_reported_with_the_row() -> None:
    rows = read(NAMES, ["a", "train", "cat"], ["b", "train", "dog,cat"], ["c", "train", "dog,dog"], task="multiclass")
    assert rows.problems == [
        "row 3: the image has cat and dog, and data.task multiclass needs exactly one class per image. Correct the "
        "row, or set data.task to multilabel; or data.separator, if its label has the separator in it."
    ]


def test_a_class_that_is_not_allowed_is_one_problem() -> None:
    rows = read(NAMES, ["a", "train", "emu"], allowed_labels=["cat", "dog"], task="multiclass")
    assert rows.problems == ["row 2: label 'emu' is not one of cat, dog. Correct it, or add it to data.labels."]


@pytest.mark.parametrize(
    ("cells", "target"),
    [
        ([1, 0], [1, 0]),
        (["NA", 1], [0, 1]),  # one class rules out the others
        (["NA", 0], [-1, -1]),
        (["", ""], [-1, -1]),
    ],
)
def test_multiclass_row_of_flags_is_known_or_missing_as_a_whole(cells: list[Cell], target: list[int]) -> None:
    rows = read(FLAGS, ["a", "train", *cells], labels=["cat", "dog"], task="multiclass")
    assert (rows.targets.tolist(), rows.problems) == ([target], [])


@pytest.mark.parametrize(("cells", "classes"), [([1, 1], "cat and dog"), ([0, 0], "no class")])
def test_binary_row_with_several_classes_or_none_is_a_problem(cells: list[Cell], classes: str) -> None:
    rows = read(FLAGS, ["a", "train", 1, 0], ["b", "train", *cells], labels=["cat", "dog"], task="binary")
    assert rows.problems == [
        f"row 3: the image has {classes}, and data.task binary needs exactly one class per image. Correct the row, or "
        "set data.task to multilabel; or data.separator, if its label has the separator in it."
    ]


def test_a_single_binary_column_is_a_class_and_its_complement() -> None:
    rows = read(
        FLAGS, ["a", "train", 1, 0], ["b", "train", 0, 0], ["c", "test", "NA", 0], labels=["cat"], task="binary"
    )
    assert rows.labels == ["not cat", "cat"]
    assert (rows.targets.tolist(), rows.problems) == ([[0, 1], [1, 0], [-1, -1]], [])


def test_a_column_of_two_numbers_is_two_classes() -> None:
    rows = read(NAMES, ["a", "train", 1.0], ["b", "train", 0.0], task="binary")
    assert (rows.labels, rows.targets.tolist()) == (["0", "1"], [[0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("task", "allowed_labels", "sentence"),
    [
        ("binary", ["a", "b", "c"], "there are 3 classes (a, b, c), but data.task binary needs two. "),
        ("binary", ["a"], "there are 1 classes (a), but data.task binary needs two. "),
        ("multiclass", ["a"], "there are 1 classes (a), but data.task multiclass needs two or more. "),
    ],
)
def test_a_number_of_classes_that_does_not_fit_the_task_is_a_problem(
    task: str, allowed_labels: list[str], sentence: str
) -> None:
    rows = read(NAMES, ["a", "train", "a"], allowed_labels=allowed_labels, task=task)
    assert rows.problems == [f"{sentence}Correct data.task, data.labels or data.columns.labels."]


def test_a_missing_class_cannot_be_read_as_negative() -> None:
    rows = read(NAMES, ["a", "train", "cat"], ["b", "train", ""], ["c", "train", "dog"], task="binary", negative=True)
    assert rows.problems == [
        "row 3: the class is missing, and data.missing negative needs one for each image. Fill the cell, or set "
        "data.missing to mask."
    ]


def test_selected_rows_keep_ids_splits_and_targets() -> None:
    rows = select_rows(
        read(FLAGS, ["a", "train", 1, 0], ["b", "val", 0, 0], ["c", "test", "", 1], labels=["cat", "dog"]), [0, 2]
    )
    assert (rows.image_ids, rows.splits, rows.targets.tolist()) == (["a", "c"], ["train", "test"], [[1, 0], [-1, 1]])
    assert rows.missing.tolist() == [[False, False], [True, False]]


def test_missing_cells_are_counted_per_label_with_their_treatment() -> None:
    rows = read(FLAGS, ["a", "train", 1, ""], ["b", "train", 0, "NA"], labels=["cat", "dog"])
    assert label_warnings(rows, "mask") == [
        "label cells are missing, 2 of 'dog': they are left out of loss and metrics"
    ]


def test_classes_that_say_na_are_told() -> None:
    rows = read(NAMES, ["a", "train", "NA"], ["b", "train", "cat"], ["c", "train", "dog"], task="multiclass")
    assert label_warnings(rows, "mask")[1:] == [
        "label cells read as unknown: 1 'NA'. If one of these is a class, name all classes in data.labels"
    ]


def test_images_without_a_label_are_counted() -> None:
    rows = read(FLAGS, ["a", "train", 0, 0], ["b", "train", 1, 0], labels=["cat", "dog"])
    assert label_warnings(rows, "mask") == ["1 rows have no label; they count as images that show none"]
