import contextlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from counterweight.base import manifest
from counterweight.metrics.decisions import DecisionRule
from stages.compare import main
from tests.conftest import ARMS, COMPARE
from tests.recomputed import rarest_columns, recomputed, replace_scores, replace_validation_f1
from tests.workspace import write_params


def compare(folder: Path) -> str:
    """Run the stage in a folder, in this process; return the summary."""
    with contextlib.chdir(folder):
        return main(COMPARE)


def verdict_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "results/verdict.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture
def copied(compared: Path, tmp_path: Path) -> Path:
    """A compared folder of its own, without images and finished work."""
    left_out = shutil.ignore_patterns(".counterweight", "images", "resized", "dataset")
    return Path(shutil.copytree(compared, tmp_path / "project", ignore=left_out))


def test_metrics_over_all_labels_are_those_of_each_arm(compared: Path) -> None:
    metrics = {arm: json.loads((compared / f"results/arms/{arm}/metrics.json").read_text()) for arm in ARMS}
    table = pd.read_csv(compared / "results/comparison.csv", dtype={"label": "str"})
    assert table.columns.tolist() == ["label", "measure", *ARMS]
    rows = table[table["label"] == "all"].set_index("measure")
    for measure, value in (
        ("map", lambda each: each["map"]),
        ("macro_f1_tuned", lambda each: each["threshold_tuned"]["macro_f1"]),
        ("validation_map", lambda each: each["validation"]["map"]),
    ):
        expected = [value(metrics[arm]) for arm in ARMS]
        assert len(set(expected)) == len(ARMS)
        assert rows.loc[measure, list(ARMS)].tolist() == expected


def test_metrics_of_each_label_are_those_of_each_arm(compared: Path) -> None:
    table = pd.read_csv(compared / "results/comparison.csv", dtype={"label": "str"}).set_index(["measure", "label"])
    columns = []
    for arm in ARMS:
        labels = pd.read_csv(compared / f"results/arms/{arm}/labels.csv", dtype={"label": "str"}).set_index("label")
        columns.append(tuple(labels["average_precision"].dropna()))
        assert table.loc["average_precision", arm].dropna().tolist() == list(columns[-1])
        assert table.loc["f1_tuned", arm].tolist() == labels["f1_tuned"].tolist()
    assert len(set(columns)) == len(ARMS)


def test_each_figure_of_an_arm_can_be_computed_again_from_its_scores_rules_and_table(compared: Path) -> None:
    table = pd.read_csv(compared / "results/arms.csv").set_index("arm")
    assert table.index.tolist() == list(ARMS)
    for arm in ARMS:
        assert table.loc[arm].to_dict() == pytest.approx(recomputed(compared, arm))
    assert table["macro_f1"].nunique() == table["map"].nunique() == len(ARMS)


def test_the_verdict_is_of_the_copies_and_the_weighted_arm_has_a_sentence_of_its_own(compared: Path) -> None:
    verdict, table = verdict_of(compared), pd.read_csv(compared / "results/arms.csv").set_index("arm")
    differences = [f"macro F1 {table.loc[arm, 'difference']:+.3f} (95 % CI " for arm in ("copies", "copies+weights")]
    assert differences[0] != differences[1]
    assert differences[0] in verdict["copies"]
    assert [sentence.partition(":")[0] for sentence in verdict["others"]] == ["copies+weights"]
    assert differences[1] in verdict["others"][0]
    assert f"macro F1 {table.loc['copies', 'rare_difference']:+.3f} (95 % CI " in verdict["rare"]
    rare = ", ".join(map(str, rarest_columns(compared)))
    assert verdict["rare"].startswith(f"The rarest third of the labels ({rare}): ")


def test_the_model_to_use_is_that_of_the_best_arm_on_validation(copied: Path) -> None:
    for arm in ARMS:
        replace_scores(copied, arm, 0.5)  # No arm does harm if all are alike.
    for best in ARMS:
        for arm in ARMS:
            replace_validation_f1(copied, arm, 0.75 if arm == best else 0.25)
        compare(copied)
        verdict = verdict_of(copied)
        assert (verdict["deploy"], verdict["model"]) == (best, f"results/arms/{best}/models/seed-0")


def test_the_summary_has_the_difference_of_the_copies(compared: Path) -> None:
    summary = json.loads((compared / "results/summary.json").read_text())
    table = pd.read_csv(compared / "results/arms.csv").set_index("arm")
    assert list(summary) == [*ARMS, "copies_against_nothing"]
    names = ["difference", "difference_low", "difference_high"]
    assert summary["copies_against_nothing"] == table.loc["copies", names].astype(float).round(3).to_dict()
    for arm in ARMS:
        expected = table.loc[arm, ["macro_f1", "map", "validation_macro_f1"]].astype(float).round(3).to_dict()
        assert summary[arm] == expected


def test_arms_that_change_places_change_the_sign_of_the_difference(copied: Path) -> None:
    before = pd.read_csv(copied / "results/arms.csv").set_index("arm")
    results = copied / "results/arms"
    for old, new in (("nothing", "aside"), ("copies", "nothing"), ("aside", "copies")):
        (results / old).rename(results / new)
    compare(copied)
    after = pd.read_csv(copied / "results/arms.csv").set_index("arm")
    assert before.loc["copies", "difference"] != 0
    assert after.loc["copies", "difference"] == -before.loc["copies", "difference"]
    for measure in ("macro_f1", "map", "validation_macro_f1"):
        assert after.loc[["copies", "nothing"], measure].tolist() == before.loc[["nothing", "copies"], measure].tolist()


