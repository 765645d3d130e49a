import numpy as np
import pandas as pd
import pytest

from counterweight.evidence.comparison import ArmDifference, arm_differences
from counterweight.evidence.verdict import no_better_than_chance, sentences
from counterweight.metrics.bootstrap import Interval, Spread

LABELS = ["sea", "sun", "fog"]
# Twelve images with the first label, eight with the second, and one with the third.
TRUE = np.array([[1, 0, 0]] * 12 + [[0, 1, 0]] * 7 + [[0, 1, 1]])
INTERVAL = Interval(0.5, 0.4, 0.6)


NO_CHANGE = Interval(0.0, -0.1, 0.1)


def difference(low: float, high: float, rare: Interval = NO_CHANGE) -> ArmDifference:
    spread = Spread(((high - low) / 4) ** 2, 0.0, 0.0)
    return ArmDifference(INTERVAL, Interval((low + high) / 2, low, high, spread), INTERVAL, rare)


NOTHING = difference(0.0, 0.0)


def arms(validation: dict[str, float], differences: dict[str, ArmDifference], seeds: int = 1) -> pd.DataFrame:
    """The columns of the table of arms from which sentences are made."""
    highs = [differences[arm].difference.high for arm in validation]
    values = list(validation.values())
    return pd.DataFrame(
        {"arm": list(validation), "seeds": seeds, "difference_high": highs, "validation_macro_f1": values}
    )


def said(
    validation: dict[str, float],
    differences: dict[str, ArmDifference],
    *,
    seeds: int = 1,
    n_copies: int = 9,
    n_left_out: int = 0,
    seed_matters: bool = True,
) -> dict[str, object]:
    table = arms(validation, differences, seeds)
    rare = np.array([1, 2])
    return sentences(
        table, differences, TRUE, LABELS, rare,
        n_copies=n_copies, n_left_out=n_left_out, seed_matters=seed_matters,
    )  # fmt: skip


EQUAL = {"nothing": 0.5, "copies": 0.5}


@pytest.mark.parametrize(
    ("low", "high", "sentence"),
    [
        (0.05, 0.15, "The copies helped on these 20 test images: macro F1 +0.100 (95 % CI +0.050 to +0.150)."),
        (-0.15, -0.05, "The copies did harm on these 20 test images: macro F1 -0.100 (95 % CI -0.150 to -0.050)."),
        (
            -0.05,
            0.15,
            "Inconclusive whether the copies helped on these 20 test images: "
            "macro F1 +0.050 (95 % CI -0.050 to +0.150).",
        ),
    ],
)
def test_the_verdict_is_of_copies_against_nothing(low: float, high: float, sentence: str) -> None:
    assert said(EQUAL, {"nothing": NOTHING, "copies": difference(low, high)})["copies"] == sentence


def test_the_other_arms_are_named_and_have_sentences_of_their_own() -> None:
    differences = {
        "nothing": NOTHING,
        "weights": difference(0.1, 0.2),
        "copies": difference(-0.3, -0.1),
        "copies+weights": difference(-0.1, 0.1),
    }
    verdict = said(dict.fromkeys(differences, 0.5), differences, seeds=3)
    basis = "20 test images and 3 seeds"
    assert verdict["others"] == [
        f"weights: The weighting helped on these {basis}: macro F1 +0.150 (95 % CI +0.100 to +0.200).",
        "copies+weights: Inconclusive whether the copies and the weighting helped on these "
        f"{basis}: macro F1 +0.000 (95 % CI -0.100 to +0.100).",
    ]


def test_a_weighted_arm_is_not_the_baseline_of_the_copies() -> None:
    """Weights are as good as copies, and both are better than nothing: the copies helped."""
    right = (TRUE == 1)[np.newaxis]
    predictions = {"nothing": np.zeros_like(right), "weights": right, "copies": right, "copies+weights": right}
    differences = arm_differences(TRUE, predictions, np.array([2]), n_samples=100, seed=0)
    verdict = said(dict.fromkeys(predictions, 0.5), differences)
    assert verdict["copies"].startswith("The copies helped on these 20 test images: macro F1 +1.000 ")


@pytest.mark.parametrize(
    ("n_copies", "subject"), [(0, "The undersampling helped"), (9, "The copies and the undersampling helped")]
)
def test_images_that_are_left_out_have_their_part_in_the_verdict(n_copies: int, subject: str) -> None:
    differences = {"nothing": NOTHING, "copies": difference(0.05, 0.15)}
    verdict = said(EQUAL, differences, n_copies=n_copies, n_left_out=5)
    assert str(verdict["copies"]).startswith(f"{subject} on these 20 test images")
    assert verdict["power"]


def test_without_copies_there_is_no_verdict_on_them_and_no_power() -> None:
    verdict = said(EQUAL, {"nothing": NOTHING, "copies": NOTHING}, n_copies=0)
    assert (verdict["copies"], verdict["power"]) == ("No copies were made, so this arm is the same as nothing.", "")


def test_the_rarest_labels_are_named_with_their_own_change() -> None:
    copies = difference(0.05, 0.15, rare=Interval(-0.02, -0.1, 0.06))
    assert said(EQUAL, {"nothing": NOTHING, "copies": copies})["rare"] == (
        "The rarest third of the labels (sun, fog): macro F1 -0.020 (95 % CI -0.100 to +0.060)."
    )


