import itertools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, f1_score

from counterweight.metrics.thresholds import (
    THRESHOLDS,
    argmax_mask,
    binary_threshold,
    class_thresholds,
    label_thresholds,
    tuned_threshold,
)

Scored = tuple[NDArray[np.int8], NDArray[np.float64]]


@pytest.fixture
def random_scores() -> Scored:
    """Targets and scores that go with them: 300 images, six labels, from common to rare."""
    rng = np.random.default_rng(0)
    y_true = (rng.random((300, 6)) < [0.7, 0.5, 0.3, 0.2, 0.1, 0.02]).astype(np.int8)
    return y_true, np.clip(0.4 * y_true + 0.6 * rng.random((300, 6)), 0, 1).round(2)


@pytest.fixture
def random_classes() -> Scored:
    """One-hot y_true and softmax scores that go with them: 200 images, three classes, from common to rare."""
    rng = np.random.default_rng(0)
    y_true = np.eye(3, dtype=np.int8)[rng.choice(3, 200, p=[0.7, 0.2, 0.1])]
    logits = np.exp(1.2 * y_true + rng.normal(size=(200, 3)) + [1, 0, 0])
    return y_true, logits / logits.sum(axis=1, keepdims=True)


def best_by_hand(values: list[float]) -> float:
    """The best threshold; among ties the one nearest to 0.5, and of two equally near the higher."""
    return float(max(zip(values, -np.abs(THRESHOLDS - 0.5).round(2), THRESHOLDS, strict=True))[2])


def test_tuned_threshold_separates_the_scores() -> None:
    assert tuned_threshold(np.array([[1], [1], [0]]), np.array([[0.9], [0.32], [0.31]])) == 0.32


def test_among_equally_good_thresholds_the_nearest_to_a_half_is_chosen() -> None:
    assert tuned_threshold(np.array([[1], [0]]), np.array([[0.3], [0.1]])) == 0.3
    assert tuned_threshold(np.array([[1], [0]]), np.array([[0.9], [0.7]])) == 0.71
    assert tuned_threshold(np.array([[1], [0]]), np.array([[0.9], [0.1]])) == 0.5


def test_tuned_threshold_maximizes_macro_f1() -> None:
    # At 0.3, the common label is predicted on six images, correctly on three, and the rare one on its only image: F1 is
    # 6/9 and 1, mean 0.83. At 0.5, the common one is correct and the rare one missed: F1 is 1 and 0, mean 0.5. Micro F1
    # prefers the latter, with 6/7 over 8/11.
    y_true = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 0], [0, 0]])
    scores = np.array([[0.9, 0.1], [0.8, 0.1], [0.7, 0.1], [0.4, 0.3], [0.4, 0.1], [0.4, 0.1]])
    assert tuned_threshold(y_true, scores) == 0.3


def test_tuned_threshold_has_the_best_macro_f1_by_scikit_learn(random_scores: Scored) -> None:
    y_true, scores = random_scores
    macro = [f1_score(y_true, scores >= threshold, average="macro", zero_division=0) for threshold in THRESHOLDS]
    assert tuned_threshold(y_true, scores) == best_by_hand(macro)


def test_label_thresholds_have_the_best_f1_by_scikit_learn(random_scores: Scored) -> None:
    y_true, scores = random_scores
    expected = [
        best_by_hand([f1_score(y_true[:, j], scores[:, j] >= t, zero_division=0) for t in THRESHOLDS])
        for j in range(y_true.shape[1])
    ]
    assert label_thresholds(y_true, scores).tolist() == expected


def test_each_label_has_its_own_threshold() -> None:
    y_true = np.array([[1, 0], [1, 1], [0, 0]])
    scores = np.array([[0.9, 0.1], [0.8, 0.3], [0.7, 0.2]])
    assert label_thresholds(y_true, scores).tolist() == [0.71, 0.3]


