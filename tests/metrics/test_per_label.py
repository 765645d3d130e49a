import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    multilabel_confusion_matrix,
    precision_recall_fscore_support,
    recall_score,
    roc_auc_score,
)

from counterweight.metrics.per_label import as_indicator, aucs, average_precisions, label_rates

Labels = tuple[NDArray[np.int8], NDArray[np.bool_]]


@pytest.fixture
def random_labels() -> Labels:
    """Targets and predictions: 300 images, six labels, from common to rare."""
    rng = np.random.default_rng(0)
    odds = np.array([0.7, 0.5, 0.3, 0.2, 0.1, 0.02])
    return (rng.random((300, 6)) < odds).astype(np.int8), rng.random((300, 6)) < odds


def test_rates_of_each_label_match_scikit_learn(random_labels: Labels) -> None:
    y_true, y_pred = random_labels
    precision, recall, f1, _ = precision_recall_fscore_support(y_true, y_pred, average=None, zero_division=0)
    rates = label_rates(y_true, y_pred)
    assert rates.precision.tolist() == precision.tolist()
    assert rates.recall.tolist() == rates.sensitivity.tolist() == recall.tolist()
    assert rates.f1.tolist() == f1.tolist()
    assert rates.specificity.tolist() == recall_score(1 - y_true, ~y_pred, average=None).tolist()


def test_counts_of_each_label_match_scikit_learn(random_labels: Labels) -> None:
    y_true, y_pred = random_labels
    rates = label_rates(y_true, y_pred)
    counts = np.stack([rates.tn, rates.fp, rates.fn, rates.tp], axis=1)
    assert counts.tolist() == multilabel_confusion_matrix(y_true, y_pred).reshape(-1, 4).tolist()


def test_unknown_cells_are_ignored(random_labels: Labels) -> None:
    y_true, y_pred = random_labels
    unknown = np.random.default_rng(1).random(y_true.shape) < 0.3
    masked = np.where(unknown, -1, y_true)
    rates = label_rates(masked, y_pred)
    for j in range(y_true.shape[1]):
        known = ~unknown[:, j]
        alone = label_rates(y_true[known][:, [j]], y_pred[known][:, [j]])
        for name in ("tp", "fp", "fn", "tn", "precision", "recall", "f1", "specificity", "g_mean", "accuracy"):
            assert getattr(rates, name)[j] == getattr(alone, name)[0], name


def test_rates_of_a_single_label_by_hand() -> None:
    # Three predictions, two of them correct; four positives; one of two negatives is correct.
    rates = label_rates(np.array([[1], [1], [0], [1], [1], [0]]), np.array([[1], [1], [1], [0], [0], [0]], dtype=bool))
    assert (rates.tp[0], rates.fp[0], rates.fn[0], rates.tn[0]) == (2, 1, 2, 1)
    assert (rates.precision[0], rates.recall[0], rates.specificity[0]) == (2 / 3, 2 / 4, 1 / 2)
    assert rates.f1 == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))
    assert (rates.g_mean[0], rates.balanced_accuracy[0], rates.accuracy[0]) == (0.5, 0.5, 3 / 6)


def test_label_that_is_never_predicted_has_rates_of_0() -> None:
    rates = label_rates(np.array([[1], [0]]), np.array([[False], [False]]))
    assert (rates.precision[0], rates.recall[0], rates.f1[0], rates.sensitivity[0]) == (0, 0, 0, 0)


def test_label_that_no_image_has_has_rates_of_0_and_no_sensitivity() -> None:
    rates = label_rates(np.array([[0], [0]]), np.array([[True], [False]]))
    assert (rates.precision[0], rates.recall[0], rates.f1[0], rates.specificity[0]) == (0, 0, 0, 0.5)
    assert np.isnan([rates.sensitivity[0], rates.g_mean[0], rates.balanced_accuracy[0]]).all()


def test_label_that_is_unknown_everywhere_has_counts_of_0() -> None:
    rates = label_rates(np.array([[-1, 1], [-1, 0]]), np.array([[True, True], [False, False]]))
    assert [counts[0] for counts in (rates.tp, rates.fp, rates.fn, rates.tn)] == [0, 0, 0, 0]
    assert np.isnan([rates.accuracy[0], rates.specificity[0]]).all()


def test_counts_are_0_without_images() -> None:
    rates = label_rates(np.zeros((0, 2), np.int8), np.zeros((0, 2), np.bool_))
    assert [counts.tolist() for counts in (rates.tp, rates.fp, rates.fn, rates.tn)] == [[0, 0]] * 4


def test_single_label_is_not_read_as_two_classes() -> None:
    positive, predicted, columns = as_indicator(np.array([[1], [-1]]), np.array([[False], [True]]))
    assert (positive.tolist(), predicted.tolist(), columns) == ([[1, 0], [0, 0]], [[0, 0], [0, 0]], [0])


@pytest.mark.parametrize("decimals", [1, 16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ranking_metrics_match_scikit_learn_with_and_without_equal_scores(
    random_labels: Labels, decimals: int, dtype: type[np.floating]
) -> None:
    y_true, _ = random_labels
    scores = np.random.default_rng(2).random(y_true.shape).round(decimals).astype(dtype)
    assert aucs(y_true, scores) == pytest.approx(roc_auc_score(y_true, scores, average=None), rel=1e-14)
    expected = average_precision_score(y_true, scores, average=None)
    assert average_precisions(y_true, scores) == pytest.approx(expected, rel=1e-14)


def test_ranking_metrics_ignore_unknown_cells(random_labels: Labels) -> None:
    y_true, _ = random_labels
    scores = np.random.default_rng(2).random(y_true.shape)
    masked = np.where(np.random.default_rng(1).random(y_true.shape) < 0.3, -1, y_true)
    for metric in (aucs, average_precisions):
        alone = [metric(masked[masked[:, j] >= 0][:, [j]], scores[masked[:, j] >= 0][:, [j]])[0] for j in range(6)]
        assert metric(masked, scores).tolist() == alone


@pytest.mark.parametrize(
    ("targets", "auc", "average_precision"),
    [([1, 0], 1.0, 1.0), ([0, 1], 0.0, 0.5), ([1, 1], np.nan, 1.0), ([0, 0], np.nan, np.nan),
     ([-1, 1], np.nan, 1.0), ([-1, -1], np.nan, np.nan), ([], np.nan, np.nan)],
)  # fmt: skip
def test_ranking_metrics_are_nan_where_they_are_not_defined(
    targets: list[int], auc: float, average_precision: float
) -> None:
    y_true, scores = np.array(targets, np.int8)[:, None], np.array([0.8, 0.3][: len(targets)])[:, None]
    np.testing.assert_array_equal(aucs(y_true, scores), [auc])
    np.testing.assert_array_equal(average_precisions(y_true, scores), [average_precision])


def test_scores_that_are_no_numbers_rank_nothing() -> None:
    for metric in (aucs, average_precisions):
        with pytest.raises(ValueError, match=r"A score is not a number."):
            metric(np.array([[1], [0]]), np.array([[np.nan], [0.5]]))
