import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.evidence.bootstrap import Interval
from counterweight.images import codec
from counterweight.metrics.decisions import DecisionRule
from counterweight.report.results_section import Arm, ArmComparison, compare_arms, results_section, summary_section

LABELS = ["split", "image_id"]  # Legal, though the table of scores has columns of the same names.
TEST = [[1, 0], [1, 1], [0, 1], [-1, 1]] * 6
VAL = [[1, 0], [0, 1]]


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    """24 test images and 2 validation images."""
    names = [f"{i:02}.png" for i in range(len(TEST) + len(VAL))]
    sums = [codec.write(np.full((8, 8, 3), 9 * i, np.uint8), tmp_path / name, "png") for i, name in enumerate(names)]
    splits = ["test"] * len(TEST) + ["val"] * len(VAL)
    return manifest.build(names, names, splits, LABELS, np.array(TEST + VAL, dtype=np.int8), sums)


def arm(table: pd.DataFrame, wrong: set[str], *, task: str = "multilabel") -> Arm:
    """An arm that is right except for the first label of some images."""
    scores = (manifest.targets(table) == 1).astype(float) * 0.8 + 0.1
    for i, name in enumerate(table["image_id"]):
        if name in wrong:
            scores[i, 0] = 1 - scores[i, 0]
    positive = "image_id" if task == "binary" else None
    measured = pd.DataFrame({"label": LABELS, "train": [9, 4], "test": [12, 18]})
    for j, measure in enumerate(("precision_tuned", "recall_tuned", "f1_tuned", "average_precision")):
        measured[measure] = [0.1 * j + 0.01 * len(wrong), np.nan]
    return Arm(
        DecisionRule(task, LABELS, positive, 0.5, dict.fromkeys(LABELS, 0.5)),
        pd.concat([table[["image_id", "split"]], pd.DataFrame(scores)], axis=1).set_axis(
            ["image_id", "split", "split.1", "image_id.1"], axis=1
        ),
        measured,
        pd.DataFrame({"epoch": [1, 2], "train_loss": [0.6, 0.3], "validation_loss": [0.5, 0.4]}),
        pd.DataFrame({"label": LABELS * 2, "recall": [0.0, 0.0, 1.0, 1.0], "precision": [1.0, 1.0, 0.5, 0.5]}),
        "<?xml version='1.0'?><svg id='a'/>",
    )


def test_arm_that_is_wrong_more_often_has_the_lower_f1(table: pd.DataFrame) -> None:
    arms = {"original": arm(table, {"00.png", "04.png", "08.png"}), "balanced": arm(table, {"00.png"})}
    comparison = compare_arms(table, arms, n_samples=200, seed=0)
    # 3 or 1 of the 12 images with the first label are missed; unknown cells do not count.
    assert comparison.original.value == pytest.approx((2 * 9 / 21 + 1) / 2)
    assert comparison.balanced.value == pytest.approx((2 * 11 / 23 + 1) / 2)
    assert comparison.difference.value == pytest.approx(0.978 - 0.929)
    assert (comparison.images, comparison.few) == (24, 0)


def test_all_labels_are_averaged_and_those_with_few_test_images_are_counted(table: pd.DataFrame) -> None:
    rare = table.assign(**{"label:split": [1 if i < 9 else 0 for i in range(len(table))]})
    arms = {"original": arm(rare, set()), "balanced": arm(rare, {"00.png"})}
    comparison = compare_arms(rare, arms, n_samples=100, seed=0)
    assert comparison.few == 1
    assert comparison.balanced.value == pytest.approx((2 * 8 / 17 + 1) / 2)
    assert comparison.difference.value == pytest.approx(0.971 - 1)


def test_the_rarest_third_of_the_labels_has_a_difference_of_its_own(table: pd.DataFrame) -> None:
    """Among the train images, the second label is the rarer one, of which no arm misses an image."""
    train = table.assign(image_id=[f"train{i:02}" for i in range(len(table))], split="train")
    train["label:image_id"] = [1, *[0] * (len(train) - 1)]
    whole = pd.concat([table, train], ignore_index=True)
    arms = {"original": arm(table, {"00.png", "04.png"}), "balanced": arm(table, {"00.png"})}
    comparison = compare_arms(whole, arms, n_samples=100, seed=0)
    assert comparison.rare_labels == ["image_id"]
    assert comparison.rare == Interval(0.0, 0.0, 0.0)
    assert comparison.difference.value > 0


