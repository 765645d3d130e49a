import numpy as np
import pytest
from sklearn.metrics import auc, roc_auc_score

from counterweight.metrics.curves import MAX_POINTS, precision_recall_table, roc_table

Y_TRUE = np.array([[1], [0], [1], [0]])
SCORES = np.array([[0.9], [0.5], [0.3], [0.1]])


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


def test_table_without_points_has_its_columns() -> None:
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