def test_unknown_cells_are_ignored() -> None:
    y_true = np.array([[1, 0], [-1, -1], [0, 1]])
    scores = np.array([[0.9, 0.1], [0.95, 0.02], [0.7, 0.3]])
    assert label_thresholds(y_true, scores).tolist() == [0.71, 0.3]
    known = y_true[:, 0] >= 0
    assert tuned_threshold(y_true[:, :1], scores[:, :1]) == tuned_threshold(y_true[known, :1], scores[known, :1])


def test_threshold_of_a_label_that_no_image_is_known_to_have_is_a_half() -> None:
    y_true = np.array([[0, -1, 1], [-1, -1, 0]])
    assert label_thresholds(y_true, np.full((2, 3), 0.3)).tolist() == [0.5, 0.5, 0.3]


def test_threshold_is_a_half_if_no_label_is_present_or_predicted() -> None:
    assert tuned_threshold(np.zeros((3, 2), int), np.zeros((3, 2))) == 0.5


def test_thresholds_are_a_half_without_images() -> None:
    y_true, scores = np.zeros((0, 2), np.int8), np.zeros((0, 2))
    assert tuned_threshold(y_true, scores) == 0.5
    assert label_thresholds(y_true, scores).tolist() == [0.5, 0.5]
    assert class_thresholds(y_true, scores).tolist() == [0.5, 0.5]
    assert binary_threshold(y_true, scores, 1) == 0.5


def test_binary_threshold_has_the_best_macro_f1_over_both_classes(random_classes: Scored) -> None:
    three, scores = random_classes
    actual = three[:, 0] == 0
    y_true, both = np.stack([~actual, actual], axis=1).astype(np.int8), np.stack([scores[:, 0], 1 - scores[:, 0]], 1)
    macro = [f1_score(actual, both[:, 1] >= threshold, average="macro", zero_division=0) for threshold in THRESHOLDS]
    assert binary_threshold(y_true, both, 1) == best_by_hand(macro)


def test_unknown_rows_of_a_binary_task_are_ignored() -> None:
    y_true = np.array([[0, 1], [1, 0], [-1, -1]])
    scores = np.array([[0.7, 0.3], [0.8, 0.2], [0.75, 0.25]])
    assert binary_threshold(y_true, scores, 1) == 0.3


def test_class_thresholds_let_a_rare_class_win_with_a_lower_score() -> None:
    # The last image is in the second class, which never has the highest score. With 0.67 or more for the first class,
    # 0.6/0.67 is less than 0.4/0.5 there; and the first class still wins the second image with 0.7 to 0.3.
    y_true = np.array([[1, 0], [1, 0], [0, 1]])
    scores = np.array([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4]])
    thresholds = class_thresholds(y_true, scores)
    assert argmax_mask(scores / thresholds).tolist() == [[True, False], [True, False], [False, True]]


def test_no_change_of_one_class_threshold_improves_macro_f1(random_classes: Scored) -> None:
    y_true, scores = random_classes
    thresholds = class_thresholds(y_true, scores)

    def macro(values: NDArray[np.float64]) -> float:
        return float(f1_score(y_true.argmax(axis=1), (scores / values).argmax(axis=1), average="macro"))

    best = macro(thresholds)
    assert best > macro(np.full(3, 0.5)) + 0.02
    for j, threshold in itertools.product(range(3), THRESHOLDS):
        other = thresholds.copy()
        other[j] = threshold
        assert macro(other) <= best + 1e-12


def test_class_thresholds_stay_a_half_if_the_highest_score_is_always_correct() -> None:
    y_true = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [-1, -1, -1]])
    scores = np.array([[0.6, 0.3, 0.1], [0.2, 0.6, 0.2], [0.3, 0.5, 0.2], [0.9, 0.05, 0.05]])
    assert class_thresholds(y_true, scores).tolist() == [0.5, 0.5, 0.5]


@pytest.mark.filterwarnings("error")
def test_scores_of_0_do_not_divide_by_0() -> None:
    y_true = np.array([[1, 0], [0, 1]])
    assert class_thresholds(y_true, np.array([[1.0, 0.0], [0.0, 0.0]])).tolist() == [0.5, 0.5]


