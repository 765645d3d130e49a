import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from counterweight.metrics.calibration import (
    Calibration,
    brier_score,
    expected_calibration_error,
    fit_calibration,
    reliability_table,
)

Column = tuple[NDArray[np.int_], NDArray[np.float64]]


def column(*groups: tuple[float, int, int]) -> Column:
    """Targets and scores of one label, from groups of images: their score, how many have the label, how many not."""
    y_true = [[label] for _, n_with, n_without in groups for label in [1] * n_with + [0] * n_without]
    scores = [[score] for score, n_with, n_without in groups for _ in range(n_with + n_without)]
    return np.array(y_true), np.array(scores)


def samples(count: int, seed: int, *, rate: float = 0.3) -> Column:
    """Draw labels, and log-odds that are normal around -1 without the label and 1 with it; return true probabilities.

    The ratio of the densities is e^(2z), so the log-odds of the label are 2z + logit(rate).
    """
    rng = np.random.default_rng(seed)
    y_true = (rng.random((count, 1)) < rate).astype(int)
    return y_true, expit(2 * (rng.normal(size=(count, 1)) + 2 * y_true - 1) + logit(rate))


# Scores of images of which one, three and five in ten have the label.
HONEST = column((0.1, 10, 90), (0.3, 30, 70), (0.5, 50, 50))


def test_brier_score_is_the_mean_over_known_cells() -> None:
    y_true, scores = np.array([[1, 0], [0, -1]]), np.array([[0.5, 0.0], [1.0, 0.9]])
    assert brier_score(y_true, scores) == pytest.approx((0.25 + 0 + 1) / 3)


def test_brier_score_of_classes_is_briers_sum_divided_by_their_number() -> None:
    assert brier_score(np.array([[1, 0, 0]]), np.array([[0.5, 0.3, 0.2]])) == pytest.approx((0.25 + 0.09 + 0.04) / 3)


def test_nothing_is_measured_where_no_cell_is_known() -> None:
    y_true, scores = np.full((2, 2), -1), np.full((2, 2), 0.5)
    assert brier_score(y_true, scores) is None
    assert expected_calibration_error(y_true, scores) is None
    assert reliability_table(y_true, scores).to_dict("list") == {"score": [], "frequency": [], "cells": []}
    assert expected_calibration_error(y_true[:0], scores[:0]) is None


def test_error_of_perfectly_calibrated_scores_is_0() -> None:
    assert expected_calibration_error(*HONEST) == pytest.approx(0)


def test_error_is_the_distance_between_score_and_frequency() -> None:
    assert expected_calibration_error(*column((0.9, 5, 5))) == pytest.approx(0.4)
    assert expected_calibration_error(*column((0.1, 5, 5))) == pytest.approx(0.4)


def test_bins_weigh_as_much_as_they_have_images() -> None:
    assert expected_calibration_error(*column((0.2, 0, 30), (0.8, 8, 2))) == pytest.approx(0.2 * 30 / 40)


def test_labels_weigh_the_same_in_the_error() -> None:
    y_true = np.array([[1, 0], [1, -1], [1, -1], [1, -1]])
    assert expected_calibration_error(y_true, np.full((4, 2), 0.6)) == pytest.approx((0.4 + 0.6) / 2)


def test_labels_without_known_images_are_left_out_of_the_error() -> None:
    assert expected_calibration_error(np.array([[1, -1]]), np.array([[0.75, 0.1]])) == 0.25


def test_errors_of_two_labels_do_not_cancel_out() -> None:
    y_true, scores = np.array([[1, 0], [0, 0], [1, 0], [1, 1]]), np.full((4, 2), 0.5)
    assert expected_calibration_error(y_true, scores) == 0.25
    assert reliability_table(y_true, scores).to_dict("list") == {"score": [0.5], "frequency": [0.5], "cells": [8]}


