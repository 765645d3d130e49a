import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.images import codec
from counterweight.metrics.decisions import DecisionRule
from counterweight.report.arm_results import Arm
from counterweight.report.results_section import results_section

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
    for j, measure in enumerate(("f1_tuned", "recall_tuned", "average_precision")):
        measured[measure] = [0.1 * j + 0.01 * len(wrong), np.nan]
    return Arm(
        DecisionRule(task, LABELS, positive, 0.5, dict.fromkeys(LABELS, 0.5)),
        pd.DataFrame(scores, index=table["image_id"], columns=["split.1", "image_id.1"]),
        measured,
        {3: pd.DataFrame({"epoch": [1, 2], "train_loss": [0.6, 0.3], "validation_loss": [0.5, 0.4]})},
        pd.DataFrame({"label": LABELS * 2, "recall": [0.0, 0.0, 1.0, 1.0], "precision": [1.0, 1.0, 0.5, 0.5]}),
        "<?xml version='1.0'?><svg id='a'/>",
    )


NUMBERS = ("macro_f1", "map", "macro_auc", "brier", "calibration_error", "calibrated_error")


def differences(*names: str) -> pd.DataFrame:
    """The table of arms; each number of the second arm is larger by 0.01 than that of the first."""
    rows = []
    for i, name in enumerate(names):
        row = {"arm": name} | {number: 0.1 * j + 0.01 * i for j, number in enumerate(NUMBERS)}
        for j, interval in enumerate(("difference", "rare_difference")):
            row |= {f"{interval}{end}": 0.1 * j + 0.01 * i + k for k, end in enumerate(("", "_low", "_high"), -1)}
        rows.append(row)
    return pd.DataFrame(rows)


def section(table: pd.DataFrame, arms: dict[str, Arm], folder: Path, warnings: tuple[str, ...] = ()) -> dict[str, Any]:
    return results_section(table, arms, differences(*arms), warnings, folder=folder, images_per_group=1)


