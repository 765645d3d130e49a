import time

import numpy as np
import pytest
import sklearn.metrics as sk
from numpy.typing import NDArray

from counterweight.metrics.classification import (
    AGGREGATES,
    AVERAGES,
    LabelRoles,
    aggregate,
    classification_metrics,
    label_metrics,
    validation_metrics,
)
from counterweight.metrics.per_label import aucs, average_precisions

Labels = tuple[NDArray[np.int8], NDArray[np.bool_]]
SCENES = LabelRoles("multilabel", ["sea", "desert"], None, rarest="desert", commonest="sea")
SIX = LabelRoles("multilabel", list("abcdef"), None, rarest="f", commonest="a")
PETS = LabelRoles("binary", ["cat", "dog"], "dog", rarest="dog", commonest="cat")
FRUIT = LabelRoles("multiclass", ["apple", "fig", "pear"], None, rarest="fig", commonest="apple")


@pytest.fixture
def random_labels() -> Labels:
    """Targets and predictions: 300 images, six labels, from common to rare."""
    rng = np.random.default_rng(0)
    odds = np.array([0.7, 0.5, 0.3, 0.2, 0.1, 0.02])
    return (rng.random((300, 6)) < odds).astype(np.int8), rng.random((300, 6)) < odds


@pytest.fixture
def random_mask() -> NDArray[np.bool_]:
    """Unknown cells of these targets; some rows are unknown in full."""
    mask = np.random.default_rng(1).random((300, 6)) < 0.2
    mask[:10] = True
    return mask


