import numpy as np
import pytest
from sklearn.metrics import auc, roc_auc_score

from counterweight.metrics.curves import POINTS, precision_recall, roc

TARGETS = np.array([[1], [0], [1], [0]])
SCORES = np.array([[0.9], [0.5], [0.3], [0.1]])


def test_roc_by_hand() -> None:
    table = roc(["sea"], TARGETS, SCORES)
    assert table.columns.tolist() == ["label", "threshold", "false_positive_rate", "true_positive_rate"]
    assert table["label"].tolist() == ["sea"] * 5
    assert table["threshold"].tolist() == [pytest.approx(np.nan, nan_ok=True), 0.9, 0.5, 0.3, 0.1]
    assert table["false_positive_rate"].tolist() == [0, 0, 0.5, 0.5, 1]
    assert table["true_positive_rate"].tolist() == [0, 0.5, 0.5, 1, 1]


def test_precision_recall_by_hand() -> None:
    table = precision_recall(["sea"], TARGETS, SCORES)
    assert table.columns.tolist() == ["label", "threshold", "recall", "precision"]
    assert table["threshold"].tolist() == [pytest.approx(np.nan, nan_ok=True), 0.9, 0.5, 0.3, 0.1]
    assert table["recall"].tolist() == [0, 0.5, 0.5, 1, 1]
    assert table["precision"].tolist() == [1, 1, 0.5, 2 / 3, 0.5]


def test_long_curve_is_thinned_and_keeps_its_ends_and_its_area() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((5000, 2)) < 0.4).astype(np.int8)
    scores = 0.2 * targets + 0.8 * rng.random((5000, 2))
    table = roc(["sea", "sun"], targets, scores)
    assert table["label"].value_counts().to_dict() == {"sea": POINTS, "sun": POINTS}
    for j, (_, points) in enumerate(table.groupby("label")):
        x, y = points["false_positive_rate"], points["true_positive_rate"]
        assert (x.iloc[0], y.iloc[0], x.iloc[-1], y.iloc[-1]) == (0, 0, 1, 1)
        assert auc(x, y) == pytest.approx(roc_auc_score(targets[:, j], scores[:, j]), abs=0.002)
    ends = precision_recall(["sea", "sun"], targets, scores).groupby("label")["recall"].agg(["first", "last", "size"])
    assert ends.to_numpy().tolist() == [[0, 1, POINTS], [0, 1, POINTS]]


def test_cells_that_are_not_known_take_no_part() -> None:
    targets, scores = np.vstack([TARGETS, [[-1]]]), np.vstack([SCORES, [[0.95]]])
    assert roc(["sea"], targets, scores).equals(roc(["sea"], TARGETS, SCORES))
    assert precision_recall(["sea"], targets, scores).equals(precision_recall(["sea"], TARGETS, SCORES))


def test_label_that_no_image_has_has_no_points() -> None:
    targets, scores = np.array([[1, 0, -1], [0, 0, -1]]), np.full((2, 3), 0.5)
    assert set(roc(["sea", "sun", "fog"], targets, scores)["label"]) == {"sea"}
    assert set(precision_recall(["sea", "sun", "fog"], targets, scores)["label"]) == {"sea"}


def test_without_any_points_the_table_has_its_columns() -> None:
    table = roc(["sea"], np.full((2, 1), -1), np.full((2, 1), 0.5))
    assert table.columns.tolist() == ["label", "threshold", "false_positive_rate", "true_positive_rate"]
    assert len(table) == 0