def test_bins_have_equally_many_cells_in_the_order_of_scores() -> None:
    y_true, scores = np.array([[1, 0], [0, 1], [1, 0]]), np.array([[0.9, 0.02], [0.01, 0.5], [0.6, 0.03]])
    assert reliability_table(y_true, scores, 2).to_dict("list") == {
        "score": [pytest.approx(0.02), pytest.approx(2 / 3)],
        "frequency": [0, 1],
        "cells": [3, 3],
    }


def test_equal_scores_share_a_bin_in_any_order_of_the_images() -> None:
    y_true, scores = column((0.2, 3, 2), (0.3, 1, 0), (0.9, 2, 2))
    table = reliability_table(y_true, scores, 5)
    assert table["cells"].tolist() == [5, 1, 4]
    assert table["frequency"].tolist() == [0.6, 1, 0.5]
    order = np.random.default_rng(0).permutation(len(scores))
    assert reliability_table(y_true[order], scores[order], 5).equals(table)


def test_unknown_cells_are_in_no_bin() -> None:
    y_true, scores = np.array([[1, -1], [0, -1]]), np.array([[0.8, 0.9], [0.2, 0.1]])
    assert reliability_table(y_true, scores, 2).equals(reliability_table(y_true[:, :1], scores[:, :1], 2))


def test_scores_may_be_float32() -> None:
    y_true, scores = HONEST
    assert expected_calibration_error(y_true, scores.astype(np.float32)) == pytest.approx(0, abs=1e-7)


def test_rare_label_of_a_weighted_training_comes_back_to_its_frequency() -> None:
    """Weights of 4 to 1 multiply the odds by 4; four positives are too few for a slope, so log(4) is undone exactly."""
    y_true, honest = column((0.1, 1, 9), (0.3, 3, 7))
    weighted = 4 * honest / (4 * honest + 1 - honest)
    calibration = fit_calibration(y_true, weighted, "sigmoid")
    assert calibration == Calibration("sigmoid", [1.0], [pytest.approx(-math.log(4), abs=1e-6)])
    assert calibration.apply(weighted) == pytest.approx(honest, abs=1e-6)


def test_scores_of_a_weighted_training_become_the_true_probabilities() -> None:
    y_true, honest = samples(50_000, seed=0)
    weighted = expit(1.5 * logit(honest) + math.log(4))
    calibration = fit_calibration(y_true, weighted, "sigmoid")
    assert calibration.slopes[0] == pytest.approx(1 / 1.5, rel=0.03)
    assert np.abs(calibration.apply(weighted) - honest).max() < 0.015
    assert (brier_score(y_true, weighted) or 0) > (brier_score(y_true, honest) or 0) + 0.015
    assert brier_score(y_true, calibration.apply(weighted)) == pytest.approx(brier_score(y_true, honest), abs=2e-4)
    assert (expected_calibration_error(y_true, calibration.apply(weighted)) or 0) < 0.01


@pytest.mark.parametrize("n_with", [1, 4, 5, 60])
def test_mean_probability_is_the_frequency(n_with: int) -> None:
    rng = np.random.default_rng(n_with)
    y_true = np.array([[1]] * n_with + [[0]] * 200)
    scores = expit(rng.normal(size=y_true.shape) + 2 * y_true)
    probabilities = fit_calibration(y_true, scores, "sigmoid").apply(scores)
    assert probabilities.mean() == pytest.approx(n_with / (n_with + 200), abs=1e-6)


def test_slope_is_that_of_the_lowest_log_loss_to_platts_targets() -> None:
    """Found here by a general minimizer of the loss of Platt's article."""
    y_true, scores = samples(200, seed=3)
    n_with, n_without = int(y_true.sum()), int((1 - y_true).sum())
    target = np.where(y_true == 1, (n_with + 1) / (n_with + 2), 1 / (n_without + 2))

    def loss(line: NDArray[np.float64]) -> float:
        margin = line[0] * logit(scores) + line[1]
        return float((target * np.logaddexp(0, -margin) + (1 - target) * np.logaddexp(0, margin)).mean())

    slope = minimize(loss, [1.0, 0.0], tol=1e-12).x[0]
    assert fit_calibration(y_true, scores, "sigmoid").slopes[0] == pytest.approx(slope, abs=2e-3)