def test_argmax_mask_marks_one_cell_per_row_the_first_of_equal_ones() -> None:
    assert argmax_mask(np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]])).tolist() == [
        [False, True, False],
        [True, False, False],
    ]


# Two of ten images have the label. Their scores, 0.4 and 0.6, lie on either side of others' 0.5.
RARE = np.array([[1], [1], *[[0]] * 8])
SCORES = np.array([[0.6], [0.4], [0.5], [0.5], *[[0.1]] * 6])


def test_balanced_accuracy_predicts_a_rare_label_at_a_lower_score_than_f1() -> None:
    # At 0.4 two of four predictions are correct: F1 0.667, sensitivity 1, specificity 6/8. At 0.51 one of one is: F1
    # 0.667 again, but sensitivity 0.5.
    assert label_thresholds(RARE, SCORES, "balanced_accuracy").tolist() == [0.4]
    assert label_thresholds(RARE, SCORES, "f1").tolist() == [0.51]
    assert tuned_threshold(RARE, SCORES, "balanced_accuracy") == 0.4


def test_balanced_accuracy_of_a_binary_task_does_not_depend_on_the_positive_class() -> None:
    y_true, scores = np.hstack([RARE, 1 - RARE]), np.hstack([SCORES, 1 - SCORES])
    assert binary_threshold(y_true, scores, 0, "balanced_accuracy") == 0.4
    assert binary_threshold(y_true, scores, 1, "balanced_accuracy") == 0.61


def test_threshold_of_a_label_that_all_or_no_images_have_is_a_half() -> None:
    y_true = np.array([[1, 0], [1, 0]])
    assert label_thresholds(y_true, np.array([[0.2, 0.8], [0.3, 0.9]]), "balanced_accuracy").tolist() == [0.5, 0.5]


def test_class_thresholds_can_maximize_the_mean_recall() -> None:
    # Two of ten images of the first class score 0.4 for the second, whose own two images score 0.45 and 0.3.
    y_true = np.eye(2, dtype=int)[[*[0] * 10, 1, 1]]
    scores = np.array([*[[0.9, 0.1]] * 8, [0.6, 0.4], [0.6, 0.4], [0.55, 0.45], [0.7, 0.3]])
    for metric, recall in (("f1", 0.5), ("balanced_accuracy", 1.0)):
        y_pred = argmax_mask(scores / class_thresholds(y_true, scores, metric))
        assert y_pred[y_true[:, 1] == 1, 1].mean() == recall


@pytest.mark.parametrize("metric", [f1_score, balanced_accuracy_score])
def test_thresholds_are_the_best_on_the_known_cells_by_scikit_learn(
    metric: Callable[..., float], random_scores: Scored
) -> None:
    y_true, scores = random_scores[0][:, :2], random_scores[1][:, :2]
    y_true = np.where(np.random.default_rng(1).random(y_true.shape) < 0.3, -1, y_true)
    known = y_true >= 0
    name = "f1" if metric is f1_score else "balanced_accuracy"
    values = np.array(
        [[metric(y_true[known[:, j], j], scores[known[:, j], j] >= t) for j in range(2)] for t in THRESHOLDS]
    )
    assert label_thresholds(y_true, scores, name).tolist() == [best_by_hand(values[:, j].tolist()) for j in range(2)]
    assert tuned_threshold(y_true, scores, name) == best_by_hand(values.mean(axis=1).tolist())


def test_thresholds_reach_from_0_01_to_0_99() -> None:
    assert label_thresholds(np.array([[1], [0]]), np.array([[0.01], [0.0]])).tolist() == [0.01]
    assert label_thresholds(np.array([[1], [0]]), np.array([[0.995], [0.985]])).tolist() == [0.99]


