from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.evidence.bootstrap import Interval
from counterweight.images import codec
from counterweight.metrics.decisions import Decisions
from counterweight.report.results_section import Arm, Found, compared, look_chapter, results_chapter

LABELS = ["split", "image_id"]  # As legal as any, and the columns of scores before them.
TEST = [[1, 0], [1, 1], [0, 1], [-1, 1]] * 6
VAL = [[1, 0], [0, 1]]


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    """Twenty-four test images and two for validation."""
    names = [f"{i:02}.png" for i in range(len(TEST) + len(VAL))]
    sums = [codec.write(np.full((8, 8, 3), 9 * i, np.uint8), tmp_path / name, "png") for i, name in enumerate(names)]
    splits = ["test"] * len(TEST) + ["val"] * len(VAL)
    return manifest.build(names, names, splits, LABELS, np.array(TEST + VAL, dtype=np.int8), sums)


def arm(table: pd.DataFrame, wrong: set[str], *, task: str = "multilabel") -> Arm:
    """An arm that is sure and right, but of the first label of some images."""
    scores = (manifest.targets(table) == 1).astype(float) * 0.8 + 0.1
    for i, name in enumerate(table["image_id"]):
        if name in wrong:
            scores[i, 0] = 1 - scores[i, 0]
    positive = "image_id" if task == "binary" else None
    measured = pd.DataFrame({"label": LABELS, "train": [9, 4], "test": [12, 18]})
    for j, measure in enumerate(("precision_tuned", "recall_tuned", "f1_tuned", "average_precision")):
        measured[measure] = [0.1 * j + 0.01 * len(wrong), np.nan]
    return Arm(
        Decisions(task, LABELS, positive, 0.5, dict.fromkeys(LABELS, 0.5)),
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
    found = compared(table, arms, repeats=200, seed=0)
    # Of twelve images that have the first label, three or one are missed; those not known do not count.
    assert found.original.value == pytest.approx((2 * 9 / 21 + 1) / 2)
    assert found.balanced.value == pytest.approx((2 * 11 / 23 + 1) / 2)
    assert found.difference.value == pytest.approx(found.balanced.value - found.original.value)
    assert (found.images, found.judged, found.labels) == (24, 2, 2)


def test_label_of_few_test_images_is_not_judged(table: pd.DataFrame) -> None:
    rare = table.assign(**{"label:split": [1 if i < 9 else 0 for i in range(len(table))]})
    arms = {"original": arm(rare, set()), "balanced": arm(rare, {"00.png"})}
    found = compared(rare, arms, repeats=100, seed=0)
    assert (found.judged, found.labels) == (1, 2)
    assert found.difference.value == 0


def found(difference: Interval) -> Found:
    return Found(Interval(0.5, 0.4, 0.6), Interval(0.6, 0.5, 0.7), difference, 24, 1, 3)


def test_look_says_whether_it_helped_and_what_that_rests_on() -> None:
    look = look_chapter(found(Interval(0.1, 0.05, 0.2)), [10, 20], [3.0, 1.5], [[8, 2], [8, 8]])
    assert look["verdict"].startswith("The copies helped on these 24 test images")
    assert look["but"].endswith("Left out are 2 labels with fewer than 10 test images.")
    assert [fact["value"] for fact in look["facts"]] == ["10 → 20", "2 to 8 → 8 each", "3.00 → 1.50", "0.500", "0.600"]


def test_data_without_copies_has_no_verdict() -> None:
    look = look_chapter(found(Interval(0.1, 0.05, 0.2)), [10, 10], [3.0, 3.0], [[8, 2], [8, 2]])
    assert look["verdict"] == "No copies were made, so both arms were trained on the same images."


def test_results_have_the_arms_in_their_order(table: pd.DataFrame, tmp_path: Path) -> None:
    arms = {"original": arm(table, {"00.png", "04.png"}), "balanced": arm(table, {"00.png", "02.png", "06.png"})}
    results = results_chapter(table, arms, folder=tmp_path, shown=1)
    assert results["head"][:4] == ["label", "test images", "precision, original", "precision, balanced"]
    assert results["rows"][0][:6] == ["split", 12, "0.020", "0.030", "0.120", "0.130"]
    assert results["rows"][1][2] == "unknown"


def test_images_that_one_arm_alone_gets_right_are_shown(table: pd.DataFrame, tmp_path: Path) -> None:
    arms = {"original": arm(table, {"00.png", "04.png"}), "balanced": arm(table, {"00.png", "02.png", "06.png"})}
    original, balanced = results_chapter(table, arms, folder=tmp_path, shown=1)["only"]
    assert original[:2] == ("original", 2)
    assert [caption for _, caption in original[2]] == ["02.png: image_id"]
    assert balanced[:2] == ("balanced", 1)
    assert [caption for _, caption in balanced[2]] == ["04.png: split"]


def test_counts_of_many_labels_are_not_drawn(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = {"original": arm(table, set()), "balanced": arm(table, set())}
    assert results_chapter(table, arms, folder=tmp_path, shown=1)["confusion"][0][1].startswith("<svg")
    monkeypatch.setattr("counterweight.report.results_section._CLASSES", 1)
    assert results_chapter(table, arms, folder=tmp_path, shown=1)["confusion"] == [("original", ""), ("balanced", "")]


def test_two_classes_are_decided_by_the_positive_one(table: pd.DataFrame) -> None:
    single = table.assign(**{"label:split": 0, "label:image_id": 1})
    given = arm(single, {"00.png"}, task="binary").given(manifest.of_split(single, "test"))
    assert given.sum(axis=1).tolist() == [1] * 24
    assert given[:, 1].all()
