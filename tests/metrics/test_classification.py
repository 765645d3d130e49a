import time

import numpy as np
import pytest
import sklearn.metrics as sk
from numpy.typing import NDArray

from counterweight.metrics.classification import (
    AVERAGES,
    OVERALL,
    Roles,
    label_measures,
    measures,
    on_validation,
    overall,
)
from counterweight.metrics.per_label import aucs, average_precisions

Labels = tuple[NDArray[np.int8], NDArray[np.bool_]]
SCENES = Roles("multilabel", ["sea", "desert"], None, rarest="desert", commonest="sea")
SIX = Roles("multilabel", list("abcdef"), None, rarest="f", commonest="a")
PETS = Roles("binary", ["cat", "dog"], "dog", rarest="dog", commonest="cat")
FRUIT = Roles("multiclass", ["apple", "fig", "pear"], None, rarest="fig", commonest="apple")


@pytest.fixture
def random_labels() -> Labels:
    """What is there and what is given: 300 images, six labels, from common to rare."""
    rng = np.random.default_rng(0)
    odds = np.array([0.7, 0.5, 0.3, 0.2, 0.1, 0.02])
    return (rng.random((300, 6)) < odds).astype(np.int8), rng.random((300, 6)) < odds


@pytest.fixture
def random_mask() -> NDArray[np.bool_]:
    """Which cells of these are not known, all of some rows among them."""
    mask = np.random.default_rng(1).random((300, 6)) < 0.2
    mask[:10] = True
    return mask