def test_order_of_the_arms_does_not_matter(table: pd.DataFrame) -> None:
    arms = {"balanced": arm(table, {"00.png"}), "original": arm(table, {"00.png", "04.png", "08.png"})}
    comparison = compare_arms(table, arms, n_samples=200, seed=0)
    assert comparison.original.value < comparison.balanced.value
    assert comparison.difference.value > 0


def compared(difference: Interval) -> ArmComparison:
    rare = Interval(0.02, -0.1, 0.1)
    return ArmComparison(Interval(0.5, 0.4, 0.6), Interval(0.6, 0.5, 0.7), difference, rare, ["sea", "sun"], 24, 2)


def test_summary_has_the_verdict_and_the_main_numbers() -> None:
    summary = summary_section(compared(Interval(0.1, 0.05, 0.2)), [10, 20], [3.0, 1.5], [[8, 2], [8, 8]])
    assert summary["verdict"].startswith("The copies helped on these 24 test images")
    assert summary["rare"] == ("The rarest third of the labels (sea, sun): macro F1 +0.020 (95 % CI -0.100 to +0.100).")
    assert summary["caveat"].endswith("2 labels have fewer than 10 test images, each of which moves the mean.")
    assert {fact["name"]: fact["value"] for fact in summary["facts"]} == {
        "Train images": "10 → 20",
        "Images per cluster": "2 to 8 → 8 each",
        "MeanIR": "3.00 → 1.50",
        "Test macro F1, original": "0.500",
        "Test macro F1, balanced": "0.600",
    }


def test_data_without_copies_has_no_verdict() -> None:
    summary = summary_section(compared(Interval(0.1, 0.05, 0.2)), [10, 10], [3.0, 3.0], [[8, 2], [8, 2]])
    assert summary["verdict"] == "No copies were made, so both arms were trained on the same images."


def test_each_arm_has_its_own_columns(table: pd.DataFrame, tmp_path: Path) -> None:
    arms = {"original": arm(table, {"00.png", "04.png"}), "balanced": arm(table, {"00.png", "02.png", "06.png"})}
    results = results_section(table, arms, folder=tmp_path, images_per_group=1)
    assert results["head"][:4] == ["label", "test images", "precision, original", "precision, balanced"]
    assert results["rows"][0][:6] == ["split", 12, "0.020", "0.030", "0.120", "0.130"]
    assert results["rows"][1][2] == "unknown"


def test_each_arm_has_its_own_threshold_and_confusion_matrices(table: pd.DataFrame, tmp_path: Path) -> None:
    original = replace(arm(table, set()), confusion="<svg>1</svg>")
    rule = DecisionRule("multilabel", LABELS, None, 0.25, dict.fromkeys(LABELS, 0.5))
    arms = {"original": original, "balanced": replace(original, decisions=rule, confusion="<svg>2</svg>")}
    results = results_section(table, arms, folder=tmp_path, images_per_group=1)
    assert re.search(
        r"original: each label that scores at least 0\.5, .*; balanced: .* at least 0\.25, ", results["text"]
    )
    assert results["confusion"] == [("original", "<svg>1</svg>"), ("balanced", "<svg>2</svg>")]


def test_images_that_only_one_arm_gets_right_are_shown(table: pd.DataFrame, tmp_path: Path) -> None:
    arms = {"original": arm(table, {"00.png", "04.png"}), "balanced": arm(table, {"00.png", "02.png", "06.png"})}
    original, balanced = results_section(table, arms, folder=tmp_path, images_per_group=1)["only_correct"]
    assert original[:2] == ("original", 2)
    assert [caption for _, caption in original[2]] == ["02.png: image_id"]
    assert balanced[:2] == ("balanced", 1)
    assert [caption for _, caption in balanced[2]] == ["04.png: split"]


def test_confusion_matrices_of_many_labels_are_not_drawn(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = {"original": arm(table, set()), "balanced": arm(table, set())}
    assert results_section(table, arms, folder=tmp_path, images_per_group=1)["confusion"][0][1].startswith("<svg")
    monkeypatch.setattr("counterweight.report.results_section._MAX_CONFUSION_LABELS", 1)
    assert results_section(table, arms, folder=tmp_path, images_per_group=1)["confusion"] == [
        ("original", ""),
        ("balanced", ""),
    ]


def test_two_classes_are_decided_by_the_positive_one(table: pd.DataFrame) -> None:
    single = table.assign(**{"label:split": 0, "label:image_id": 1})
    y_pred = arm(single, {"00.png"}, task="binary").predictions(manifest.rows_of_split(single, "test"))
    assert y_pred.sum(axis=1).tolist() == [1] * 24
    assert y_pred[:, 1].all()
