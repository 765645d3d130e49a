import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score

from counterweight.metrics.platt import even_threshold, even_thresholds
from counterweight.metrics.thresholds import label_thresholds


def drawn(count: int, rate: float, seed: int) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    """A label of that rate, and scores whose log-odds are normal, with a mean of -2 and of 1: -0.5 is between."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((count, 1)) < rate).astype(int)
    return targets, 1 / (1 + np.exp(-(rng.normal(size=(count, 1)) + 3 * targets - 2)))


def test_threshold_lies_between_scores_that_mirror_each_other() -> None:
    targets, scores = np.array([[0], [0], [1], [1]]), np.array([[0.1], [0.6], [0.4], [0.9]])
    assert even_threshold(targets, scores) == pytest.approx(0.5)


@pytest.mark.parametrize("rate", [0.5, 0.05])
def test_threshold_does_not_depend_on_how_common_the_label_is(rate: float) -> None:
    # Two normal distributions of one variance: the best threshold is midway, 1 / (1 + e^0.5).
    assert even_threshold(*drawn(40_000, rate, seed=0)) == pytest.approx(1 / (1 + np.exp(0.5)), abs=0.02)


def test_of_few_images_it_is_nearer_to_the_best_than_the_one_that_is_best_on_them() -> None:
    targets, scores = drawn(20_000, 0.5, seed=0)
    found = []
    for seed in range(40):
        few = drawn(90, 0.1, seed=1 + seed)
        thresholds = even_thresholds(*few)[0], label_thresholds(*few, "balanced_accuracy")[0]
        found.append([balanced_accuracy_score(targets, scores >= threshold) for threshold in thresholds])
    by_sigmoid, by_best = np.mean(found, axis=0)
    assert by_sigmoid > by_best + 0.005


def test_labels_have_thresholds_of_their_own_and_one_for_all_lies_between() -> None:
    targets = np.array([[0, 0], [0, 0], [1, 1], [1, 1]])
    scores = np.array([[0.1, 0.01], [0.6, 0.1], [0.4, 0.05], [0.9, 0.4]])
    first, second = even_thresholds(targets, scores)
    assert first == pytest.approx(0.5)
    assert second < even_threshold(targets, scores) < first


def test_each_label_weighs_the_same_in_the_threshold_for_all() -> None:
    targets, scores = np.array([[0], [0], [1], [1]]), np.array([[0.1], [0.6], [0.4], [0.9]])
    wide = np.array([[0, 0], [0, 0], [1, 1], [1, 1]])
    pair = np.hstack([scores, scores / 4])
    thrice = np.vstack([pair, np.hstack([scores, np.full((4, 1), 0.2)]), np.hstack([scores, np.full((4, 1), 0.2)])])
    known = np.vstack([wide, *([np.hstack([targets, np.full((4, 1), -1)])] * 2)])
    assert even_threshold(known, thrice) == pytest.approx(even_threshold(wide, pair), abs=1e-6)


def test_unknown_cells_take_no_part() -> None:
    targets, scores = np.array([[0], [0], [1], [1], [-1]]), np.array([[0.1], [0.6], [0.4], [0.9], [0.99]])
    assert even_threshold(targets, scores) == pytest.approx(0.5)


def test_scores_of_zero_and_one_are_taken() -> None:
    targets, scores = np.array([[0], [0], [1], [1]]), np.array([[0.0], [0.3], [0.2], [1.0]])
    assert 0.2 < even_threshold(targets, scores) < 0.5


@pytest.mark.parametrize("targets", [[[1], [1]], [[0], [0]], [[-1], [-1]], [[1], [0]]])
def test_threshold_is_a_half_where_scores_do_not_tell(targets: list[list[int]]) -> None:
    assert even_threshold(np.array(targets), np.array([[0.2], [0.6]])) == 0.5