def test_label_of_one_validation_image_is_only_shifted() -> None:
    y_true, scores = column((0.9, 1, 0), (0.1, 0, 499))
    calibration = fit_calibration(y_true, scores, "sigmoid")
    assert calibration.slopes == [1.0]
    image, *others = sorted(set(calibration.apply(scores)[:, 0].tolist()), reverse=True)
    assert 0.001 < others[0] < 0.002 < 0.05 < image < 0.15


@pytest.mark.parametrize("label", [0, 1])
def test_label_that_all_or_no_validation_images_have_keeps_its_scores(label: int) -> None:
    scores = np.linspace(0.01, 0.99, 50)[:, None]
    calibration = fit_calibration(np.full((50, 1), label), scores, "sigmoid")
    assert calibration == Calibration("sigmoid", [1.0], [0.0])
    assert calibration.apply(scores) == pytest.approx(scores)


@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_without_known_images_scores_stay(kind: str) -> None:
    scores = np.array([[0.25, 0.75]])
    for y_true in (np.full((1, 2), -1), np.empty((0, 2), int)):
        calibration = fit_calibration(y_true, scores[: len(y_true)], kind)
        assert calibration.apply(scores) == pytest.approx(scores)


def test_scores_that_are_higher_without_the_label_keep_their_order() -> None:
    y_true, scores = column((0.4, 80, 20), (0.6, 20, 80))
    calibration = fit_calibration(y_true, scores, "sigmoid")
    assert calibration.slopes == [0.01]
    # Half of the images have the label, and the scores tell nothing that could be used in their order.
    assert calibration.apply(scores) == pytest.approx(np.full((200, 1), 0.5), abs=0.002)


def test_scores_that_separate_the_images_do_not_become_a_step() -> None:
    y_true, scores = column((0.52, 20, 0), (0.51, 0, 20))
    calibration = fit_calibration(y_true, scores, "sigmoid")
    assert calibration.slopes == [10.0]
    assert 0.4 < calibration.apply(scores).min() < calibration.apply(scores).max() < 0.6


@pytest.mark.parametrize(("seed", "n_with"), [(0, 3), (1, 12), (2, 100)])
def test_order_of_the_scores_is_unchanged(seed: int, n_with: int) -> None:
    rng = np.random.default_rng(seed)
    y_true, scores = (np.arange(200) < n_with).astype(int)[:, None], rng.random((200, 1))
    probabilities = fit_calibration(y_true, scores, "sigmoid").apply(scores)
    assert np.argsort(probabilities[:, 0]).tolist() == np.argsort(scores[:, 0]).tolist()


def test_each_label_has_its_own_line_and_unknown_cells_are_ignored() -> None:
    (first_true, first), (second_true, second) = samples(300, seed=1), samples(300, seed=2)
    unknown = second_true.copy()
    unknown[::3] = -1
    both = fit_calibration(np.hstack([first_true, unknown]), np.hstack([first, second]), "sigmoid")
    each = [
        fit_calibration(first_true, first, "sigmoid"),
        fit_calibration(np.delete(second_true, np.s_[::3], axis=0), np.delete(second, np.s_[::3], axis=0), "sigmoid"),
    ]
    assert both.slopes == [calibration.slopes[0] for calibration in each]
    assert both.intercepts == [calibration.intercepts[0] for calibration in each]


@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_scores_of_0_and_1_become_finite_probabilities(kind: str) -> None:
    y_true = np.eye(2, dtype=int)[[0, 1] * 20]
    scores = np.where(y_true == 1, 1.0, 0.0)
    scores[:4] = 1 - scores[:4]
    probabilities = fit_calibration(y_true, scores, kind).apply(scores)
    # Four in forty are wrong.
    assert probabilities[10:][y_true[10:] == 1] == pytest.approx(0.9, abs=0.04)
    assert probabilities[10:][y_true[10:] == 0] == pytest.approx(0.1, abs=0.04)


