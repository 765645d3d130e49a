import numpy as np
import pytest
from sklearn.metrics import classification_report

from counterweight.metrics.confusion import classification_reports, confusion_matrices, confusion_table

CATS = np.array([[1, 0], [1, 0], [0, 1], [-1, -1]])
PREDICTED = np.array([[True, False], [False, True], [False, True], [True, False]])


def test_single_label_decision_has_one_matrix_between_classes() -> None:
    result = confusion_matrices(["cat", "dog"], CATS, {"argmax": PREDICTED}, ["argmax"])
    assert result["argmax"].tolist() == [[1, 1], [0, 1]]


def test_multilabel_decision_has_one_matrix_per_label() -> None:
    result = confusion_matrices(["sea", "sun"], np.array([[1, -1], [1, 1], [0, 1]]), {"0.5": PREDICTED[:3]}, [])
    assert result["0.5"].tolist() == [[[1, 0], [1, 1]], [[0, 0], [0, 2]]]


def test_counts_are_0_without_known_images() -> None:
    predictions = {"argmax": PREDICTED, "0.5": PREDICTED}
    result = confusion_matrices(["cat", "dog"], np.full((4, 2), -1), predictions, ["argmax"])
    assert (result["argmax"].tolist(), result["0.5"].tolist()) == ([[0, 0], [0, 0]], [[[0, 0], [0, 0]]] * 2)


def test_table_names_classes() -> None:
    table = confusion_table(["cat", "dog"], {"argmax": np.array([[5, 1], [2, 3]])})
    assert table.columns.tolist() == ["decision", "label", "actual", "predicted", "count"]
    assert table.to_numpy().tolist() == [
        ["argmax", "", "cat", "cat", 5],
        ["argmax", "", "cat", "dog", 1],
        ["argmax", "", "dog", "cat", 2],
        ["argmax", "", "dog", "dog", 3],
    ]


def test_table_has_0_and_1_for_labels() -> None:
    table = confusion_table(["sea"], {"0.5": np.array([[[5, 1], [2, 3]]])})
    assert table.to_numpy().tolist() == [
        ["0.5", "sea", "0", "0", 5],
        ["0.5", "sea", "0", "1", 1],
        ["0.5", "sea", "1", "0", 2],
        ["0.5", "sea", "1", "1", 3],
    ]


def test_report_of_scikit_learn_follows_its_title() -> None:
    y_true = np.array([[1, 0], [1, 1], [0, 1]])
    expected = classification_report(y_true, PREDICTED[:3], target_names=["sea", "sun"], digits=3, zero_division=0)
    titles = {"0.5": "0.5: each label that scores at least 0.5", "tuned": "tuned: each label that scores at least 0.4"}
    result = classification_reports(["sea", "sun"], y_true, {"0.5": PREDICTED[:3], "tuned": PREDICTED[:3]}, titles)
    assert result == f"{titles['0.5']}\n\n{expected}\n\n{titles['tuned']}\n\n{expected}"


@pytest.mark.parametrize("y_true", [np.zeros((0, 1), np.int8), np.full((2, 1), -1)])
def test_report_without_known_labels_says_so(y_true: np.ndarray) -> None:
    report = classification_reports(["sea"], y_true, {"0.5": np.zeros(y_true.shape, np.bool_)}, {"0.5": "0.5"})
    assert report == "0.5\n\nno label of any image is known\n"


def test_partly_known_images_are_left_out_of_matrices_between_classes_and_counted_per_label() -> None:
    y_true, y_pred = np.array([[1, 0], [-1, 1]]), np.array([[True, False], [True, False]])
    matrices = confusion_matrices(["cat", "dog"], y_true, {"argmax": y_pred, "0.5": y_pred}, ["argmax"])
    assert matrices["argmax"].tolist() == [[1, 0], [0, 0]]
    assert matrices["0.5"].tolist() == [[[0, 0], [0, 1]], [[1, 0], [1, 0]]]


def test_partly_known_images_are_in_the_report() -> None:
    report = classification_reports(
        ["cat", "dog"], np.array([[1, -1], [-1, 1]]), {"0.5": np.array([[True, True], [False, False]])}, {"0.5": "0.5"}
    )
    # Precision, recall and F1 of each label: the prediction of an unknown dog does not count.
    assert [line.split() for line in report.splitlines()[4:6]] == [
        ["cat", "1.000", "1.000", "1.000", "1"],
        ["dog", "0.000", "0.000", "0.000", "1"],
    ]


def test_table_lists_every_decision() -> None:
    matrices = {"0.5": np.array([[[5, 1], [2, 3]], [[4, 2], [1, 4]]]), "argmax": np.array([[5, 1], [2, 3]])}
    table = confusion_table(["cat", "dog"], matrices)
    assert table["decision"].tolist() == ["0.5"] * 8 + ["argmax"] * 4
    assert table["count"].tolist() == [5, 1, 2, 3, 4, 2, 1, 4, 5, 1, 2, 3]


def test_report_counts_images_that_have_no_label() -> None:
    """A prediction for an image that is known to have no label lowers the precision."""
    y_true, y_pred = np.array([[1, 0], [0, 0]]), np.array([[True, False], [True, True]])
    expected = classification_report(y_true, y_pred, target_names=["sea", "sun"], digits=3, zero_division=0)
    assert classification_reports(["sea", "sun"], y_true, {"0.5": y_pred}, {"0.5": "0.5"}) == f"0.5\n\n{expected}"


def test_report_of_a_single_label_has_one_row() -> None:
    y_true, y_pred = np.array([[1], [0]]), np.array([[True], [True]])
    report = classification_reports(["sea"], y_true, {"0.5": y_pred}, {"0.5": "0.5"})
    assert [line.split()[0] for line in report.splitlines()[2:] if line.strip()][:2] == ["precision", "sea"]
    assert "0.500" in report
