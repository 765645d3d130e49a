from pathlib import Path

import pandas as pd
import pytest

from counterweight.metrics.decisions import DecisionRule
from counterweight.report.arm_results import Arm
from counterweight.report.summary_section import closing_lines, convergence_warnings, summary_section

VERDICT = {
    "chance": None,
    "copies": "The copies helped.",
    "others": ["weights: Inconclusive."],
    "rare": "The rarest third: better.",
    "power": "You would need more.",
    "caveat": "Each arm was trained once.",
    "deploy": "copies",
    "deploy_sentence": "The model to use is that of copies.",
    "model": "results/arms/copies/models/seed-0",
}
ARMS = pd.DataFrame(
    [["nothing", 0.5, 0.4, 0.6, 0.85], ["copies", 0.6, 0.5, 0.7, 0.88]],
    columns=["arm", "macro_f1", "macro_f1_low", "macro_f1_high", "macro_auc"],
)
PROBED = {"no_signal": None, "nothing": {"macro_auc": 0.9}}
DUPLICATES = {"leaks": 0, "group_leaks": 0, "other_labels": 0}


def test_summary_has_the_verdict_and_the_main_numbers() -> None:
    summary = summary_section(VERDICT, ARMS, [1_000, 2_000], [3.0, 1.5], [[8, 2], [8, 8]], PROBED)
    assert (summary["verdict"], summary["chance"]) == ("The copies helped.", False)
    assert summary["sentences"] == [
        "weights: Inconclusive.",
        "The rarest third: better.",
        "You would need more. Each arm was trained once.",
        "The model to use is that of copies.",
    ]
    assert [(fact["name"], fact["value"], fact["note"]) for fact in summary["facts"]] == [
        ("Train images", "1,000 → 2,000", "in the arm copies"),
        ("Images per cluster", "2 to 8 → 8 each", "2 clusters"),
        ("MeanIR", "3.00 → 1.50", "1 is balanced"),
        ("Test macro F1, nothing", "0.500", "95 % CI 0.400 to 0.600, all labels"),
        ("Test macro F1, copies", "0.600", "95 % CI 0.500 to 0.700, all labels"),
    ]


def test_the_command_labels_images_with_the_model_to_use() -> None:
    summary = summary_section(VERDICT, ARMS, [10, 20], [3.0, 1.5], [[8, 2], [8, 8]], PROBED)
    assert summary["command"] == (
        "python -m stages.predict --model results/arms/copies/models/seed-0 --images FOLDER --out labels.xlsx"
    )


def test_a_missing_sentence_leaves_no_space() -> None:
    summary = summary_section(VERDICT | {"power": ""}, ARMS, [10, 10], [3.0, 3.0], [[8, 2], [8, 2]], PROBED)
    assert summary["sentences"][2] == "Each arm was trained once."


@pytest.mark.parametrize(
    ("no_signal", "expected"),
    [
        ("Not clearly better than chance. The labels are the likelier cause.",) * 2,
        (None, "A linear classifier on the features is better than chance before training."),
    ],
)
def test_where_no_arm_is_better_than_chance_this_and_the_cause_are_all_that_is_said(
    no_signal: str | None, expected: str
) -> None:
    verdict, probed = VERDICT | {"chance": "No arm is clearly better than chance."}, PROBED | {"no_signal": no_signal}
    summary = summary_section(verdict, ARMS, [10, 20], [3.0, 1.5], [[8, 2], [8, 8]], probed)
    assert summary["chance"] is True
    assert summary["verdict"] == "No arm is clearly better than chance."
    assert summary["sentences"] == [expected]
    assert summary["command"] == ""


def test_networks_that_a_linear_classifier_outdoes_are_called_weak_judges() -> None:
    probed = PROBED | {"nothing": {"macro_auc": 0.94}}
    summary = summary_section(VERDICT, ARMS, [10, 20], [3.0, 1.5], [[8, 2], [8, 8]], probed)
    assert summary["sentences"][-1] == (
        "The networks are weak judges: their macro AUC is at most 0.88 on the test images, and that of a linear "
        "classifier on the features is 0.94 on held-out train images. Start them from such weights too "
        "(train.weights, train.freeze)."
    )