def test_the_table_of_arms_has_the_numbers_of_each_arm_and_no_difference_of_nothing_from_itself(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    rows = section(table, {"nothing": arm(table, set()), "copies": arm(table, set())}, tmp_path)["arms"]
    assert rows == [
        ["nothing", "0.000", "", "", "0.100", "0.200", "0.300", "0.400", "0.500"],
        [
            "copies", "0.010", "-0.990 (+0.010 to +1.010)", "-0.890 (+0.110 to +1.110)",
            "0.110", "0.210", "0.310", "0.410", "0.510",
        ],
    ]  # fmt: skip


def test_what_is_unknown_of_an_arm_is_called_so(table: pd.DataFrame, tmp_path: Path) -> None:
    unknown = differences("nothing", "copies").assign(map=np.nan)
    arms = {"nothing": arm(table, set()), "copies": arm(table, set())}
    rows = results_section(table, arms, unknown, (), folder=tmp_path, images_per_group=1)["arms"]
    assert [row[4] for row in rows] == ["unknown", "unknown"]


def test_warnings_about_trainings_stand_in_the_section(table: pd.DataFrame, tmp_path: Path) -> None:
    arms = {"nothing": arm(table, set()), "copies": arm(table, set())}
    assert list(section(table, arms, tmp_path, ("not converged",))["warnings"]) == ["not converged"]


def test_each_arm_has_its_own_columns(table: pd.DataFrame, tmp_path: Path) -> None:
    arms = {"nothing": arm(table, {"00.png", "04.png"}), "copies": arm(table, {"00.png", "02.png", "06.png"})}
    results = section(table, arms, tmp_path)
    assert results["head"][:4] == ["label", "test images", "F1, nothing", "F1, copies"]
    assert results["rows"][0][:6] == ["split", 12, "0.020", "0.030", "0.120", "0.130"]
    assert results["rows"][1][2] == "unknown"


def test_each_arm_has_its_own_threshold_and_confusion_matrices(table: pd.DataFrame, tmp_path: Path) -> None:
    nothing = replace(arm(table, set()), confusion="<svg>1</svg>")
    rule = DecisionRule("multilabel", LABELS, None, 0.25, dict.fromkeys(LABELS, 0.5))
    arms = {"nothing": nothing, "copies": replace(nothing, decisions=rule, confusion="<svg>2</svg>")}
    results = section(table, arms, tmp_path)
    assert re.search(r"nothing: each label that scores at least 0\.5, .*; copies: .* at least 0\.25, ", results["text"])
    assert results["confusion"] == [("nothing", "<svg>1</svg>"), ("copies", "<svg>2</svg>")]


def test_images_that_only_one_arm_gets_right_are_shown(table: pd.DataFrame, tmp_path: Path) -> None:
    arms = {"nothing": arm(table, {"00.png", "04.png"}), "copies": arm(table, {"00.png", "02.png", "06.png"})}
    nothing, copies = section(table, arms, tmp_path)["only_correct"]
    assert nothing[:2] == ("nothing", 2)
    assert [caption for _, caption in nothing[2]] == [
        "02.png: image_id; predicted with copies: split, image_id",
    ]
    assert copies[:2] == ("copies", 1)
    assert [caption for _, caption in copies[2]] == ["04.png: split; predicted without copies: no label"]


def test_of_the_images_that_one_arm_gets_right_those_come_first_whose_rare_label_the_other_misses(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    nothing = arm(table, {"00.png"})
    nothing.scores.iloc[5, 1] = 0.1  # The second label of 05.png, which has both, is missed.
    train = table[table["split"] == "val"].assign(split="train", image_id=["t0", "t1"], **{"label:split": 1})
    arms = {"nothing": nothing, "copies": arm(table, set())}
    _, (name, count, pictures) = section(pd.concat([table, train]), arms, tmp_path)["only_correct"]
    assert (name, count) == ("copies", 2)
    assert [caption for _, caption in pictures] == ["05.png: split, image_id; predicted without copies: split"]


def test_weighted_arms_take_no_part_in_the_images_that_only_one_arm_gets_right(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    arms = {
        "nothing": arm(table, {"00.png"}),
        "weights": arm(table, set()),
        "copies": arm(table, {"02.png"}),
        "copies+weights": arm(table, set()),
    }
    shown = section(table, arms, tmp_path)["only_correct"]
    assert [(name, count) for name, count, _ in shown] == [("nothing", 1), ("copies", 1)]


def test_of_each_label_the_found_and_missed_images_and_the_false_alarms_are_counted(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    arms = {"nothing": arm(table, set()), "copies": arm(table, {"00.png", "02.png"})}
    nothing, copies = section(table, arms, tmp_path)["confused"]
    assert (copies["arm"], copies["head"]) == ("copies", ["label", "found", "missed", "false alarms"])
    assert [[count for count, _ in row[1:]] for row in nothing["rows"]] == [[12, 0, 0], [18, 0, 0]]
    assert copies["rows"][0] == [
        "split",
        (11, "label=0&split=test&predicted=1:0"),
        (1, "label=0&split=test&answer=wrong:1"),
        (1, "lacks=0&split=test&predicted=1:0"),
    ]


def test_of_one_class_per_image_each_pair_of_actual_and_predicted_is_counted(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    single = table.assign(**{"label:split": [1, 0] * 13, "label:image_id": [0, 1] * 13})
    one = arm(single, {"00.png"}, task="multiclass")
    one = replace(one, labels=one.labels.rename(columns=lambda name: name.replace("tuned", "argmax")))
    arms = {"nothing": one, "copies": one}
    result = section(single, arms, tmp_path)
    assert result["confused"][1]["head"] == ["actual \\ predicted", "split", "image_id"]
    assert result["confused"][1]["rows"][0] == [
        "split", (11, "label=0&split=test&predicted=1:0"), (1, "label=0&split=test&predicted=1:1"),
    ]  # fmt: skip
    assert result["threshold"] == ""


def test_confusion_matrices_of_many_labels_are_not_drawn(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = {"nothing": arm(table, set()), "copies": arm(table, set())}
    assert section(table, arms, tmp_path)["confusion"][0][1].startswith("<svg")
    for module in ("arm_results", "results_section"):
        monkeypatch.setattr(f"counterweight.report.{module}.MAX_CONFUSED", 1)
    assert section(table, arms, tmp_path)["confused"] == []
    assert section(table, arms, tmp_path)["confusion"] == [
        ("nothing", ""),
        ("copies", ""),
    ]


def test_two_classes_are_decided_by_the_positive_one(table: pd.DataFrame) -> None:
    single = table.assign(**{"label:split": 0, "label:image_id": 1})
    y_pred = arm(single, {"00.png"}, task="binary").predictions(manifest.rows_of_split(single, "test"))
    assert y_pred.sum(axis=1).tolist() == [1] * 24
    assert y_pred[:, 1].all()