def test_of_two_thresholds_equally_near_to_a_half_the_higher_is_chosen() -> None:
    # F1 is 2/3 at 0.2 and 0.8, and less between.
    y_true, scores = np.array([[1], [0], [0], [1]]), np.array([[0.8], [0.79], [0.79], [0.2]])
    assert label_thresholds(y_true, scores).tolist() == [0.8]


def test_one_image_with_the_label_and_one_without_are_enough_for_balanced_accuracy() -> None:
    y_true, scores = np.array([[1, 0], [0, 1]]), np.array([[0.2, 0.7], [0.1, 0.8]])
    assert label_thresholds(y_true, scores, "balanced_accuracy").tolist() == [0.2, 0.71]


def test_ties_between_classes_go_to_the_first_class() -> None:
    scores = np.array([[0.75, 0.25], [0.5, 0.5]])
    assert class_thresholds(np.array([[1, 0], [0, 1]]), scores).tolist() == [0.51, 0.5]
    assert class_thresholds(np.array([[0, 1], [1, 0]]), scores[:, ::-1]).tolist() == [0.5, 0.5]


def test_coordinate_ascent_goes_on_until_no_threshold_improves() -> None:
    actual = [1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 0, 1]
    scores = np.array(
        [[0.34, 0.32, 0.34], [0.09, 0.27, 0.64], [0.0, 0.6, 0.39], [0.59, 0.26, 0.15], [0.38, 0.2, 0.42],
         [0.11, 0.44, 0.45], [0.45, 0.49, 0.06], [0.5, 0.25, 0.25], [0.36, 0.38, 0.26], [0.41, 0.21, 0.38],
         [0.52, 0.11, 0.37], [0.2, 0.33, 0.48]]
    )  # fmt: skip
    thresholds = class_thresholds(np.eye(3, dtype=int)[actual], scores)
    assert f1_score(actual, (scores / thresholds).argmax(axis=1), average="macro") == pytest.approx(0.913725, abs=1e-6)


def test_threshold_of_a_class_that_no_image_has_is_a_half() -> None:
    y_true, scores = np.array([[1, 0, 0], [0, 1, 0]]), np.array([[0.3, 0.2, 0.5], [0.1, 0.6, 0.3]])
    assert class_thresholds(y_true, scores).tolist() == [0.3, 0.5, 0.5]
    y_true, scores = np.array([[0, 1, 0], [0, 0, 1]]), np.array([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6]])
    assert class_thresholds(y_true, scores).tolist() == [0.5, 0.29, 0.5]


def test_rows_that_are_known_in_part_are_ignored_if_images_have_one_label() -> None:
    y_true, scores = np.array([[1, 0], [1, 0], [0, 1]]), np.array([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4]])
    more_true = np.vstack([y_true, [[0, -1], [-1, 0], [-1, 0]]])
    more_scores = np.vstack([scores, [[0.65, 0.35], [0.95, 0.05], [0.62, 0.38]]])
    assert class_thresholds(more_true, more_scores).tolist() == class_thresholds(y_true, scores).tolist()
    assert binary_threshold(more_true, more_scores, 0) == binary_threshold(y_true, scores, 0) == 0.61


@pytest.mark.parametrize("metric", ["f1", "balanced_accuracy"])
def test_a_label_of_a_single_image_counts_as_much_as_any_other(metric: str) -> None:
    """The best threshold for all labels, by scikit-learn, where one image has the rare label."""
    rng = np.random.default_rng(4)
    y_true = np.column_stack([rng.random(40) < 0.5, np.arange(40) == 7]).astype(int)
    scores = np.clip(rng.random((40, 2)) * 0.6 + 0.3 * y_true, 0, 1)
    score = f1_score if metric == "f1" else balanced_accuracy_score
    means = [np.mean([score(y_true[:, j], scores[:, j] >= threshold) for j in range(2)]) for threshold in THRESHOLDS]
    tuned = tuned_threshold(y_true, scores, metric)
    assert means[int(np.flatnonzero(np.isclose(THRESHOLDS, tuned))[0])] == pytest.approx(max(means))