@pytest.fixture
def four_images() -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Targets and scores: a label found on all its images and a rare one that is missed."""
    targets = np.array([[1, 0], [1, 0], [0, 0], [0, 1]], dtype=np.int8)
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.3], [0.1, 0.4]])
    return targets, scores


def one_hot(classes: list[int], n_classes: int) -> NDArray[np.int8]:
    return np.eye(n_classes, dtype=np.int8)[classes]


@pytest.mark.parametrize("average", AVERAGES)
def test_f1_precision_and_recall_are_scikit_learns(average: str, random_labels: Labels) -> None:
    targets, given = random_labels
    found = overall(targets, given, SIX)
    precision, recall, f1, _ = sk.precision_recall_fscore_support(targets, given, average=average, zero_division=0)
    assert [found[f"{average}_{rate}"] for rate in ("precision", "recall", "f1")] == pytest.approx(
        [precision, recall, f1], abs=1e-12
    )


def test_other_measures_of_labels_are_scikit_learns(random_labels: Labels) -> None:
    targets, given = random_labels
    columns = list(zip(targets.T, given.T, strict=True))
    sensitivity = [sk.recall_score(*column) for column in columns]
    specificity = [sk.recall_score(*column, pos_label=0) for column in columns]
    expected = {
        "macro_jaccard": sk.jaccard_score(targets, given, average="macro"),
        "samples_jaccard": sk.jaccard_score(targets, given, average="samples", zero_division=0),
        "hamming_loss": sk.hamming_loss(targets, given),
        "accuracy": np.mean([sk.accuracy_score(*column) for column in columns]),
        "exact_match": sk.accuracy_score(targets, given),
        "balanced_accuracy": np.mean([sk.balanced_accuracy_score(*column) for column in columns]),
        "g_mean": np.mean(np.sqrt(np.multiply(sensitivity, specificity))),
        "sensitivity": np.mean(sensitivity),
        "specificity": np.mean(specificity),
        "minority_recall": sensitivity[5],
        "majority_recall": sensitivity[0],
    }
    found = overall(targets, given, SIX)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_measures_of_classes_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    actual, predicted = rng.choice(3, 200, p=[0.6, 0.1, 0.3]), rng.choice(3, 200, p=[0.6, 0.1, 0.3])
    found = overall(one_hot(actual, 3), one_hot(predicted, 3) == 1, FRUIT)
    for average in ("micro", "macro", "weighted"):
        expected = sk.precision_recall_fscore_support(actual, predicted, average=average, zero_division=0)[:3]
        rates = [found[f"{average}_{rate}"] for rate in ("precision", "recall", "f1")]
        assert rates == pytest.approx(expected, abs=1e-12)
    recalls = sk.recall_score(actual, predicted, average=None)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(actual, predicted), abs=1e-12)
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(actual, predicted), abs=1e-12)
    assert found["g_mean"] == pytest.approx(np.prod(recalls) ** (1 / 3), abs=1e-12)
    assert (found["minority_recall"], found["majority_recall"]) == (recalls[1], recalls[0])


def test_sensitivity_and_specificity_of_two_classes_are_the_positive_ones() -> None:
    # Of four cats three are found, of two dogs one.
    found = overall(one_hot([0, 0, 0, 0, 1, 1], 2), one_hot([0, 0, 0, 1, 1, 0], 2) == 1, PETS)
    assert (found["sensitivity"], found["specificity"]) == (1 / 2, 3 / 4)
    assert (found["balanced_accuracy"], found["g_mean"]) == (5 / 8, pytest.approx((3 / 8) ** 0.5))
    assert (found["accuracy"], found["minority_recall"], found["majority_recall"]) == (4 / 6, 1 / 2, 3 / 4)


def test_class_that_no_image_has_is_left_out_of_the_recalls() -> None:
    found = overall(one_hot([0, 0, 2], 3), one_hot([0, 1, 2], 3) == 1, FRUIT)
    assert (found["balanced_accuracy"], found["g_mean"]) == (0.75, pytest.approx(0.5**0.5))
    assert found["minority_recall"] is None


def test_no_or_several_classes_given_are_not_accurate() -> None:
    given = np.array([[True, True, False], [False, False, False], [False, False, True]])
    assert overall(one_hot([0, 1, 2], 3), given, FRUIT)["accuracy"] == 1 / 3


def test_micro_measures_are_over_the_known_cells(random_labels: Labels, random_mask: NDArray[np.bool_]) -> None:
    targets, given = random_labels
    found = overall(np.where(random_mask, -1, targets), given, SIX)
    cells = (targets[~random_mask], given[~random_mask])
    expected = sk.precision_recall_fscore_support(*cells, average="binary")[:3]
    assert [found[f"micro_{rate}"] for rate in ("precision", "recall", "f1")] == pytest.approx(expected, abs=1e-12)
    assert found["hamming_loss"] == pytest.approx(1 - sk.accuracy_score(*cells), abs=1e-12)


def test_macro_measures_are_over_each_labels_known_cells(random_labels: Labels, random_mask: NDArray[np.bool_]) -> None:
    targets, given = random_labels
    found = overall(np.where(random_mask, -1, targets), given, SIX)
    columns = [(targets[~mask, j], given[~mask, j]) for j, mask in enumerate(random_mask.T)]
    each = np.array([sk.precision_recall_fscore_support(*column, average="binary")[:3] for column in columns])
    weights = [there.sum() for there, _ in columns]
    for average, expected in (("macro", each.mean(axis=0)), ("weighted", np.average(each, axis=0, weights=weights))):
        rates = [found[f"{average}_{rate}"] for rate in ("precision", "recall", "f1")]
        assert rates == pytest.approx(expected, abs=1e-12)
    assert found["macro_jaccard"] == pytest.approx(np.mean([sk.jaccard_score(*column) for column in columns]))
    assert found["accuracy"] == pytest.approx(np.mean([sk.accuracy_score(*column) for column in columns]))
    assert found["minority_recall"] == sk.recall_score(*columns[5])


def test_measures_of_images_are_over_each_ones_known_cells(
    random_labels: Labels, random_mask: NDArray[np.bool_]
) -> None:
    targets, given = random_labels
    found = overall(np.where(random_mask, -1, targets), given, SIX)
    rows = [(there[~mask], said[~mask]) for there, said, mask in zip(targets, given, random_mask, strict=True)]
    judged = [row for row in rows if len(row[0])]
    each = [sk.precision_recall_fscore_support(*row, average="binary", zero_division=0)[:3] for row in judged]
    assert [found[f"samples_{rate}"] for rate in ("precision", "recall", "f1")] == pytest.approx(np.mean(each, axis=0))
    assert found["samples_jaccard"] == pytest.approx(np.mean([sk.jaccard_score(*r, zero_division=0) for r in judged]))
    whole = [(there == said).all() for there, said in judged if len(there) == 6]
    assert found["exact_match"] == np.mean(whole)


def test_without_any_known_cell_no_measure_is_known() -> None:
    assert overall(np.full((3, 2), -1), np.ones((3, 2), np.bool_), SCENES) == dict.fromkeys(OVERALL)
    assert overall(np.zeros((0, 2), np.int8), np.zeros((0, 2), np.bool_), SCENES) == dict.fromkeys(OVERALL)


def test_exact_match_is_not_known_where_no_row_is_known_in_full() -> None:
    found = overall(np.array([[1, -1], [-1, 0]]), np.array([[True, False], [True, False]]), SCENES)
    assert (found["exact_match"], found["micro_f1"], found["accuracy"]) == (None, 1.0, 1.0)


def test_single_label_has_the_measures_of_that_label() -> None:
    desert = Roles("multilabel", ["desert"], None, rarest="desert", commonest="desert")
    found = overall(np.array([[1], [1], [0], [0]]), np.array([[True], [False], [False], [False]]), desert)
    assert found["macro_f1"] == found["micro_f1"] == pytest.approx(2 / 3)
    assert (found["accuracy"], found["exact_match"], found["hamming_loss"]) == (3 / 4, 3 / 4, 1 / 4)


def test_average_precision_by_hand() -> None:
    # Ranked 1, 0, 1: precision 1 at the first recall step and 2/3 at the second.
    found = average_precisions(np.array([[1], [0], [1]]), np.array([[0.9], [0.5], [0.2]]))
    assert found.tolist() == [pytest.approx((1 + 2 / 3) / 2)]


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    # Of the pairs 0.9 and 0.5, 0.2 and 0.5; the cell with 0.99 is not known.
    found = aucs(np.array([[1], [0], [1], [-1]]), np.array([[0.9], [0.5], [0.2], [0.99]]))
    assert found.tolist() == [0.5]


def test_average_precision_of_a_label_that_no_image_has_is_not_a_number() -> None:
    found = average_precisions(np.array([[1, 0], [0, 0]]), np.array([[0.9, 0.5], [0.2, 0.1]]))
    assert found.tolist() == [1.0, pytest.approx(np.nan, nan_ok=True)]


def test_auc_needs_images_with_and_without_the_label() -> None:
    found = aucs(np.array([[1, 0, 1, -1], [0, 0, 1, 1]]), np.full((2, 4), 0.5))
    assert found.tolist() == [0.5, *[pytest.approx(np.nan, nan_ok=True)] * 3]


def test_means_leave_out_labels_that_no_image_has() -> None:
    targets, scores = np.array([[1, 0], [0, 0]]), np.array([[0.9, 0.5], [0.2, 0.1]])
    found = measures(targets, scores, {}, SCENES)
    assert found == {"map": 1.0, "macro_auc": 1.0}


def test_mean_of_no_label_is_not_known() -> None:
    assert measures(np.full((2, 2), -1), np.full((2, 2), 0.5), {}, SCENES) == {"map": None, "macro_auc": None}


def test_measures_of_four_images(four_images: tuple[NDArray[np.int8], NDArray[np.float64]]) -> None:
    # At 0.5 three first labels are given, two rightly, and no second one: micro 2 of 3 given and of 3 there; macro the
    # mean with a label whose rates are 0. At 0.35 the second label is given once, rightly.
    targets, scores = four_images
    found = measures(targets, scores, {"0.5": scores >= 0.5, "tuned": scores >= 0.35}, SCENES)
    assert list(found) == ["map", "macro_auc", "threshold_0.5", "threshold_tuned"]
    assert (found["map"], found["macro_auc"]) == (1.0, 1.0)
    assert found["threshold_0.5"] == pytest.approx(
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
    tuned = found["threshold_tuned"]
    assert isinstance(tuned, dict)
    assert [tuned[name] for name in ("micro_f1", "macro_f1", "minority_recall")] == pytest.approx([6 / 7, 0.9, 1.0])


def test_of_validation_only_what_chooses_between_recipes_is_kept(
    four_images: tuple[NDArray[np.int8], NDArray[np.float64]],
) -> None:
    targets, scores = four_images
    given = {"tuned": scores >= 0.35}
    kept = on_validation(targets, scores, given, SCENES)
    assert list(kept) == ["map", "macro_auc", "threshold_tuned"]
    assert kept["threshold_tuned"] == {
        "micro_f1": pytest.approx(6 / 7),
        "macro_f1": pytest.approx(0.9),
        "balanced_accuracy": pytest.approx((0.75 + 1) / 2),
        "minority_recall": 1.0,
        "majority_recall": 1.0,
    }


def test_label_measures_have_a_row_a_label(four_images: tuple[NDArray[np.int8], NDArray[np.float64]]) -> None:
    targets, scores = four_images
    table = label_measures(["sea", "desert"], np.array([70, 30]), targets, scores, {"0.5": scores >= 0.5})
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


def test_roles_are_those_of_the_train_images() -> None:
    train = np.array([[1, 0], [1, -1], [0, 1]])
    assert Roles.of("multilabel", ["sea", "desert"], None, train) == SCENES


def test_sweep_of_a_hundred_thresholds_takes_seconds() -> None:
    rng = np.random.default_rng(0)
    targets, scores = (rng.random((2000, 5)) < 0.3).astype(np.int8), rng.random((2000, 5))
    five = Roles("multilabel", list("abcde"), None, rarest="a", commonest="b")
    started = time.perf_counter()
    measures(targets, scores, {f"{t:g}": scores >= t for t in np.arange(1, 101) / 101}, five)
    assert time.perf_counter() - started < 20
