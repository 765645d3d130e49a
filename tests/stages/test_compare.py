import json
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import run_stage

FILES = (("metrics", "json"), ("labels", "csv"))


@pytest.fixture
def compared(evaluated: Path, tmp_path: Path) -> Path:
    """A comparison of the balanced arm with one that gives label 0 a perfect F1."""
    (tmp_path / "params.yaml").write_text((evaluated / "params.yaml").read_text())
    results = evaluated / "results/balanced"
    metrics = json.loads((results / "metrics.json").read_text())
    metrics["threshold_tuned"]["macro_f1"] += 0.25
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    options = ["--original-metrics", str(results / "metrics.json"), "--original-labels", str(results / "labels.csv")]
    options += ["--balanced-metrics", "metrics.json", "--balanced-labels", str(results / "labels.csv")]
    outs = ["--table", "comparison.csv", "--json", "comparison.json", "--chart", "comparison.svg"]
    result = run_stage(tmp_path, "compare", *options, *outs)
    assert "compare: macro F1 at the tuned threshold changed by +0.250" in result.stderr
    return tmp_path


def test_both_arms_stand_side_by_side_in_one_table(compared: Path) -> None:
    table = pd.read_csv(compared / "comparison.csv", dtype={"label": "str"})
    assert table.columns.tolist() == ["label", "measure", "original", "balanced", "difference"]
    row = table[(table["label"] == "all") & (table["measure"] == "macro_f1_tuned")].iloc[0]
    assert row["difference"] == pytest.approx(0.25)
    assert {str(digit) for digit in range(10)} < set(table["label"])


def test_both_arms_stand_side_by_side_in_one_json(compared: Path) -> None:
    content = json.loads((compared / "comparison.json").read_text())
    assert content["macro_f1_tuned"]["difference"] == pytest.approx(0.25)
    assert set(content["map"]) == {"original", "balanced", "difference"}


def test_both_arms_stand_in_one_chart(compared: Path) -> None:
    chart = (compared / "comparison.svg").read_text()
    assert chart.startswith("<?xml")
    assert "original, mean" in chart
    assert "balanced, mean" in chart


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Metrics and label measures of two arms on classes; no test image has the last one."""
    for arm, score in (("original", 0.5), ("balanced", 0.75)):
        metrics = {"headline": "argmax", "map": None, "threshold_argmax": {"macro_f1": score}}
        (tmp_path / f"{arm}.json").write_text(json.dumps(metrics))
        (tmp_path / f"{arm}.csv").write_text(f"label,train,auc,f1_argmax\nfig,9,0.5,{score}\nNA,3,,0.0\n")
    return tmp_path


def test_classes_are_compared_by_the_highest_score(classes: Path) -> None:
    options = [f"--{arm}-{kind} {arm}.{end}" for arm in ("original", "balanced") for kind, end in FILES]
    outs = "--table comparison.csv --json comparison.json --chart comparison.svg"
    result = run_stage(classes, "compare", *" ".join([*options, outs]).split())
    assert "compare: macro F1 by the highest score changed by +0.250" in result.stderr
    assert "F1 of each label on the test images, by the highest score" in (classes / "comparison.svg").read_text()
    content = json.loads((classes / "comparison.json").read_text())
    assert content == {
        "map": {"original": None, "balanced": None, "difference": None},
        "macro_f1_argmax": {"original": 0.5, "balanced": 0.75, "difference": 0.25},
    }
    table = pd.read_csv(classes / "comparison.csv", keep_default_na=False)
    assert table[table["label"] == "NA"].to_numpy().tolist() == [
        ["NA", "train", "3.0", "3.0", "0.0"],
        ["NA", "auc", "", "", ""],
        ["NA", "f1_argmax", "0.0", "0.0", "0.0"],
    ]