def test_many_rare_labels_are_counted() -> None:
    labels, truth = [f"label {i}" for i in range(9)], np.eye(9, dtype=int)
    differences = {"nothing": NOTHING, "copies": difference(-0.1, 0.1)}
    verdict = sentences(
        arms(EQUAL, differences), differences, truth, labels, np.arange(8), n_copies=1, n_left_out=0, seed_matters=False
    )
    assert "(label 0, label 1, label 2, label 3, label 4, label 5 and 2 more): " in verdict["rare"]


def test_power_says_how_many_test_images_a_small_difference_needs() -> None:
    wide, narrow = (said(EQUAL, {"nothing": NOTHING, "copies": difference(-half, half)}) for half in (0.2, 0.02))
    # Ten times the half width needs a hundred times the images, for the normal quantile 1.96 instead of 2.
    assert wide["power"] == ("To tell a difference of 0.02 apart here, you would need about 2,000 test images.")
    assert narrow["power"] == "A difference of 0.02 can be told apart here."


@pytest.mark.parametrize(
    ("seeds", "seed_matters", "trained"),
    [
        (
            1,
            True,
            "Each arm was trained once; the intervals take in the choice of test images, but another seed may say "
            "otherwise. Set train.repeats to 3 or more.",
        ),
        (
            1,
            False,
            "Each arm's head was fitted to the end, which no seed changes; the intervals take in the choice of test "
            "images.",
        ),
        (3, True, "Each arm was trained under 3 seeds; the intervals take in the choice of test images and of seeds."),
    ],
)
def test_the_caveat_says_what_the_intervals_leave_out_and_counts_labels_with_few_images(
    seeds: int, seed_matters: bool, trained: str
) -> None:
    differences = {"nothing": NOTHING, "copies": difference(-0.1, 0.1)}
    few = " 2 labels have fewer than 10 test images, each of which moves the mean."
    assert said(EQUAL, differences, seeds=seeds, seed_matters=seed_matters)["caveat"] == trained + few


@pytest.mark.parametrize(("repeats", "few"), [(9, " 1 label has fewer than 10 test images"), (10, "")])
def test_a_single_label_with_few_images_is_one_label(repeats: int, few: str) -> None:
    truth = np.repeat(np.eye(2, dtype=int), [10, repeats], axis=0)
    differences = {"nothing": NOTHING, "copies": difference(-0.1, 0.1)}
    verdict = sentences(
        arms(EQUAL, differences),
        differences,
        truth,
        ["sea", "sun"],
        np.array([1]),
        n_copies=1,
        n_left_out=0,
        seed_matters=False,
    )
    assert str(verdict["caveat"]).partition("choice of test images.")[2].partition(", each")[0] == few


def test_the_model_to_use_is_the_best_on_validation() -> None:
    differences = {"nothing": NOTHING, "copies": difference(-0.1, 0.05)}
    verdict = said({"nothing": 0.5, "copies": 0.625}, differences)
    assert verdict["deploy"] == "copies"
    assert verdict["deploy_sentence"] == "The model to use is that of copies, with macro F1 0.625 on validation."


def test_copies_that_did_harm_are_not_used_though_validation_prefers_them() -> None:
    verdict = said({"nothing": 0.5, "copies": 0.625}, {"nothing": NOTHING, "copies": difference(-0.2, -0.1)})
    assert verdict["deploy"] == "nothing"
    assert verdict["deploy_sentence"] == (
        "The model to use is that of nothing, with macro F1 0.500 on validation, since copies, which is better there, "
        "did harm on the test images."
    )


def test_without_validation_nothing_is_used() -> None:
    differences = {"nothing": NOTHING, "copies": difference(0.1, 0.2)}
    verdict = said({"nothing": np.nan, "copies": np.nan}, differences)
    assert verdict["deploy"] == "nothing"
    assert verdict["deploy_sentence"] == "The model to use is that of nothing: validation says nothing for another."


def chance(predictions: dict[str, np.ndarray], task: str = "multilabel", truth: np.ndarray = TRUE) -> str | None:
    return no_better_than_chance(truth, predictions, truth, task, n_samples=200, seed=0)


def test_arms_that_ignore_the_images_are_called_chance() -> None:
    every, first = np.ones((2, 20, 3), dtype=bool), np.zeros((2, 20, 3), dtype=bool)
    first[:, :, 0] = True
    # Twelve, eight and one of 20 images have the labels.
    of_every = (24 / 32 + 16 / 28 + 2 / 21) / 3
    assert chance({"nothing": first, "copies": every}) == (
        "No arm is clearly better than chance on the test images: the best answer that ignores them, every label, has "
        f"macro F1 {of_every:.3f}. The labels or the features carry too little."
    )


def test_classes_that_are_always_the_commonest_are_called_chance() -> None:
    truth = np.repeat(np.eye(2, dtype=int), [15, 5], axis=0)
    predicted = np.broadcast_to(np.array([True, False]), (1, 20, 2))
    sentence = chance({"nothing": predicted, "copies": predicted}, "multiclass", truth)
    assert sentence is not None
    assert sentence.startswith("No arm is clearly better than chance on the test images: the best answer ")


def test_one_arm_that_is_right_is_better_than_chance() -> None:
    every, right = np.ones((1, 20, 3), dtype=bool), (TRUE == 1)[np.newaxis]
    assert chance({"nothing": every, "copies": right}) is None
    assert chance({"nothing": right, "copies": every}) is None
