import numpy as np
import pytest
from sklearn.metrics import auc, classification_report, roc_auc_score

from counterweight.metrics.plot_tables import (
    MAX_POINTS,
    classification_reports,
    confusion_matrices,
    confusion_table,
    precision_recall_table,
    roc_table,
)

CATS = np.array([[1, 0], [1, 0], [0, 1], [-1, -1]])
PREDICTED = np.array([[True, False], [False, True], [False, True], [True, False]])
Y_TRUE = np.array([[1], [0], [1], [0]])
SCORES = np.array([[0.9], [0.5], [0.3], [0.1]])


def test_single_label_decision_has_one_matrix_between_classes() -> None:
    result = confusion_matrices(["cat", "dog"], CATS, {"argmax": PREDICTED}, ["argmax"])
    assert result["argmax"].toarray().tolist() == [[1, 1], [0, 1]]


def test_multilabel_decision_has_one_matrix_per_label() -> None:
    result = confusion_matrices(["sea", "sun"], np.array([[1, -1], [1, 1], [0, 1]]), {"0.5": PREDICTED[:3]}, [])
    assert result["0.5"].tolist() == [[[1, 0], [1, 1]], [[0, 0], [0, 2]]]


def test_counts_are_0_without_known_images() -> None:
    predictions = {"argmax": PREDICTED, "0.5": PREDICTED}
    result = confusion_matrices(["cat", "dog"], np.full((4, 2), -1), predictions, ["argmax"])
    assert (result["argmax"].toarray().tolist(), result["0.5"].tolist()) == ([[0, 0], [0, 0]], [[[0, 0], [0, 0]]] * 2)


def test_table_names_classes() -> None:
    table = confusion_table(["cat", "dog"], {"argmax": np.array([[5, 1], [2, 3]])})
    assert table.columns.tolist() == ["decision", "label", "actual", "predicted", "count"]
    assert table.to_numpy().tolist() == [
        ["argmax", "", "cat", "cat", 5],
        ["argmax", "", "cat", "dog", 1],
        ["argmax", "", "dog", "cat", 2],
        ["argmax", "", "dog", "dog", 3],
    ]


def test_of_many_classes_pairs_that_do_not_occur_are_left_out() -> None:
    labels = [f"class {i}" for i in range(61)]
    y_true, y_pred = np.eye(61, dtype=int)[[0, 0, 5]], np.eye(61, dtype=int)[[60, 60, 5]]
    table = confusion_table(labels, confusion_matrices(labels, y_true, {"argmax": y_pred}, ["argmax"]))
    assert table.to_numpy().tolist() == [
        ["argmax", "", "class 0", "class 60", 2],
        ["argmax", "", "class 5", "class 5", 1],
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
    assert matrices["argmax"].toarray().tolist() == [[1, 0], [0, 0]]
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


def test_roc_by_hand() -> None:
    table = roc_table(["sea"], Y_TRUE, SCORES)
    assert table.columns.tolist() == ["label", "threshold", "false_positive_rate", "true_positive_rate"]
    assert table["label"].tolist() == ["sea"] * 5
    assert table["threshold"].tolist() == [pytest.approx(np.nan, nan_ok=True), 0.9, 0.5, 0.3, 0.1]
    assert table["false_positive_rate"].tolist() == [0, 0, 0.5, 0.5, 1]
    assert table["true_positive_rate"].tolist() == [0, 0.5, 0.5, 1, 1]


def test_precision_recall_by_hand() -> None:
    table = precision_recall_table(["sea"], Y_TRUE, SCORES)
    assert table.columns.tolist() == ["label", "threshold", "recall", "precision"]
    assert table["threshold"].tolist() == [pytest.approx(np.nan, nan_ok=True), 0.9, 0.5, 0.3, 0.1]
    assert table["recall"].tolist() == [0, 0.5, 0.5, 1, 1]
    assert table["precision"].tolist() == [1, 1, 0.5, 2 / 3, 0.5]


def test_long_curve_is_thinned_and_keeps_its_ends_and_its_area() -> None:
    rng = np.random.default_rng(0)
    y_true = (rng.random((5000, 2)) < 0.4).astype(np.int8)
    scores = 0.2 * y_true + 0.8 * rng.random((5000, 2))
    table = roc_table(["sea", "sun"], y_true, scores)
    assert table["label"].value_counts().to_dict() == {"sea": MAX_POINTS, "sun": MAX_POINTS}
    for j, (_, points) in enumerate(table.groupby("label")):
        x, y = points["false_positive_rate"], points["true_positive_rate"]
        assert (x.iloc[0], y.iloc[0], x.iloc[-1], y.iloc[-1]) == (0, 0, 1, 1)
        assert auc(x, y) == pytest.approx(roc_auc_score(y_true[:, j], scores[:, j]), abs=0.002)
    ends = (
        precision_recall_table(["sea", "sun"], y_true, scores).groupby("label")["recall"].agg(["first", "last", "size"])
    )
    assert ends.to_numpy().tolist() == [[0, 1, MAX_POINTS], [0, 1, MAX_POINTS]]


def test_unknown_cells_are_ignored() -> None:
    y_true, scores = np.vstack([Y_TRUE, [[-1]]]), np.vstack([SCORES, [[0.95]]])
    assert roc_table(["sea"], y_true, scores).equals(roc_table(["sea"], Y_TRUE, SCORES))
    assert precision_recall_table(["sea"], y_true, scores).equals(precision_recall_table(["sea"], Y_TRUE, SCORES))


def test_label_that_no_image_has_has_no_points() -> None:
    y_true, scores = np.array([[1, 0, -1], [0, 0, -1]]), np.full((2, 3), 0.5)
    assert set(roc_table(["sea", "sun", "fog"], y_true, scores)["label"]) == {"sea"}
    assert set(precision_recall_table(["sea", "sun", "fog"], y_true, scores)["label"]) == {"sea"}


def test_curve_without_points_has_its_columns() -> None:
    table = roc_table(["sea"], np.full((2, 1), -1), np.full((2, 1), 0.5))
    assert table.columns.tolist() == ["label", "threshold", "false_positive_rate", "true_positive_rate"]
    assert len(table) == 0


def test_label_that_all_images_have_has_no_roc_points() -> None:
    y_true, scores = np.array([[1, 1], [1, 0]]), np.array([[0.9, 0.9], [0.2, 0.1]])
    assert set(roc_table(["sea", "sun"], y_true, scores)["label"]) == {"sun"}
    assert set(precision_recall_table(["sea", "sun"], y_true, scores)["label"]) == {"sea", "sun"}


def test_precision_recall_points_between_two_hits_are_dropped() -> None:
    y_true, scores = np.array([[1], [0], [0], [0], [1]]), np.array([[0.9], [0.7], [0.5], [0.3], [0.1]])
    table = precision_recall_table(["sea"], y_true, scores)
    assert table[["recall", "precision"]].to_numpy().tolist() == [[0, 1], [0.5, 1], [0.5, 0.25], [1, 0.4]]


def test_points_of_all_labels_are_numbered_on() -> None:
    y_true, scores = np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.2], [0.1, 0.8]])
    table = roc_table(["sea", "sun"], y_true, scores)
    assert table.index.tolist() == list(range(len(table)))
    assert table["label"].unique().tolist() == ["sea", "sun"]
    assert table["threshold"].dtype == np.float64
