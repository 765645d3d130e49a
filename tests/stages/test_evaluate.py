import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from counterweight.base import manifest
from counterweight.base.errors import InputError
from counterweight.base.outputs import read_label_table
from counterweight.metrics import decisions
from counterweight.metrics.decisions import DecisionRule, calibrate, tune
from stages.evaluate import main
from tests.conftest import ARMS, EVALUATE, SEEDS, run_stage
from tests.untrained import MODEL, untrained

DECISIONS = ("0.2", "0.5", "tuned", "per_label")
RESULTS, TABLE = "results/arms/copies", "augmented/arms/copies.csv"


def scores_of(evaluated: Path, split: str, seed: int = 0, arm: str = "copies") -> tuple[np.ndarray, np.ndarray]:
    """Targets and scores of a split's rows under a seed."""
    scores = pd.read_csv(evaluated / f"results/arms/{arm}/scores.csv", dtype={"image_id": "str"})
    rows = scores[(scores["split"] == split) & (scores["seed"] == seed)]
    table = manifest.read(evaluated / f"augmented/arms/{arm}.csv").set_index("image_id")
    return manifest.targets(table.loc[rows["image_id"]].reset_index()), rows.iloc[:, 3:].to_numpy()


def metrics_of(evaluated: Path, arm: str = "copies") -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((evaluated / f"results/arms/{arm}/metrics.json").read_text())
    return metrics


def rules_of(evaluated: Path, arm: str = "copies") -> list[DecisionRule]:
    return [decisions.read(evaluated / f"results/arms/{arm}/models/seed-{seed}") for seed in SEEDS]


@pytest.mark.parametrize("arm", ARMS)
def test_metrics_are_means_of_those_that_follow_from_the_scores_of_the_test_rows(evaluated: Path, arm: str) -> None:
    metrics, rules = metrics_of(evaluated, arm), rules_of(evaluated, arm)
    found = [scores_of(evaluated, "test", seed, arm) for seed in SEEDS]
    there = found[0][0].any(axis=0)
    for name, function in (("map", average_precision_score), ("macro_auc", roc_auc_score)):
        values = [function(targets[:, there], scores[:, there]) for targets, scores in found]
        assert values[0] != values[1]
        assert metrics[name] == pytest.approx(np.mean(values))
    for name in DECISIONS:
        for average in ("micro", "macro", "weighted", "samples"):
            values = []
            for rule, (targets, scores) in zip(rules, found, strict=True):
                each = [rule.per_label[str(digit)] for digit in range(10)]
                threshold = {"0.2": 0.2, "0.5": 0.5, "tuned": rule.tuned, "per_label": each}[name]
                values.append(f1_score(targets, scores >= threshold, average=average, zero_division=0))
            assert metrics[f"threshold_{name}"][f"{average}_f1"] == pytest.approx(np.mean(values))


def test_metrics_of_validation_follow_from_its_rows(evaluated: Path) -> None:
    metrics = metrics_of(evaluated)["validation"]
    found = [scores_of(evaluated, "val", seed) for seed in SEEDS]
    there = found[0][0].any(axis=0)
    values = [average_precision_score(targets[:, there], scores[:, there]) for targets, scores in found]
    assert metrics["map"] == pytest.approx(np.mean(values))
    values = [f1_score(targets, scores >= 0.2, average="macro", zero_division=0) for targets, scores in found]
    assert metrics["threshold_0.2"]["macro_f1"] == pytest.approx(np.mean(values))


def test_deviations_are_the_sample_standard_deviations_over_the_seeds(evaluated: Path) -> None:
    metrics, rules = metrics_of(evaluated), rules_of(evaluated)
    assert metrics["seeds"] == 2
    found = [scores_of(evaluated, "test", seed) for seed in SEEDS]
    there = found[0][0].any(axis=0)
    values = {
        "map": [average_precision_score(targets[:, there], scores[:, there]) for targets, scores in found],
        "macro_auc": [roc_auc_score(targets[:, there], scores[:, there]) for targets, scores in found],
        "macro_f1": [
            f1_score(targets, scores >= rule.tuned, average="macro", zero_division=0)
            for rule, (targets, scores) in zip(rules, found, strict=True)
        ],
    }
    for name, (one, other) in values.items():
        assert metrics["deviation"][name] == pytest.approx(abs(one - other) / 2**0.5)