def arm(**histories: list[float]) -> Arm:
    """An arm with the validation F1 of each epoch, by seed."""
    nothing = pd.DataFrame()
    rows = {
        int(seed.removeprefix("seed")): pd.DataFrame({"epoch": range(1, len(f1) + 1), "validation_f1": f1})
        for seed, f1 in histories.items()
    }
    return Arm(DecisionRule("multilabel", ["sea"], None, 0.5, {"sea": 0.5}), nothing, nothing, rows, nothing, "")


def test_each_training_that_was_still_getting_better_is_named() -> None:
    arms = {
        "nothing": arm(seed3=[0.1, 0.2, 0.3], seed4=[0.1, 0.3, 0.2]),
        "copies": arm(seed3=[0.1, 0.3], seed4=[0.1, 0.2, 0.3]),  # The first was stopped early.
    }
    reason = "its best epoch is its last, 3 of 3. Raise train.epochs."
    assert convergence_warnings(arms, "f1", 3) == [
        f"The training of nothing with seed 3 had not converged: {reason}",
        f"The training of copies with seed 4 had not converged: {reason}",
    ]


def test_the_monitor_decides_which_epoch_is_the_best() -> None:
    """A loss that is lowest at the end is that of a training that had not converged; an F1 is one that had."""
    history = pd.DataFrame({"epoch": [1, 2], "validation_loss": [0.5, 0.4], "validation_f1": [0.5, 0.4]})
    one = Arm(DecisionRule("multilabel", ["sea"], None, 0.5, {}), history, history, {0: history}, history, "")
    assert len(convergence_warnings({"nothing": one}, "loss", 2)) == 1
    assert convergence_warnings({"nothing": one}, "f1", 2) == []


@pytest.mark.parametrize(
    ("f1", "warnings"),
    [
        (
            [0.1, 0.2],
            [
                "The training of copies with seed 0 is best with the weakest penalty tried, 0.1: more train images "
                "would help."
            ],
        ),
        ([0.2, 0.1], []),
    ],
)
def test_a_head_whose_weakest_penalty_is_the_best_had_not_converged(f1: list[float], warnings: list[str]) -> None:
    history = pd.DataFrame({"epoch": [1, 2], "penalty": [1.0, 0.1], "validation_f1": f1})
    one = Arm(DecisionRule("multilabel", ["sea"], None, 0.5, {}), history, history, {0: history}, history, "")
    assert convergence_warnings({"copies": one}, "f1", 8) == warnings


def test_the_log_closes_with_what_was_found_and_where_to_look() -> None:
    probed = {"no_signal": None, "sentence": "Recommended: weights.", "label_issues": 1_234, "labels_checked": 3}
    assert closing_lines(VERDICT, probed, DUPLICATES | {"leaks": 2, "group_leaks": 1}, Path("report.html")) == [
        "the data: images that are in a later split, too, or whose group is: 3; labels to check: 1,234",
        "before training: Recommended: weights.",
        "the model to use: copies: results/arms/copies/models/seed-0",
        "all of it, pictured: report.html",
        "The copies helped",
    ]


def test_where_no_arm_is_better_than_chance_the_log_names_no_model() -> None:
    probed = {"no_signal": "The labels are noise.", "sentence": "", "label_issues": 0, "labels_checked": 0}
    assert closing_lines(VERDICT | {"chance": "Chance."}, probed, DUPLICATES, Path("report.html")) == [
        "the data: the features show no label well enough to check it",
        "before training: The labels are noise.",
        "the model to use: no arm is better than chance",
        "all of it, pictured: report.html",
        "Chance",
    ]


def test_data_without_a_fault_are_said_to_be_so_if_labels_were_checked() -> None:
    probed = {"no_signal": None, "sentence": "Recommended: weights.", "label_issues": 0, "labels_checked": 2}
    first = closing_lines(VERDICT, probed, DUPLICATES, Path("report.html"))[0]
    assert first == "the data: no image is in two splits, and no label stands out as wrong"