def classes(n_right: int, n_wrong: int) -> Column:
    """Targets and scores of images with the scores 0.9, 0.05 and 0.05, of which some have the first class."""
    return np.eye(3, dtype=int)[[0] * n_right + [1] * n_wrong], np.tile([0.9, 0.05, 0.05], (n_right + n_wrong, 1))


def test_overconfident_classes_become_as_probable_as_they_are_right() -> None:
    # One of 21 + 9 + 2 images is added as a wrong one, whatever class it has.
    y_true, scores = classes(21, 9)
    calibration = fit_calibration(y_true, scores, "softmax")
    expected = (21 * (31 / 32) + 9 * (1 / 32) / 2) / 30
    probabilities = calibration.apply(scores)[0]
    assert probabilities[0] == pytest.approx(expected, abs=1e-3)
    assert calibration.intercepts[2] == 0  # No image has this class.


def test_weights_of_classes_are_undone() -> None:
    """A classifier that was trained with the rare class four times as heavy, and is right but for that."""
    rng = np.random.default_rng(0)
    true = rng.dirichlet([4, 2, 1], 4000)
    y_true = np.eye(3, dtype=int)[[rng.choice(3, p=each) for each in true]]
    weighted = true * [1, 1, 4]
    scores = weighted / weighted.sum(axis=1, keepdims=True)
    calibration = fit_calibration(y_true, scores, "softmax")
    assert calibration.intercepts[0] - calibration.intercepts[2] == pytest.approx(np.log(4), abs=0.1)
    assert calibration.apply(scores) == pytest.approx(true, abs=0.03)
    assert expected_calibration_error(y_true, scores) == pytest.approx(0.12, abs=0.04)
    assert expected_calibration_error(y_true, calibration.apply(scores)) == pytest.approx(0.01, abs=0.01)


def test_overconfident_probabilities_of_classes_sum_to_1_and_are_better_than_the_scores() -> None:
    rng = np.random.default_rng(0)
    scores = rng.dirichlet([0.3, 0.3, 0.3], 400)
    y_true = np.eye(3, dtype=int)[rng.integers(0, 3, 400)]
    calibration = fit_calibration(y_true, scores, "softmax")
    assert len(set(calibration.slopes)) == 1
    probabilities = calibration.apply(scores)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(400))
    assert (brier_score(y_true, probabilities) or 1) < (brier_score(y_true, scores) or 0)


def test_temperature_of_too_few_images_is_1() -> None:
    assert fit_calibration(*classes(7, 2), "softmax") == Calibration("softmax", [1.0] * 3, [0.0] * 3)
    assert fit_calibration(*classes(7, 3), "softmax").slopes[0] < 0.9


def test_classes_of_which_all_are_right_get_a_finite_temperature() -> None:
    y_true, scores = classes(30, 0)
    assert fit_calibration(y_true, scores, "softmax").apply(scores)[0, 0] == pytest.approx(31 / 32, abs=1e-3)


def test_images_without_a_known_class_do_not_count_for_the_temperature() -> None:
    y_true, scores = classes(21, 9)
    more = np.vstack([y_true, np.full((50, 3), -1)]), np.vstack([scores, np.tile([0.4, 0.3, 0.3], (50, 1))])
    assert fit_calibration(*more, "softmax") == fit_calibration(y_true, scores, "softmax")


def test_scores_of_classes_that_do_not_sum_to_1_are_normalized() -> None:
    assert Calibration("softmax", [1.0] * 2, [0.0] * 2).apply(np.array([[0.9, 0.6]]))[0].tolist() == pytest.approx(
        [0.6, 0.4]
    )


def test_inputs_are_not_changed() -> None:
    y_true, scores = samples(100, seed=0)
    before = y_true.copy(), scores.copy()
    fit_calibration(y_true, scores, "sigmoid").apply(scores)
    fit_calibration(np.hstack([1 - y_true, y_true]), np.hstack([1 - scores, scores]), "softmax")
    assert np.array_equal(y_true, before[0])
    assert np.array_equal(scores, before[1])