def test_brier_scores_and_calibration_are_those_of_each_seeds_own_rule(evaluated: Path) -> None:
    metrics, briers = metrics_of(evaluated), []
    for seed, rule in zip(SEEDS, rules_of(evaluated), strict=True):
        targets, scores = scores_of(evaluated, "test", seed)
        briers.append([((values - targets) ** 2).mean() for values in (scores, rule.probabilities(scores))])
    brier, calibrated = np.mean(briers, axis=0)
    assert brier != calibrated
    assert (metrics["brier"], metrics["calibrated_brier"]) == pytest.approx((brier, calibrated))


def test_thresholds_are_the_means_of_those_of_the_models(evaluated: Path) -> None:
    rules = rules_of(evaluated)
    for seed, rule in zip(SEEDS, rules, strict=True):
        targets, scores = scores_of(evaluated, "val", seed)
        assert calibrate(tune(targets, scores, rule.labels, "multilabel"), targets, scores) == rule
    metrics = metrics_of(evaluated)
    assert metrics["tuned_threshold"] == pytest.approx(np.mean([rule.tuned for rule in rules]))
    assert metrics["thresholds"]["0"] == pytest.approx(np.mean([rule.per_label["0"] for rule in rules]))
    assert metrics["headline"] == "tuned"


def test_each_arm_is_judged_by_its_own_models(evaluated: Path) -> None:
    scores = [scores_of(evaluated, "test", seed, arm)[1].tolist() for arm in ARMS for seed in SEEDS]
    assert all(one != other for one, other in itertools.combinations(scores, 2))


def test_train_rows_are_not_judged(evaluated: Path) -> None:
    scores = pd.read_csv(evaluated / RESULTS / "scores.csv")
    assert set(zip(scores["split"], scores["seed"], strict=True)) == set(itertools.product(("val", "test"), SEEDS))


def test_labels_are_listed_with_the_arms_train_images(evaluated: Path) -> None:
    labels = pd.read_csv(evaluated / RESULTS / "labels.csv", dtype={"label": "str"}).set_index("label")
    table = manifest.read(evaluated / TABLE)
    assert labels["train"]["0"] == manifest.rows_of_split(table, "train")["label:0"].sum()
    assert labels["test"]["0"] == manifest.rows_of_split(table, "test")["label:0"].sum()


def test_counts_of_the_confusion_table_are_those_of_the_first_seed(evaluated: Path) -> None:
    counts = pd.read_csv(evaluated / RESULTS / "confusion.csv", dtype={"label": "str"})
    assert len(counts) == len(DECISIONS) * 10 * 4
    (targets, scores), rule = scores_of(evaluated, "test"), rules_of(evaluated)[0]
    for name, decision in decisions.decision_names("multilabel", [0.2, 0.5]).items():
        hits = (rule.apply(scores, decision) & (targets == 1)).sum(axis=0)
        given = counts[(counts["decision"] == name) & (counts["actual"] == 1) & (counts["predicted"] == 1)]
        assert given.set_index("label")["count"].to_dict() == dict(zip(rule.labels, hits.tolist(), strict=True))


def test_counts_of_the_labels_are_means_over_the_seeds(evaluated: Path) -> None:
    labels = pd.read_csv(evaluated / RESULTS / "labels.csv", dtype={"label": "str"})
    hits = []
    for seed, rule in zip(SEEDS, rules_of(evaluated), strict=True):
        targets, scores = scores_of(evaluated, "test", seed)
        hits.append((rule.apply(scores, "tuned") & (targets == 1)).sum(axis=0))
    assert hits[0].tolist() != hits[1].tolist()
    assert labels["tp_tuned"].tolist() == np.mean(hits, axis=0).tolist()


def test_report_and_chart_have_every_decision(evaluated: Path) -> None:
    report = (evaluated / RESULTS / "report.txt").read_text()
    chart = (evaluated / RESULTS / "confusion.svg").read_text()
    for name in DECISIONS:
        assert f"{name}: each label that scores at least " in report
        assert f">{name}</text>" in chart


def test_curves_are_those_of_the_labels_that_test_images_have(evaluated: Path) -> None:
    targets, _ = scores_of(evaluated, "test")
    there = {str(digit) for digit in range(10) if targets[:, digit].any()}
    for name in ("roc.csv", "precision_recall.csv"):
        assert set(pd.read_csv(evaluated / RESULTS / name, dtype={"label": "str"})["label"]) == there


@pytest.fixture
def params(evaluated: Path) -> str:
    return str(evaluated / "params.yaml")


