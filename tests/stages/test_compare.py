import json
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import run_stage

FILES = (("metrics", "json"), ("labels", "csv"))


ARMS = ("original", "balanced")


@pytest.fixture(scope="module")
def compared(both_evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    options = [
        option for arm in ARMS for kind, end in FILES for option in (f"--{arm}-{kind}", f"results/{arm}/{kind}.{end}")
    ]
    for option, name in (("--table", "comparison.csv"), ("--json", "comparison.json"), ("--chart", "comparison.svg")):
        options += [option, str(folder / name)]
    (folder / "log.txt").write_text(run_stage(both_evaluated, "compare", *options).stderr)
    return folder


def macro_f1(evaluated: Path, arm: str) -> float:
    metrics = json.loads((evaluated / f"results/{arm}/metrics.json").read_text())
    return float(metrics["threshold_tuned"]["macro_f1"])


def test_metrics_over_all_labels_are_those_of_each_arm(compared: Path, both_evaluated: Path) -> None:
    original, balanced = (macro_f1(both_evaluated, arm) for arm in ARMS)
    assert original != balanced
    expected = {"original": original, "balanced": balanced, "difference": pytest.approx(balanced - original)}
    assert json.loads((compared / "comparison.json").read_text())["macro_f1_tuned"] == expected
    table = pd.read_csv(compared / "comparison.csv", dtype={"label": "str"})
    assert table.columns.tolist() == ["label", "measure", *expected]
    row = table[(table["label"] == "all") & (table["measure"] == "macro_f1_tuned")].iloc[0]
    assert row[list(expected)].to_dict() == expected


def test_summary_is_the_gain_of_the_balanced_arm(compared: Path, both_evaluated: Path) -> None:
    original, balanced = (macro_f1(both_evaluated, arm) for arm in ARMS)
    message = f"compare: macro F1 at the tuned threshold changed by {balanced - original:+.3f}"
    assert message in (compared / "log.txt").read_text()


def test_metrics_of_each_label_are_those_of_each_arm(compared: Path, both_evaluated: Path) -> None:
    table = pd.read_csv(compared / "comparison.csv", dtype={"label": "str"}).set_index(["measure", "label"])
    columns = []
    for arm in ARMS:
        labels = pd.read_csv(both_evaluated / f"results/{arm}/labels.csv", dtype={"label": "str"}).set_index("label")
        columns.append(labels["f1_tuned"])
        assert table.loc["f1_tuned", arm].tolist() == labels["f1_tuned"].tolist()
    assert not columns[0].equals(columns[1])
    assert table.loc["f1_tuned", "difference"].tolist() == pytest.approx((columns[1] - columns[0]).tolist())


def test_chart_has_the_mean_of_each_arm(compared: Path, both_evaluated: Path) -> None:
    chart = (compared / "comparison.svg").read_text()
    assert chart.startswith("<?xml")
    means = [pd.read_csv(both_evaluated / f"results/{arm}/labels.csv")["f1_tuned"].mean() for arm in ARMS]
    assert means[0] != means[1]
    for arm, mean in zip(ARMS, means, strict=True):
        assert f"{arm}, mean {mean:.3f}" in chart


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Metrics and label tables of two arms with classes; no test image has the last one."""
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
