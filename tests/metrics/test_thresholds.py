import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from counterweight.metrics.thresholds import (
    THRESHOLDS,
    binary_threshold,
    class_thresholds,
    highest,
    label_thresholds,
    tuned_threshold,
)

Scored = tuple[NDArray[np.int8], NDArray[np.float64]]


@pytest.fixture
def random_scores() -> Scored:
    """Targets and scores that go with them: 300 images, six labels, from common to rare."""
    rng = np.random.default_rng(0)
    targets = (rng.random((300, 6)) < [0.7, 0.5, 0.3, 0.2, 0.1, 0.02]).astype(np.int8)
    return targets, np.clip(0.4 * targets + 0.6 * rng.random((300, 6)), 0, 1).round(2)


@pytest.fixture
def random_classes() -> Scored:
    """One-hot targets and softmax scores that go with them: 200 images, three classes, from common to rare."""
    rng = np.random.default_rng(0)
    targets = np.eye(3, dtype=np.int8)[rng.choice(3, 200, p=[0.7, 0.2, 0.1])]
    logits = np.exp(1.2 * targets + rng.normal(size=(200, 3)) + [1, 0, 0])
    return targets, logits / logits.sum(axis=1, keepdims=True)


def best_by_hand(values: list[float]) -> float:
    """Of the thresholds with the best value the one nearest to 0.5, and of two as near the higher."""
    return float(max(zip(values, -np.abs(THRESHOLDS - 0.5).round(2), THRESHOLDS, strict=True))[2])


def test_tuned_threshold_separates_the_scores() -> None:
    assert tuned_threshold(np.array([[1], [1], [0]]), np.array([[0.9], [0.32], [0.31]])) == 0.32


def test_of_equally_good_thresholds_the_one_nearest_to_a_half_is_taken() -> None:
    assert tuned_threshold(np.array([[1], [0]]), np.array([[0.3], [0.1]])) == 0.3
    assert tuned_threshold(np.array([[1], [0]]), np.array([[0.9], [0.7]])) == 0.71
    assert tuned_threshold(np.array([[1], [0]]), np.array([[0.9], [0.1]])) == 0.5


def test_tuned_threshold_is_that_of_the_macro_f1() -> None:
    # From 0.3 on, the common label is given to six images, three of them rightly, and the rare one to its only one:
    # F1 6/9 and 1, mean 0.83. From 0.5 on, the common one is right and the rare one missed: F1 1 and 0, mean 0.5. Micro
    # F1 prefers the latter, with 6/7 over 8/11.
    targets = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 0], [0, 0]])
    scores = np.array([[0.9, 0.1], [0.8, 0.1], [0.7, 0.1], [0.4, 0.3], [0.4, 0.1], [0.4, 0.1]])
    assert tuned_threshold(targets, scores) == 0.3


def test_tuned_threshold_has_the_best_macro_f1_of_scikit_learn(random_scores: Scored) -> None:
    targets, scores = random_scores
    macro = [f1_score(targets, scores >= threshold, average="macro", zero_division=0) for threshold in THRESHOLDS]
    assert tuned_threshold(targets, scores) == best_by_hand(macro)


def test_thresholds_of_labels_have_the_best_f1_of_scikit_learn(random_scores: Scored) -> None:
    targets, scores = random_scores
    expected = [
        best_by_hand([f1_score(targets[:, j], scores[:, j] >= t, zero_division=0) for t in THRESHOLDS])
        for j in range(targets.shape[1])
    ]
    assert label_thresholds(targets, scores).tolist() == expected


def test_each_label_has_a_threshold_of_its_own() -> None:
    targets = np.array([[1, 0], [1, 1], [0, 0]])
    scores = np.array([[0.9, 0.1], [0.8, 0.3], [0.7, 0.2]])
    assert label_thresholds(targets, scores).tolist() == [0.71, 0.3]


def test_cell_that_is_not_known_takes_no_part() -> None:
    targets = np.array([[1, 0], [-1, -1], [0, 1]])
    scores = np.array([[0.9, 0.1], [0.95, 0.02], [0.7, 0.3]])
    assert label_thresholds(targets, scores).tolist() == [0.71, 0.3]
    known = targets[:, 0] >= 0
    assert tuned_threshold(targets[:, :1], scores[:, :1]) == tuned_threshold(targets[known, :1], scores[known, :1])


def test_label_that_no_image_is_known_to_have_has_a_threshold_of_a_half() -> None:
    targets = np.array([[0, -1, 1], [-1, -1, 0]])
    assert label_thresholds(targets, np.full((2, 3), 0.3)).tolist() == [0.5, 0.5, 0.3]


def test_without_any_label_given_or_there_the_threshold_is_a_half() -> None:
    assert tuned_threshold(np.zeros((3, 2), int), np.zeros((3, 2))) == 0.5


def test_without_any_image_the_thresholds_are_a_half() -> None:
    targets, scores = np.zeros((0, 2), np.int8), np.zeros((0, 2))
    assert tuned_threshold(targets, scores) == 0.5
    assert label_thresholds(targets, scores).tolist() == [0.5, 0.5]
    assert class_thresholds(targets, scores).tolist() == [0.5, 0.5]
    assert binary_threshold(targets, scores, 1) == 0.5