def right_and_wrong(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scores that are right and scores that are wrong, by split."""
    table = manifest.read(folder / "augmented/arms/nothing.csv")
    right = {split: manifest.targets(manifest.rows_of_split(table, split)).astype(float) for split in ("val", "test")}
    return right, {split: 1 - scores for split, scores in right.items()}


def test_copies_that_do_harm_are_not_used_though_validation_prefers_them(copied: Path) -> None:
    right, wrong = right_and_wrong(copied)
    for arm, scores in zip(ARMS, (right, wrong, right), strict=True):
        replace_scores(copied, arm, scores)
        replace_validation_f1(copied, arm, 0.9 if arm == "copies" else 0.5)
    # One of the ten labels has no test image, which counts as 0.
    assert compare(copied).startswith("The copies did harm on these 20 test images and 2 seeds: macro F1 -0.900 (95 %")
    verdict = verdict_of(copied)
    assert verdict["deploy"] == "nothing"
    assert "copies, which is better there, did harm on the test images" in verdict["deploy_sentence"]
    assert verdict["others"][0].startswith(
        "copies+weights: Inconclusive whether the copies and the weighting helped on these 20 test images and 2 seeds: "
        "macro F1 +0.000"
    )


def test_arms_that_ignore_the_images_are_called_chance(copied: Path) -> None:
    for arm in ARMS:
        replace_scores(copied, arm, 1.0)
    said = "No arm is clearly better than chance on the test images: the best answer that ignores them, "
    assert compare(copied).startswith(said)
    assert verdict_of(copied)["chance"].startswith(said)
    replace_scores(copied, "copies", right_and_wrong(copied)[0])
    assert compare(copied).startswith("The copies helped on these 20 test images and 2 seeds: ")
    assert verdict_of(copied)["chance"] is None


def test_without_copies_it_says_so(copied: Path) -> None:
    shutil.copy(copied / "augmented/arms/nothing.csv", copied / "augmented/arms/copies.csv")
    for arm in ("nothing", "copies"):
        replace_scores(copied, arm, right_and_wrong(copied)[0])
    assert compare(copied) == "No copies were made, so this arm is the same as nothing"


def test_chart_has_the_mean_of_each_arm(compared: Path) -> None:
    chart = (compared / "results/comparison.svg").read_text()
    assert chart.startswith("<?xml")
    means = [pd.read_csv(compared / f"results/arms/{arm}/labels.csv")["f1_tuned"].mean() for arm in ARMS]
    assert len(set(means)) == len(ARMS)
    for arm, mean in zip(ARMS, means, strict=True):
        assert f"{arm}, mean {mean:.3f}" in chart


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Two arms with two classes, of which one is called NA; copies are right, and nothing always says fig."""
    changes = {"data.task": "multiclass", "train.loss": "cross_entropy", "train.arms": ["nothing", "copies"]}
    write_params(tmp_path / "params.yaml", changes)
    names = [f"{i:02}.png" for i in range(24)]
    targets = np.eye(2, dtype=np.int8)[[i % 4 // 2 for i in range(24)]]
    splits = ["train" if i % 2 else "test" for i in range(24)]
    table = manifest.build(names, names, splits, ["fig", "NA"], targets, ["sum"] * 24)
    for arm, right, macro_f1 in (("nothing", False, 1 / 3), ("copies", True, 1.0)):
        manifest.write(table, tmp_path / f"augmented/arms/{arm}.csv")
        folder = tmp_path / f"results/arms/{arm}"
        (folder / "models/seed-0").mkdir(parents=True)
        rule = DecisionRule("multiclass", ["fig", "NA"], None, 0.5, {"fig": 0.5, "NA": 0.5})
        (folder / "models/seed-0/decisions.json").write_text(json.dumps(asdict(rule)))
        numbers = dict.fromkeys(("map", "macro_auc", "brier", "calibration_error", "calibrated_error"))
        decision = {"threshold_argmax": {"macro_f1": macro_f1}}
        metrics = {"headline": "argmax", "seeds": 1, **numbers, **decision, "validation": decision}
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "labels.csv").write_text(f"label,train,auc,f1_argmax\nfig,6,0.5,{macro_f1}\nNA,6,,0.0\n")
        # Both scores are below the threshold, so only the highest of them decides.
        rows = [
            f"{name},test,0,{0.4 if not right or target[0] else 0.2},0.3"
            for name, target, split in zip(names, targets, splits, strict=True)
            if split == "test"
        ]
        (folder / "scores.csv").write_text("\n".join(["image_id,split,seed,fig,NA", *rows, ""]))
    return tmp_path


def test_classes_are_compared_by_the_highest_score(classes: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    summary = compare(classes)
    assert summary.startswith("No copies were made, ")
    assert "on the test images, by the highest score\n" in caplog.text
    assert (
        "F1 of each label on the test images, by the highest score" in (classes / "results/comparison.svg").read_text()
    )
    arms = pd.read_csv(classes / "results/arms.csv").set_index("arm")
    assert arms["macro_f1"].to_dict() == {"nothing": pytest.approx(1 / 3), "copies": 1.0}
    assert arms.loc["copies", "difference"] == pytest.approx(1 - 0.333)
    assert json.loads((classes / "results/summary.json").read_text())["nothing"] == {
        "macro_f1": 0.333, "map": None, "validation_macro_f1": 0.333,
    }  # fmt: skip
    table = pd.read_csv(classes / "results/comparison.csv", keep_default_na=False)
    assert table[table["label"] == "NA"].to_numpy().tolist() == [
        ["NA", "train", "6.0", "6.0"],
        ["NA", "auc", "", ""],
        ["NA", "f1_argmax", "0.0", "0.0"],
    ]
