import numpy as np
import pytest
from sklearn.metrics import classification_report

from counterweight.metrics.confusion import confusion_table, confusions, report

CATS = np.array([[1, 0], [1, 0], [0, 1], [-1, -1]])
TAKEN_FOR = np.array([[True, False], [False, True], [False, True], [True, False]])


def test_of_one_label_an_image_there_is_a_matrix_of_classes() -> None:
    found = confusions(["cat", "dog"], CATS, {"argmax": TAKEN_FOR}, ["argmax"])
    assert found["argmax"].tolist() == [[1, 1], [0, 1]]


def test_of_any_number_of_labels_each_has_a_matrix() -> None:
    found = confusions(["sea", "sun"], np.array([[1, -1], [1, 1], [0, 1]]), {"0.5": TAKEN_FOR[:3]}, [])
    assert found["0.5"].tolist() == [[[1, 0], [1, 1]], [[0, 0], [0, 2]]]


def test_without_any_known_image_the_counts_are_0() -> None:
    given = {"argmax": TAKEN_FOR, "0.5": TAKEN_FOR}
    found = confusions(["cat", "dog"], np.full((4, 2), -1), given, ["argmax"])
    assert (found["argmax"].tolist(), found["0.5"].tolist()) == ([[0, 0], [0, 0]], [[[0, 0], [0, 0]]] * 2)


def test_table_of_classes_names_them() -> None:
    table = confusion_table(["cat", "dog"], {"argmax": np.array([[5, 1], [2, 3]])})
    assert table.columns.tolist() == ["decision", "label", "actual", "predicted", "count"]
    assert table.to_numpy().tolist() == [
        ["argmax", "", "cat", "cat", 5],
        ["argmax", "", "cat", "dog", 1],
        ["argmax", "", "dog", "cat", 2],
        ["argmax", "", "dog", "dog", 3],
    ]


def test_table_of_labels_says_0_and_1() -> None:
    table = confusion_table(["sea"], {"0.5": np.array([[[5, 1], [2, 3]]])})
    assert table.to_numpy().tolist() == [
        ["0.5", "sea", "0", "0", 5],
        ["0.5", "sea", "0", "1", 1],
        ["0.5", "sea", "1", "0", 2],
        ["0.5", "sea", "1", "1", 3],
    ]


def test_report_is_scikit_learns_below_its_title() -> None:
    there = np.array([[1, 0], [1, 1], [0, 1]])
    expected = classification_report(there, TAKEN_FOR[:3], target_names=["sea", "sun"], digits=3, zero_division=0)
    titles = {"0.5": "0.5: a label from 0.5 on", "tuned": "tuned: a label from 0.4 on"}
    found = report(["sea", "sun"], there, {"0.5": TAKEN_FOR[:3], "tuned": TAKEN_FOR[:3]}, titles)
    assert found == f"{titles['0.5']}\n\n{expected}\n\n{titles['tuned']}\n\n{expected}"


@pytest.mark.parametrize("targets", [np.zeros((0, 1), np.int8), np.full((2, 1), -1)])
def test_report_of_nothing_says_so(targets: np.ndarray) -> None:
    given = np.zeros(targets.shape, np.bool_)
    assert report(["sea"], targets, {"0.5": given}, {"0.5": "0.5"}) == "0.5\n\nnothing is known of these images\n"