def test_threshold_of_two_classes_has_the_best_macro_f1_over_both(random_classes: Scored) -> None:
    three, scores = random_classes
    actual = three[:, 0] == 0
    targets, both = np.stack([~actual, actual], axis=1).astype(np.int8), np.stack([scores[:, 0], 1 - scores[:, 0]], 1)
    macro = [f1_score(actual, both[:, 1] >= threshold, average="macro", zero_division=0) for threshold in THRESHOLDS]
    assert binary_threshold(targets, both, 1) == best_by_hand(macro)


def test_row_of_two_classes_that_is_not_known_takes_no_part() -> None:
    targets = np.array([[0, 1], [1, 0], [-1, -1]])
    scores = np.array([[0.7, 0.3], [0.8, 0.2], [0.75, 0.25]])
    assert binary_threshold(targets, scores, 1) == 0.3


def test_thresholds_of_classes_let_a_rare_class_win_with_less() -> None:
    # The last row's class is the second, which is never the highest. Divided by 0.67 and more, the first class's 0.6
    # there is less than the second's 0.4 by 0.5 or less; and the second row still has 0.7/0.3.
    targets = np.array([[1, 0], [1, 0], [0, 1]])
    scores = np.array([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4]])
    thresholds = class_thresholds(targets, scores)
    assert highest(scores / thresholds).tolist() == [[True, False], [True, False], [False, True]]


def test_no_change_of_one_threshold_betters_the_thresholds_of_classes(random_classes: Scored) -> None:
    targets, scores = random_classes
    thresholds = class_thresholds(targets, scores)

    def macro(values: NDArray[np.float64]) -> float:
        return float(f1_score(targets.argmax(axis=1), (scores / values).argmax(axis=1), average="macro"))

    best = macro(thresholds)
    assert best > macro(np.full(3, 0.5)) + 0.02
    for j, threshold in itertools.product(range(3), THRESHOLDS):
        other = thresholds.copy()
        other[j] = threshold
        assert macro(other) <= best + 1e-12


def test_classes_that_the_highest_score_finds_keep_a_half() -> None:
    targets = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [-1, -1, -1]])
    scores = np.array([[0.6, 0.3, 0.1], [0.2, 0.6, 0.2], [0.3, 0.5, 0.2], [0.9, 0.05, 0.05]])
    assert class_thresholds(targets, scores).tolist() == [0.5, 0.5, 0.5]


def test_scores_of_0_are_no_division_by_0() -> None:
    targets = np.array([[1, 0], [0, 1]])
    assert class_thresholds(targets, np.array([[1.0, 0.0], [0.0, 0.0]])).shape == (2,)


def test_highest_is_one_cell_a_row_the_first_among_equals() -> None:
    assert highest(np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]])).tolist() == [
        [False, True, False],
        [True, False, False],
    ]


# Two of ten have the label: the scores of 0.4 and 0.6, between others' 0.5.
RARE = np.array([[1], [1], *[[0]] * 8])
SCORES = np.array([[0.6], [0.4], [0.5], [0.5], *[[0.1]] * 6])


def test_balanced_accuracy_gives_a_rare_label_sooner_than_f1() -> None:
    # From 0.4 on: two right of four, F1 0.667, sensitivity 1 and specificity 6/8. From 0.51 on: one right of one, F1
    # 0.667 too, but sensitivity 0.5.
    assert label_thresholds(RARE, SCORES, "balanced_accuracy").tolist() == [0.4]
    assert label_thresholds(RARE, SCORES, "f1").tolist() == [0.51]
    assert tuned_threshold(RARE, SCORES, "balanced_accuracy") == 0.4


def test_of_two_classes_balanced_accuracy_is_the_same_from_either_side() -> None:
    targets, scores = np.hstack([RARE, 1 - RARE]), np.hstack([SCORES, 1 - SCORES])
    assert binary_threshold(targets, scores, 0, "balanced_accuracy") == 0.4
    assert binary_threshold(targets, scores, 1, "balanced_accuracy") == 0.61


def test_label_that_all_or_none_have_keeps_a_half() -> None:
    targets = np.array([[1, 0], [1, 0]])
    assert label_thresholds(targets, np.array([[0.2, 0.8], [0.3, 0.9]]), "balanced_accuracy").tolist() == [0.5, 0.5]


def test_class_thresholds_may_be_for_the_mean_recall() -> None:
    # Of ten of the first class two look a little like the second, and of two of the second one looks less so.
    targets = np.eye(2, dtype=int)[[*[0] * 10, 1, 1]]
    scores = np.array([*[[0.9, 0.1]] * 8, [0.6, 0.4], [0.6, 0.4], [0.55, 0.45], [0.7, 0.3]])
    for measure, recall in (("f1", 0.5), ("balanced_accuracy", 1.0)):
        said = highest(scores / class_thresholds(targets, scores, measure))
        assert said[targets[:, 1] == 1, 1].mean() == recall
