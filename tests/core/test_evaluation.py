import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from stages.core.evaluation import (
    average_precisions,
    compare,
    label_measures,
    measures,
    rates,
    tuned_threshold,
)


@pytest.fixture
def random_labels() -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """What is there and what is given: 300 images, six labels, from common to rare."""
    rng = np.random.default_rng(0)
    odds = np.array([0.7, 0.5, 0.3, 0.2, 0.1, 0.02])
    return (rng.random((300, 6)) < odds).astype(np.int8), rng.random((300, 6)) < odds


@pytest.fixture
def four_images() -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Targets and scores: a label found on all its images and a rare one that is missed."""
    targets = np.array([[1, 0], [1, 0], [0, 0], [0, 1]], dtype=np.int8)
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.3], [0.1, 0.4]])
    return targets, scores


def test_rates_of_each_label_are_scikit_learns(random_labels: tuple[NDArray[np.int8], NDArray[np.bool_]]) -> None:
    targets, given = random_labels
    precision, recall, f1, _ = precision_recall_fscore_support(targets, given, average=None, zero_division=0)
    found = rates(targets, given)
    assert found.precision == pytest.approx(precision)
    assert found.recall == pytest.approx(recall)
    assert found.f1 == pytest.approx(f1)


def test_micro_rates_are_scikit_learns(random_labels: tuple[NDArray[np.int8], NDArray[np.bool_]]) -> None:
    targets, given = random_labels
    expected = precision_recall_fscore_support(targets, given, average="micro", zero_division=0)[:3]
    found = rates(targets, given, micro=True)
    assert (*found.precision, *found.recall, *found.f1) == pytest.approx(expected)


def test_macro_and_micro_measures_are_scikit_learns(
    random_labels: tuple[NDArray[np.int8], NDArray[np.bool_]],
) -> None:
    targets, given = random_labels
    found = measures(targets, given.astype(np.float64), {"tuned": 0.5})["threshold_tuned"]
    for average in ("micro", "macro"):
        precision, recall, f1, _ = precision_recall_fscore_support(targets, given, average=average, zero_division=0)
        assert found[f"{average}_precision"] == pytest.approx(precision)
        assert found[f"{average}_recall"] == pytest.approx(recall)
        assert found[f"{average}_f1"] == pytest.approx(f1)


def test_label_never_given_has_rates_of_0() -> None:
    found = rates(np.array([[1], [0]]), np.array([[False], [False]]))
    assert (found.precision[0], found.recall[0], found.f1[0]) == (0, 0, 0)


def test_label_never_there_has_rates_of_0() -> None:
    found = rates(np.array([[0], [0]]), np.array([[True], [False]]))
    assert (found.precision[0], found.recall[0], found.f1[0]) == (0, 0, 0)


def test_label_neither_given_nor_there_has_rates_of_0() -> None:
    found = rates(np.array([[0], [0]]), np.array([[False], [False]]))
    assert (found.precision[0], found.recall[0], found.f1[0]) == (0, 0, 0)


def test_rates_of_a_single_label_worked_by_hand() -> None:
    # Three given, two of them rightly; four there.
    found = rates(np.array([[1], [1], [0], [1], [1]]), np.array([[True], [True], [True], [False], [False]]))
    assert found.precision.tolist() == [2 / 3]
    assert found.recall.tolist() == [2 / 4]
    assert found.f1 == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))


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


def test_without_any_label_given_or_there_the_threshold_is_a_half() -> None:
    assert tuned_threshold(np.zeros((3, 2), int), np.zeros((3, 2))) == 0.5


def test_average_precision_by_hand() -> None:
    # Ranked 1, 0, 1: precision 1 at the first recall step and 2/3 at the second.
    found = average_precisions(np.array([[1], [0], [1]]), np.array([[0.9], [0.5], [0.2]]))
    assert found.tolist() == [pytest.approx((1 + 2 / 3) / 2)]


def test_average_precision_of_a_label_that_no_image_has_is_not_a_number() -> None:
    found = average_precisions(np.array([[1, 0], [0, 0]]), np.array([[0.9, 0.5], [0.2, 0.1]]))
    assert found.tolist() == [1.0, pytest.approx(np.nan, nan_ok=True)]


def test_map_leaves_out_labels_that_no_image_has() -> None:
    targets, scores = np.array([[1, 0], [0, 0]]), np.array([[0.9, 0.5], [0.2, 0.1]])
    assert measures(targets, scores, {"tuned": 0.5})["map"] == 1.0


def test_measures_of_four_images(four_images: tuple[NDArray[np.int8], NDArray[np.float64]]) -> None:
    # At 0.5 three first labels are given, two rightly, and no second one: micro 2 of 3 given and of 3 there; macro the
    # mean with a label whose rates are 0. At 0.35 the second label is given once, rightly.
    targets, scores = four_images
    assert measures(targets, scores, {"0.5": 0.5, "tuned": 0.35}) == {
        "map": 1.0,
        "tuned_threshold": 0.35,
        "threshold_0.5": pytest.approx(
            {
                "micro_f1": 2 / 3,
                "micro_precision": 2 / 3,
                "micro_recall": 2 / 3,
                "macro_f1": 0.4,
                "macro_precision": 1 / 3,
                "macro_recall": 0.5,
            }
        ),
        "threshold_tuned": pytest.approx(
            {
                "micro_f1": 6 / 7,
                "micro_precision": 3 / 4,
                "micro_recall": 1.0,
                "macro_f1": 0.9,
                "macro_precision": 5 / 6,
                "macro_recall": 1.0,
            }
        ),
    }


def test_score_equal_to_the_threshold_counts_as_given() -> None:
    found = measures(np.array([[1]]), np.array([[0.5]]), {"tuned": 0.5})
    assert found["threshold_tuned"] == dict.fromkeys(found["threshold_tuned"], 1.0)


def test_label_measures_have_a_row_a_label(four_images: tuple[NDArray[np.int8], NDArray[np.float64]]) -> None:
    targets, scores = four_images
    table = label_measures(["sea", "desert"], np.array([70, 30]), targets, scores, {"0.5": 0.5})
    assert table.to_dict("list") == {
        "label": ["sea", "desert"],
        "train": [70, 30],
        "test": [2, 1],
        "average_precision": [1.0, 1.0],
        "precision_0.5": [2 / 3, 0.0],
        "recall_0.5": [1.0, 0.0],
        "f1_0.5": [0.8, 0.0],
    }


@pytest.fixture
def two_arms() -> dict[str, tuple[dict[str, object], pd.DataFrame]]:
    """Metrics and label measures of each arm; no test image has the second label."""
    return {
        arm: (
            {"map": score, "tuned_threshold": 0.4, "threshold_0.5": {"micro_f1": score / 2}},
            pd.DataFrame({"label": ["sea", "zoo"], "train": [9, 3], "average_precision": [score, np.nan]}),
        )
        for arm, score in (("original", 0.5), ("balanced", 0.75))
    }


def test_comparison_has_a_column_an_arm_and_the_rows_of_all_labels_first(
    two_arms: dict[str, tuple[dict[str, object], pd.DataFrame]],
) -> None:
    table = compare(
        {arm: metrics for arm, (metrics, _) in two_arms.items()},
        {arm: labels for arm, (_, labels) in two_arms.items()},
    )
    assert table.columns.tolist() == ["label", "measure", "original", "balanced"]
    assert table.iloc[:-1].to_numpy().tolist() == [
        ["all", "map", 0.5, 0.75],
        ["all", "tuned_threshold", 0.4, 0.4],
        ["all", "micro_f1_0.5", 0.25, 0.375],
        ["sea", "train", 9, 9],
        ["sea", "average_precision", 0.5, 0.75],
        ["zoo", "train", 3, 3],
    ]


def test_comparison_keeps_the_row_of_a_measure_that_is_not_a_number(
    two_arms: dict[str, tuple[dict[str, object], pd.DataFrame]],
) -> None:
    table = compare(
        {arm: metrics for arm, (metrics, _) in two_arms.items()},
        {arm: labels for arm, (_, labels) in two_arms.items()},
    )
    last = table.iloc[-1]
    assert (last["label"], last["measure"]) == ("zoo", "average_precision")
    assert last[["original", "balanced"]].isna().all()