def evaluate(folder: Path, params: str) -> str:
    """Run the stage in a folder, in this process; return the summary."""
    with contextlib.chdir(folder):
        return main([*EVALUATE, "--params", params])


def test_label_that_no_test_image_has_and_one_that_is_not_known_are_left_out(tmp_path: Path, params: str) -> None:
    # Rows 2, 5, 8 and 11 are test: all without fog, and nothing is known of sun.
    targets = [[i % 2, int(i % 3 != 2), -1 if i % 3 == 2 else 1, int(i > 5)] for i in range(12)]
    folder = untrained(tmp_path, ["sea", "fog", "sun", "sky"], "multilabel", targets)
    result = run_stage(folder, "evaluate", *EVALUATE, "--params", params)
    assert "no test image is known to have fog, sun: excluded from mAP and macro AUC" in result.stderr
    labels = read_label_table(folder / RESULTS / "labels.csv").set_index("label")
    assert labels["test"].to_dict() == {"sea": 2, "fog": 0, "sun": 0, "sky": 2}
    assert labels["auc"].isna().tolist() == [False, True, True, False]
    metrics = metrics_of(folder)
    assert metrics["map"] == pytest.approx(labels["average_precision"].mean())
    assert metrics["threshold_0.5"]["exact_match"] is None


def test_test_rows_of_which_nothing_is_known_have_no_measures(tmp_path: Path, params: str) -> None:
    targets = [[-1, -1] if i % 3 == 2 else [i % 2, 1] for i in range(12)]
    folder = untrained(tmp_path, ["sea", "fog"], "multilabel", targets)
    assert evaluate(folder, params) == "4 test images, mAP unknown"
    assert metrics_of(folder)["map"] is None
    assert set(metrics_of(folder)["threshold_tuned"].values()) == {None}


def test_classes_are_judged_by_the_highest_score_too(tmp_path: Path, params: str) -> None:
    targets = np.eye(3, dtype=int)[[0, 1, 2, 0, 1, 1, 0, 1, 0, 0, 0, 0]].tolist()
    folder = untrained(tmp_path, ["fig", "kiwi", "pear"], "multiclass", targets)
    evaluate(folder, params)
    metrics = metrics_of(folder)
    assert metrics["headline"] == "argmax"
    assert {name for name in metrics if name.startswith("threshold_")} == {
        "threshold_0.2", "threshold_0.5", "threshold_tuned", "threshold_per_label", "threshold_argmax",
    }  # fmt: skip
    there, scores = scores_of(folder, "test")
    assert scores.sum(axis=1) == pytest.approx(np.ones(4))
    accuracy = (there.argmax(axis=1) == scores.argmax(axis=1)).mean()
    assert metrics["threshold_argmax"]["accuracy"] == accuracy
    counts = pd.read_csv(folder / RESULTS / "confusion.csv", keep_default_na=False)
    matrix = counts[counts["decision"] == "argmax"]
    assert set(matrix["label"]) == {""}
    assert matrix[matrix["actual"] == matrix["predicted"]]["count"].sum() == 4 * accuracy


def test_two_classes_are_judged_by_the_positive_one(tmp_path: Path, params: str) -> None:
    targets = np.eye(2, dtype=int)[[0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0]].tolist()
    folder = untrained(tmp_path, ["cat", "dog"], "binary", targets)
    evaluate(folder, params)
    metrics = metrics_of(folder)
    assert (metrics["headline"], metrics["positive"], metrics["thresholds"]) == ("tuned", "dog", {"dog": 0.5})
    there, scores = scores_of(folder, "test")
    found = scores[there[:, 1] == 1, 1] >= 0.2
    assert metrics["threshold_0.2"]["sensitivity"] == found.mean()


def test_folder_that_holds_no_model_is_named(tmp_path: Path, params: str) -> None:
    folder = untrained(tmp_path, ["sea", "fog"], "multilabel", [[i % 2, 1] for i in range(12)])
    (folder / MODEL / "decisions.json").unlink()
    with pytest.raises(
        InputError, match=r"^results/arms/copies/models/seed-0: not a model: decisions\.json is missing"
    ):
        evaluate(folder, params)


def test_folder_without_any_model_is_named(tmp_path: Path, params: str) -> None:
    folder = untrained(tmp_path, ["sea", "fog"], "multilabel", [[i % 2, 1] for i in range(12)])
    (folder / MODEL).rename(folder / "results/arms/copies/models/last")
    with pytest.raises(InputError, match=r"^results/arms/copies/models: it contains no model\. Run dvc repro"):
        evaluate(folder, params)
