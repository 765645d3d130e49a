import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from counterweight.base import manifest
from counterweight.base.outputs import read_label_table
from counterweight.metrics import decisions
from counterweight.metrics.decisions import tune
from tests.conftest import EVALUATE, run_stage
from tests.untrained import untrained

DECISIONS = ("0.2", "0.5", "tuned", "per_label")


def scores_of(evaluated: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Targets and scores of a split's rows."""
    scores = pd.read_csv(evaluated / "results/balanced/scores.csv", dtype={"image_id": "str"})
    rows = scores[scores["split"] == split]
    table = manifest.read(evaluated / "augmented/manifest.csv").set_index("image_id")
    return manifest.targets(table.loc[rows["image_id"]].reset_index()), rows.iloc[:, 2:].to_numpy()


def metrics_of(evaluated: Path) -> dict[str, dict[str, float]]:
    metrics: dict[str, dict[str, float]] = json.loads((evaluated / "results/balanced/metrics.json").read_text())
    return metrics


def test_metrics_follow_from_the_scores_of_the_test_rows(evaluated: Path) -> None:
    metrics = metrics_of(evaluated)
    targets, scores = scores_of(evaluated, "test")
    there = targets.any(axis=0)
    assert metrics["map"] == pytest.approx(average_precision_score(targets[:, there], scores[:, there]))
    assert metrics["macro_auc"] == pytest.approx(roc_auc_score(targets[:, there], scores[:, there]))
    each = [metrics["thresholds"][str(digit)] for digit in range(10)]
    thresholds = {"0.2": 0.2, "0.5": 0.5, "tuned": metrics["tuned_threshold"], "per_label": each}
    for name, threshold in thresholds.items():
        for average in ("micro", "macro", "weighted", "samples"):
            f1 = f1_score(targets, scores >= threshold, average=average, zero_division=0)
            assert metrics[f"threshold_{name}"][f"{average}_f1"] == pytest.approx(f1)


def test_metrics_of_validation_follow_from_its_rows(evaluated: Path) -> None:
    found = metrics_of(evaluated)["validation"]
    targets, scores = scores_of(evaluated, "val")
    there = targets.any(axis=0)
    assert found["map"] == pytest.approx(average_precision_score(targets[:, there], scores[:, there]))
    f1 = f1_score(targets, scores >= 0.2, average="macro", zero_division=0)
    assert found["threshold_0.2"]["macro_f1"] == pytest.approx(f1)


def test_thresholds_are_those_of_the_model(evaluated: Path) -> None:
    of_model = decisions.read(evaluated / "results/balanced/model")
    targets, scores = scores_of(evaluated, "val")
    assert tune(targets, scores, of_model.labels, "multilabel") == of_model
    assert metrics_of(evaluated)["thresholds"] == of_model.per_label
    assert metrics_of(evaluated)["headline"] == "tuned"


def test_train_rows_are_not_judged(evaluated: Path) -> None:
    scores = pd.read_csv(evaluated / "results/balanced/scores.csv")
    assert set(scores["split"]) == {"val", "test"}


def test_labels_are_listed_with_the_arms_train_images(evaluated: Path) -> None:
    labels = pd.read_csv(evaluated / "results/balanced/labels.csv", dtype={"label": "str"}).set_index("label")
    table = manifest.read(evaluated / "augmented/manifest.csv")
    assert labels["train"]["0"] == manifest.rows_of_split(table, "train")["label:0"].sum()
    assert labels["test"]["0"] == manifest.rows_of_split(table, "test")["label:0"].sum()


def test_counts_of_the_labels_are_those_of_the_confusion_table(evaluated: Path) -> None:
    results = evaluated / "results/balanced"
    labels = pd.read_csv(results / "labels.csv", dtype={"label": "str"}).set_index("label")
    counts = pd.read_csv(results / "confusion.csv", dtype={"label": "str"})
    assert len(counts) == len(DECISIONS) * 10 * 4
    for name in DECISIONS:
        given = counts[(counts["decision"] == name) & (counts["actual"] == 1) & (counts["predicted"] == 1)]
        assert given.set_index("label")["count"].to_dict() == labels[f"tp_{name}"].to_dict()


def test_report_and_chart_have_every_decision(evaluated: Path) -> None:
    report = (evaluated / "results/balanced/report.txt").read_text()
    chart = (evaluated / "results/balanced/confusion.svg").read_text()
    for name in DECISIONS:
        assert f"{name}: each label that scores at least " in report
        assert f">{name}</text>" in chart


def test_curves_are_those_of_the_labels_that_test_images_have(evaluated: Path) -> None:
    targets, _ = scores_of(evaluated, "test")
    there = {str(digit) for digit in range(10) if targets[:, digit].any()}
    for name in ("roc.csv", "precision_recall.csv"):
        assert set(pd.read_csv(evaluated / "results/balanced" / name, dtype={"label": "str"})["label"]) == there


@pytest.fixture
def params(evaluated: Path) -> str:
    return str(evaluated / "params.yaml")


def test_label_that_no_test_image_has_and_one_that_is_not_known_are_left_out(tmp_path: Path, params: str) -> None:
    # Rows 2, 5, 8 and 11 are test: all without fog, and nothing is known of sun.
    targets = [[i % 2, int(i % 3 != 2), -1 if i % 3 == 2 else 1, int(i > 5)] for i in range(12)]
    folder = untrained(tmp_path, ["sea", "fog", "sun", "sky"], "multilabel", targets)
    result = run_stage(folder, "evaluate", *EVALUATE, "--params", params)
    assert "no test image is known to have fog, sun: excluded from mAP and macro AUC" in result.stderr
    labels = read_label_table(folder / "results/balanced/labels.csv").set_index("label")
    assert labels["test"].to_dict() == {"sea": 2, "fog": 0, "sun": 0, "sky": 2}
    assert labels["auc"].isna().tolist() == [False, True, True, False]
    metrics = metrics_of(folder)
    assert metrics["map"] == pytest.approx(labels["average_precision"].mean())
    assert metrics["threshold_0.5"]["exact_match"] is None


def test_test_rows_of_which_nothing_is_known_have_no_measures(tmp_path: Path, params: str) -> None:
    targets = [[-1, -1] if i % 3 == 2 else [i % 2, 1] for i in range(12)]
    folder = untrained(tmp_path, ["sea", "fog"], "multilabel", targets)
    result = run_stage(folder, "evaluate", *EVALUATE, "--params", params)
    assert "evaluate: 4 test images, mAP unknown, in " in result.stderr
    assert metrics_of(folder)["map"] is None
    assert set(metrics_of(folder)["threshold_tuned"].values()) == {None}


def test_classes_are_judged_by_the_highest_score_too(tmp_path: Path, params: str) -> None:
    targets = np.eye(3, dtype=int)[[0, 1, 2, 0, 1, 1, 0, 1, 0, 0, 0, 0]].tolist()
    folder = untrained(tmp_path, ["fig", "kiwi", "pear"], "multiclass", targets)
    run_stage(folder, "evaluate", *EVALUATE, "--params", params)
    metrics = metrics_of(folder)
    assert metrics["headline"] == "argmax"
    assert {name for name in metrics if name.startswith("threshold_")} == {
        "threshold_0.2", "threshold_0.5", "threshold_tuned", "threshold_per_label", "threshold_argmax",
    }  # fmt: skip
    there, scores = scores_of(folder, "test")
    assert scores.sum(axis=1) == pytest.approx(np.ones(4))
    accuracy = (there.argmax(axis=1) == scores.argmax(axis=1)).mean()
    assert metrics["threshold_argmax"]["accuracy"] == accuracy
    counts = pd.read_csv(folder / "results/balanced/confusion.csv", keep_default_na=False)
    matrix = counts[counts["decision"] == "argmax"]
    assert set(matrix["label"]) == {""}
    assert matrix[matrix["actual"] == matrix["predicted"]]["count"].sum() == 4 * accuracy


def test_two_classes_are_judged_by_the_positive_one(tmp_path: Path, params: str) -> None:
    targets = np.eye(2, dtype=int)[[0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0]].tolist()
    folder = untrained(tmp_path, ["cat", "dog"], "binary", targets)
    run_stage(folder, "evaluate", *EVALUATE, "--params", params)
    metrics = metrics_of(folder)
    assert (metrics["headline"], metrics["positive"], metrics["thresholds"]) == ("tuned", "dog", {"dog": 0.5})
    there, scores = scores_of(folder, "test")
    found = scores[there[:, 1] == 1, 1] >= 0.2
    assert metrics["threshold_0.2"]["sensitivity"] == found.mean()


def test_folder_that_holds_no_model_is_named(tmp_path: Path, params: str) -> None:
    folder = untrained(tmp_path, ["sea", "fog"], "multilabel", [[i % 2, 1] for i in range(12)])
    (folder / "results/balanced/model/decisions.json").unlink()
    result = run_stage(folder, "evaluate", *EVALUATE, "--params", params, check=False)
    assert result.returncode == 1
    assert "evaluate: results/balanced/model: not a model: decisions.json is missing." in result.stderr