@pytest.fixture
def four_images() -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Targets and scores: a label predicted on all its images, and a rare one that is missed."""
    y_true = np.array([[1, 0], [1, 0], [0, 0], [0, 1]], dtype=np.int8)
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.3], [0.1, 0.4]])
    return y_true, scores


def one_hot(classes: list[int], n_classes: int) -> NDArray[np.int8]:
    return np.eye(n_classes, dtype=np.int8)[classes]


@pytest.mark.parametrize("average", AVERAGES)
def test_f1_precision_and_recall_match_scikit_learn(average: str, random_labels: Labels) -> None:
    y_true, y_pred = random_labels
    metrics = aggregate(y_true, y_pred, SIX)
    precision, recall, f1, _ = sk.precision_recall_fscore_support(y_true, y_pred, average=average, zero_division=0)
    assert [metrics[f"{average}_{rate}"] for rate in ("precision", "recall", "f1")] == pytest.approx(
        [precision, recall, f1], abs=1e-12
    )


def test_other_multilabel_metrics_match_scikit_learn(random_labels: Labels) -> None:
    y_true, y_pred = random_labels
    columns = list(zip(y_true.T, y_pred.T, strict=True))
    sensitivity = [sk.recall_score(*column) for column in columns]
    specificity = [sk.recall_score(*column, pos_label=0) for column in columns]
    expected = {
        "macro_jaccard": sk.jaccard_score(y_true, y_pred, average="macro"),
        "samples_jaccard": sk.jaccard_score(y_true, y_pred, average="samples", zero_division=0),
        "hamming_loss": sk.hamming_loss(y_true, y_pred),
        "accuracy": np.mean([sk.accuracy_score(*column) for column in columns]),
        "exact_match": sk.accuracy_score(y_true, y_pred),
        "balanced_accuracy": np.mean([sk.balanced_accuracy_score(*column) for column in columns]),
        "g_mean": np.mean(np.sqrt(np.multiply(sensitivity, specificity))),
        "sensitivity": np.mean(sensitivity),
        "specificity": np.mean(specificity),
        "minority_recall": sensitivity[5],
        "majority_recall": sensitivity[0],
    }
    metrics = aggregate(y_true, y_pred, SIX)
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_multiclass_metrics_match_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    actual, predicted = rng.choice(3, 200, p=[0.6, 0.1, 0.3]), rng.choice(3, 200, p=[0.6, 0.1, 0.3])
    metrics = aggregate(one_hot(actual, 3), one_hot(predicted, 3) == 1, FRUIT)
    for average in ("micro", "macro", "weighted"):
        expected = sk.precision_recall_fscore_support(actual, predicted, average=average, zero_division=0)[:3]
        rates = [metrics[f"{average}_{rate}"] for rate in ("precision", "recall", "f1")]
        assert rates == pytest.approx(expected, abs=1e-12)
    recalls = sk.recall_score(actual, predicted, average=None)
    assert metrics["accuracy"] == pytest.approx(sk.accuracy_score(actual, predicted), abs=1e-12)
    assert metrics["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(actual, predicted), abs=1e-12)
    assert metrics["g_mean"] == pytest.approx(np.prod(recalls) ** (1 / 3), abs=1e-12)
    assert (metrics["minority_recall"], metrics["majority_recall"]) == (recalls[1], recalls[0])


def test_binary_sensitivity_and_specificity_are_those_of_the_positive_class() -> None:
    # Three of four cats are recognized, and one of two dogs.
    metrics = aggregate(one_hot([0, 0, 0, 0, 1, 1], 2), one_hot([0, 0, 0, 1, 1, 0], 2) == 1, PETS)
    assert (metrics["sensitivity"], metrics["specificity"]) == (1 / 2, 3 / 4)
    assert (metrics["balanced_accuracy"], metrics["g_mean"]) == (5 / 8, pytest.approx((3 / 8) ** 0.5))
    assert (metrics["accuracy"], metrics["minority_recall"], metrics["majority_recall"]) == (4 / 6, 1 / 2, 3 / 4)


def test_class_without_images_is_left_out_of_the_mean_recall() -> None:
    metrics = aggregate(one_hot([0, 0, 2], 3), one_hot([0, 1, 2], 3) == 1, FRUIT)
    assert (metrics["balanced_accuracy"], metrics["g_mean"]) == (0.75, pytest.approx(0.5**0.5))
    assert metrics["minority_recall"] is None


def test_predicting_no_class_or_several_is_not_accurate() -> None:
    y_pred = np.array([[True, True, False], [False, False, False], [False, False, True]])
    assert aggregate(one_hot([0, 1, 2], 3), y_pred, FRUIT)["accuracy"] == 1 / 3


def test_micro_averages_are_over_the_known_cells(random_labels: Labels, random_mask: NDArray[np.bool_]) -> None:
    y_true, y_pred = random_labels
    metrics = aggregate(np.where(random_mask, -1, y_true), y_pred, SIX)
    cells = (y_true[~random_mask], y_pred[~random_mask])
    expected = sk.precision_recall_fscore_support(*cells, average="binary")[:3]
    assert [metrics[f"micro_{rate}"] for rate in ("precision", "recall", "f1")] == pytest.approx(expected, abs=1e-12)
    assert metrics["hamming_loss"] == pytest.approx(1 - sk.accuracy_score(*cells), abs=1e-12)


def test_macro_averages_are_over_the_known_cells_of_each_label(
    random_labels: Labels, random_mask: NDArray[np.bool_]
) -> None:
    y_true, y_pred = random_labels
    metrics = aggregate(np.where(random_mask, -1, y_true), y_pred, SIX)
    columns = [(y_true[~mask, j], y_pred[~mask, j]) for j, mask in enumerate(random_mask.T)]
    each = np.array([sk.precision_recall_fscore_support(*column, average="binary")[:3] for column in columns])
    weights = [column.sum() for column, _ in columns]
    for average, expected in (("macro", each.mean(axis=0)), ("weighted", np.average(each, axis=0, weights=weights))):
        rates = [metrics[f"{average}_{rate}"] for rate in ("precision", "recall", "f1")]
        assert rates == pytest.approx(expected, abs=1e-12)
    assert metrics["macro_jaccard"] == pytest.approx(np.mean([sk.jaccard_score(*column) for column in columns]))
    assert metrics["accuracy"] == pytest.approx(np.mean([sk.accuracy_score(*column) for column in columns]))
    assert metrics["minority_recall"] == sk.recall_score(*columns[5])


def test_sample_averages_are_over_the_known_cells_of_each_image(
    random_labels: Labels, random_mask: NDArray[np.bool_]
) -> None:
    y_true, y_pred = random_labels
    metrics = aggregate(np.where(random_mask, -1, y_true), y_pred, SIX)
    rows = [
        (actual[~mask], predicted[~mask]) for actual, predicted, mask in zip(y_true, y_pred, random_mask, strict=True)
    ]
    known = [row for row in rows if len(row[0])]
    each = [sk.precision_recall_fscore_support(*row, average="binary", zero_division=0)[:3] for row in known]
    assert [metrics[f"samples_{rate}"] for rate in ("precision", "recall", "f1")] == pytest.approx(
        np.mean(each, axis=0)
    )
    assert metrics["samples_jaccard"] == pytest.approx(np.mean([sk.jaccard_score(*r, zero_division=0) for r in known]))
    exact = [(actual == predicted).all() for actual, predicted in known if len(actual) == 6]
    assert metrics["exact_match"] == np.mean(exact)


def test_metrics_are_none_without_known_cells() -> None:
    assert aggregate(np.full((3, 2), -1), np.ones((3, 2), np.bool_), SCENES) == dict.fromkeys(AGGREGATES)
    assert aggregate(np.zeros((0, 2), np.int8), np.zeros((0, 2), np.bool_), SCENES) == dict.fromkeys(AGGREGATES)


def test_exact_match_is_none_without_fully_known_rows() -> None:
    metrics = aggregate(np.array([[1, -1], [-1, 0]]), np.array([[True, False], [True, False]]), SCENES)
    assert (metrics["exact_match"], metrics["micro_f1"], metrics["accuracy"]) == (None, 1.0, 1.0)


def test_metrics_of_a_single_label_are_those_of_the_label() -> None:
    desert = LabelRoles("multilabel", ["desert"], None, rarest="desert", commonest="desert")
    metrics = aggregate(np.array([[1], [1], [0], [0]]), np.array([[True], [False], [False], [False]]), desert)
    assert metrics["macro_f1"] == metrics["micro_f1"] == pytest.approx(2 / 3)
    assert (metrics["accuracy"], metrics["exact_match"], metrics["hamming_loss"]) == (3 / 4, 3 / 4, 1 / 4)


def test_average_precision_by_hand() -> None:
    # Ranked 1, 0, 1: precision 1 at the first recall step and 2/3 at the second.
    result = average_precisions(np.array([[1], [0], [1]]), np.array([[0.9], [0.5], [0.2]]))
    assert result.tolist() == [pytest.approx((1 + 2 / 3) / 2)]


def test_auc_is_the_fraction_of_correctly_ordered_pairs() -> None:
    # 0.9 is above 0.5, and 0.2 is not; the cell with 0.99 is unknown.
    result = aucs(np.array([[1], [0], [1], [-1]]), np.array([[0.9], [0.5], [0.2], [0.99]]))
    assert result.tolist() == [0.5]


def test_average_precision_is_nan_for_a_label_that_no_image_has() -> None:
    result = average_precisions(np.array([[1, 0], [0, 0]]), np.array([[0.9, 0.5], [0.2, 0.1]]))
    assert result.tolist() == [1.0, pytest.approx(np.nan, nan_ok=True)]


def test_auc_needs_images_with_and_without_the_label() -> None:
    result = aucs(np.array([[1, 0, 1, -1], [0, 0, 1, 1]]), np.full((2, 4), 0.5))
    assert result.tolist() == [0.5, *[pytest.approx(np.nan, nan_ok=True)] * 3]


def test_means_leave_out_labels_that_no_image_has() -> None:
    y_true, scores = np.array([[1, 0], [0, 0]]), np.array([[0.9, 0.5], [0.2, 0.1]])
    metrics = classification_metrics(y_true, scores, {}, SCENES)
    assert (metrics["map"], metrics["macro_auc"]) == (1.0, 1.0)


def test_means_over_no_label_are_none() -> None:
    assert classification_metrics(np.full((2, 2), -1), np.full((2, 2), 0.5), {}, SCENES) == {
        "map": None,
        "macro_auc": None,
        "brier": None,
        "calibration_error": None,
    }


def test_metrics_of_four_images(four_images: tuple[NDArray[np.int8], NDArray[np.float64]]) -> None:
    # At 0.5 the first label is predicted three times, twice correctly, and the second never: micro precision and recall
    # are 2/3; the macro average includes a label whose rates are 0. At 0.35 the second is predicted once, correctly.
    y_true, scores = four_images
    metrics = classification_metrics(y_true, scores, {"0.5": scores >= 0.5, "tuned": scores >= 0.35}, SCENES)
    assert list(metrics) == ["map", "macro_auc", "brier", "calibration_error", "threshold_0.5", "threshold_tuned"]
    assert (metrics["map"], metrics["macro_auc"]) == (1.0, 1.0)
    # Each score is in a bin of its own, at distances of 0.1, 0.2, 0.6, 0.1 and of 0.1, 0.2, 0.3, 0.6.
    assert metrics["calibration_error"] == pytest.approx((1.0 + 1.2) / 8)
    assert metrics["brier"] == pytest.approx((0.01 + 0.04 + 0.36 + 0.01 + 0.01 + 0.04 + 0.09 + 0.36) / 8)
    assert metrics["threshold_0.5"] == pytest.approx(
        {
            "micro_f1": 2 / 3,
            "micro_precision": 2 / 3,
            "micro_recall": 2 / 3,
            "macro_f1": 0.4,
            "macro_precision": 1 / 3,
            "macro_recall": 0.5,
            "weighted_f1": 8 / 15,
            "weighted_precision": 4 / 9,
            "weighted_recall": 2 / 3,
            "samples_f1": 0.5,
            "samples_precision": 0.5,
            "samples_recall": 0.5,
            "macro_jaccard": 1 / 3,
            "samples_jaccard": 0.5,
            "hamming_loss": 2 / 8,
            "accuracy": 0.75,
            "exact_match": 0.5,
            "balanced_accuracy": (0.75 + 0.5) / 2,
            "g_mean": 0.5**0.5 / 2,
            "sensitivity": 0.5,
            "specificity": 0.75,
            "minority_recall": 0.0,
            "majority_recall": 1.0,
        }
    )
    tuned = metrics["threshold_tuned"]
    assert isinstance(tuned, dict)
    assert [tuned[name] for name in ("micro_f1", "macro_f1", "minority_recall")] == pytest.approx([6 / 7, 0.9, 1.0])


def test_validation_metrics_are_those_that_compare_recipes(
    four_images: tuple[NDArray[np.int8], NDArray[np.float64]],
) -> None:
    y_true, scores = four_images
    kept = validation_metrics(y_true, scores, {"tuned": scores >= 0.35}, SCENES)
    assert list(kept) == ["map", "macro_auc", "brier", "calibration_error", "threshold_tuned"]
    assert kept["threshold_tuned"] == {
        "micro_f1": pytest.approx(6 / 7),
        "macro_f1": pytest.approx(0.9),
        "balanced_accuracy": pytest.approx((0.75 + 1) / 2),
        "minority_recall": 1.0,
        "majority_recall": 1.0,
    }


def test_label_metrics_have_one_row_per_label(four_images: tuple[NDArray[np.int8], NDArray[np.float64]]) -> None:
    y_true, scores = four_images
    table = label_metrics(["sea", "desert"], np.array([70, 30]), y_true, scores, {"0.5": scores >= 0.5})
    assert table.to_dict("list") == {
        "label": ["sea", "desert"],
        "train": [70, 30],
        "test": [2, 1],
        "average_precision": [1.0, 1.0],
        "auc": [1.0, 1.0],
        "precision_0.5": [2 / 3, 0.0],
        "recall_0.5": [1.0, 0.0],
        "f1_0.5": [0.8, 0.0],
        "sensitivity_0.5": [1.0, 0.0],
        "specificity_0.5": [0.5, 1.0],
        "g_mean_0.5": [pytest.approx(0.5**0.5), 0.0],
        "balanced_accuracy_0.5": [0.75, 0.5],
        "accuracy_0.5": [0.75, 0.75],
        "tp_0.5": [2, 0],
        "fp_0.5": [1, 0],
        "tn_0.5": [1, 3],
        "fn_0.5": [0, 1],
    }


def test_roles_follow_from_the_train_images() -> None:
    train = np.array([[1, 0], [1, -1], [0, 1]])
    assert LabelRoles.from_train_targets("multilabel", ["sea", "desert"], None, train) == SCENES


def test_sweep_of_a_hundred_thresholds_takes_seconds() -> None:
    rng = np.random.default_rng(0)
    y_true, scores = (rng.random((2000, 5)) < 0.3).astype(np.int8), rng.random((2000, 5))
    five = LabelRoles("multilabel", list("abcde"), None, rarest="a", commonest="b")
    started = time.perf_counter()
    classification_metrics(y_true, scores, {f"{t:g}": scores >= t for t in np.arange(1, 101) / 101}, five)
    assert time.perf_counter() - started < 20


def test_ranking_metrics_are_not_mixed_up() -> None:
    # Ranked 1, 0, 1: average precision (1 + 2/3) / 2, and one of two pairs in the right order.
    y_true, scores = np.array([[1], [0], [1], [-1]]), np.array([[0.9], [0.5], [0.2], [0.7]])
    desert = LabelRoles("multilabel", ["desert"], None, rarest="desert", commonest="desert")
    metrics = classification_metrics(y_true, scores, {}, desert)
    assert (metrics["map"], metrics["macro_auc"]) == (pytest.approx(5 / 6), 0.5)
    row = label_metrics(["desert"], np.array([7]), y_true, scores, {}).iloc[0].to_dict()
    assert row == {"label": "desert", "train": 7, "test": 2, "average_precision": pytest.approx(5 / 6), "auc": 0.5}


def test_unknown_train_targets_do_not_make_a_label_common() -> None:
    train = np.array([[1, 0], [1, -1], [0, 1], [0, -1], [0, -1]])
    assert LabelRoles.from_train_targets("multilabel", ["sea", "desert"], None, train) == SCENES


def test_ties_go_to_the_last_rarest_and_the_first_commonest_label() -> None:
    roles = LabelRoles.from_train_targets("multilabel", ["cat", "dog", "owl"], None, np.ones((4, 3), int))
    assert (roles.rarest, roles.commonest) == ("owl", "cat")


def test_roles_come_from_the_known_train_targets() -> None:
    train = np.array([[1, 0], [1, 0], [0, 1], [-1, -1], [-1, -1]])
    assert LabelRoles.from_train_targets("binary", ["cat", "dog"], "dog", train) == PETS


def test_g_mean_is_undefined_if_no_image_has_a_class() -> None:
    metrics = aggregate(np.zeros((2, 3), np.int8), np.zeros((2, 3), np.bool_), FRUIT)
    assert metrics["g_mean"] is None
    assert metrics["balanced_accuracy"] is None
