import json
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score

from stages.core import manifest


def test_metrics_follow_from_the_scores_of_the_test_rows(evaluated: Path) -> None:
    results = evaluated / "results/balanced"
    scores = pd.read_csv(results / "scores.csv")
    metrics = json.loads((results / "metrics.json").read_text())
    table = manifest.read(evaluated / "augmented/manifest.csv")
    test = scores[scores["split"] == "test"]
    targets = manifest.targets(table.set_index("image_id").loc[test["image_id"]].reset_index())
    values = test.drop(columns=["image_id", "split"]).to_numpy()
    there = targets.any(axis=0)
    expected = average_precision_score(targets[:, there], values[:, there], average="macro")
    assert metrics["map"] == pytest.approx(expected)
    for name, threshold in (("0.2", 0.2), ("0.5", 0.5), ("tuned", metrics["tuned_threshold"])):
        for average in ("micro", "macro"):
            f1 = f1_score(targets, values >= threshold, average=average, zero_division=0)
            assert metrics[f"threshold_{name}"][f"{average}_f1"] == pytest.approx(f1)


def test_train_rows_are_not_judged(evaluated: Path) -> None:
    scores = pd.read_csv(evaluated / "results/balanced/scores.csv")
    assert set(scores["split"]) == {"val", "test"}


def test_labels_are_listed_with_the_arms_train_images(evaluated: Path) -> None:
    labels = pd.read_csv(evaluated / "results/balanced/labels.csv", dtype={"label": "str"}).set_index("label")
    table = manifest.read(evaluated / "augmented/manifest.csv")
    assert labels["train"]["0"] == manifest.of_split(table, "train")["label:0"].sum()
    assert labels["test"]["0"] == manifest.of_split(table, "test")["label:0"].sum()
