import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from counterweight.metrics.platt import fit_sigmoid, platt_threshold, platt_thresholds
from counterweight.metrics.thresholds import label_thresholds


def samples(count: int, rate: float, seed: int) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    """Draw a label, and scores with normal log-odds around -2 without it and 1 with it: -0.5 is midway."""
    rng = np.random.default_rng(seed)
    y_true = (rng.random((count, 1)) < rate).astype(int)
    return y_true, 1 / (1 + np.exp(-(rng.normal(size=(count, 1)) + 3 * y_true - 2)))


def test_threshold_of_symmetric_scores_is_a_half() -> None:
    y_true, scores = np.array([[0], [0], [1], [1]]), np.array([[0.1], [0.6], [0.4], [0.9]])
    assert platt_threshold(y_true, scores) == pytest.approx(0.5)


@pytest.mark.parametrize("rate", [0.5, 0.05])
def test_threshold_does_not_depend_on_how_common_the_label_is(rate: float) -> None:
    # Two normal distributions of equal variance: the best threshold is midway, 1 / (1 + e^0.5).
    assert platt_threshold(*samples(40_000, rate, seed=0)) == pytest.approx(1 / (1 + np.exp(0.5)), abs=0.02)


def test_on_few_images_the_sigmoid_generalizes_better_than_the_best_threshold() -> None:
    y_true, scores = samples(20_000, 0.5, seed=0)
    accuracies = []
    for seed in range(100):
        few = samples(90, 0.1, seed=1 + seed)
        thresholds = platt_thresholds(*few)[0], label_thresholds(*few, "balanced_accuracy")[0]
        accuracies.append([balanced_accuracy_score(y_true, scores >= threshold) for threshold in thresholds])
    by_sigmoid, by_best = np.mean(accuracies, axis=0)
    assert by_sigmoid > by_best + 0.005


def test_common_threshold_lies_between_those_of_the_labels() -> None:
    y_true = np.array([[0, 0], [0, 0], [1, 1], [1, 1]])
    scores = np.array([[0.1, 0.01], [0.6, 0.1], [0.4, 0.05], [0.9, 0.4]])
    first, second = platt_thresholds(y_true, scores)
    assert first == pytest.approx(0.5)
    assert second < platt_threshold(y_true, scores) < first


def test_each_label_has_the_same_weight_in_the_common_threshold() -> None:
    y_true, scores = np.array([[0], [0], [1], [1]]), np.array([[0.1], [0.6], [0.4], [0.9]])
    wide = np.array([[0, 0], [0, 0], [1, 1], [1, 1]])
    pair = np.hstack([scores, scores / 4])
    thrice = np.vstack([pair, np.hstack([scores, np.full((4, 1), 0.2)]), np.hstack([scores, np.full((4, 1), 0.2)])])
    known = np.vstack([wide, *([np.hstack([y_true, np.full((4, 1), -1)])] * 2)])
    assert platt_threshold(known, thrice) == pytest.approx(platt_threshold(wide, pair), abs=1e-6)


def test_unknown_cells_are_ignored() -> None:
    y_true, scores = np.array([[0], [0], [1], [1], [-1]]), np.array([[0.1], [0.6], [0.4], [0.9], [0.99]])
    assert platt_threshold(y_true, scores) == pytest.approx(0.5)


def test_scores_of_0_and_1_are_allowed() -> None:
    y_true, scores = np.array([[0], [0], [1], [1]]), np.array([[0.0], [0.3], [0.2], [1.0]])
    assert 0.2 < platt_threshold(y_true, scores) < 0.5


@pytest.mark.parametrize("y_true", [[[1], [1]], [[0], [0]], [[-1], [-1]], [[1], [0]]])
def test_threshold_is_a_half_if_scores_do_not_separate(y_true: list[list[int]]) -> None:
    assert platt_threshold(np.array(y_true), np.array([[0.2], [0.6]])) == 0.5


def test_threshold_is_a_half_if_scores_are_slightly_higher_without_the_label() -> None:
    y_true, scores = np.array([[0], [0], [1], [1]]), np.array([[0.6], [0.3], [0.5], [0.3]])
    assert platt_threshold(y_true, scores) == 0.5


def test_threshold_separates_scores_near_0() -> None:
    y_true, scores = np.array([[0], [0], [1], [1]]), np.array([[0.001], [0.002], [0.004], [0.008]])
    assert 0.002 < platt_threshold(y_true, scores) < 0.004


def test_threshold_is_where_the_weighted_log_loss_is_lowest() -> None:
    """Found here by a general minimizer of the loss that the module describes."""
    y_true, scores = samples(200, 0.2, seed=3)
    log_odds = np.log(scores / (1 - scores))[:, 0]
    weights = np.where(y_true == 1, 0.5 / y_true.sum(), 0.5 / (1 - y_true).sum())[:, 0]

    def loss(line: NDArray[np.float64]) -> float:
        margin = (line[0] * log_odds + line[1]) * np.where(y_true[:, 0] == 1, 1, -1)
        return float((weights * np.logaddexp(0, -margin)).sum())

    slope, intercept = minimize(loss, [1.0, 0.0], tol=1e-12).x
    assert platt_threshold(y_true, scores) == pytest.approx(1 / (1 + np.exp(intercept / slope)), abs=1e-3)


def test_a_label_with_images_on_one_side_alone_is_left_out() -> None:
    y_true, scores = samples(200, 0.3, seed=1)
    beside = np.column_stack([y_true, np.ones(200, dtype=int)]), np.column_stack([scores, np.full(200, 0.01)])
    assert platt_threshold(*beside) == platt_threshold(y_true, scores)
    absent = np.column_stack([y_true, np.zeros(200, dtype=int)]), np.column_stack([scores, np.full(200, 0.99)])
    assert platt_threshold(*absent) == platt_threshold(y_true, scores)


def test_scores_that_do_not_go_with_the_label_give_a_half() -> None:
    assert platt_threshold(np.array([[1], [0]]), np.array([[0.3], [0.3]])) == 0.5
    assert platt_threshold(np.array([[1], [0]]), np.array([[0.1], [0.9]])) == 0.5


@pytest.mark.parametrize("distance", [0.5, 3, 10])  # From scores that overlap to such that do not.
def test_sigmoid_is_that_of_a_logistic_regression_that_has_converged(distance: float) -> None:
    rng = np.random.default_rng(0)
    y_true = np.repeat([0, 1], [80, 20])
    log_odds, weights = rng.normal(size=100) + distance * y_true - 2, rng.random(100)
    weights /= weights.sum()
    model = LogisticRegression(C=1e6, tol=1e-12, max_iter=10_000).fit(log_odds[:, None], y_true, weights)
    expected = (model.coef_[0, 0], model.intercept_[0])
    assert fit_sigmoid(log_odds, y_true, weights) == pytest.approx(expected, rel=1e-6)


def test_order_of_the_images_does_not_change_the_threshold() -> None:
    y_true, scores = samples(90, 0.15, seed=0)
    orders = [np.random.default_rng(seed).permutation(90) for seed in range(5)]
    thresholds = [platt_threshold(y_true[order], scores[order]) for order in orders]
    assert max(thresholds) - min(thresholds) < 1e-13
