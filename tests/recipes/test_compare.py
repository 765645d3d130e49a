import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from recipes.approaches import Approach
from recipes.compare import markdown, table_of
from tests.workspace import PROJECT, run, write_params


def values(macro: float | None, micro: float, minority: float, majority: float) -> dict[str, float | None]:
    named = {"macro_f1": macro, "micro_f1": micro, "minority_recall": minority, "majority_recall": majority}
    return {**named, "accuracy": 0.75, "more": 1.0}


APPROACHES = [
    Approach("naive", "original", {"train.loss": "bce"}),
    Approach("tuned", "original", of="naive", decision="tuned"),
    Approach("clusters", "balanced", {"augment.strategy": "clusters"}),
    Approach("failed", "balanced", {}),
]
METRICS = {
    "approach-naive": {
        "threshold_0.5": values(0.4, 0.6, 0.1, 0.9),
        "threshold_tuned": values(0.55, 0.6, 0.3, 0.8),
        "validation": {"threshold_0.5": {"macro_f1": 0.3}, "threshold_tuned": {"macro_f1": 0.6}},
    },
    "approach-clusters": {
        "threshold_0.5": values(0.7, 0.5, 0.45, 0.7),
        "validation": {"threshold_0.5": {"macro_f1": 0.5}},
    },
}


def test_an_approach_that_shares_a_run_has_its_own_decision() -> None:
    expected = pd.DataFrame(
        {
            "approach": ["naive", "tuned", "clusters"],
            "validation_macro_f1": [0.3, 0.6, 0.5],
            "macro_f1": [0.4, 0.55, 0.7],
            "micro_f1": [0.6, 0.6, 0.5],
            "minority_recall": [0.1, 0.3, 0.45],
            "majority_recall": [0.9, 0.8, 0.7],
            "accuracy": [0.75, 0.75, 0.75],
        }
    )
    pd.testing.assert_frame_equal(table_of(APPROACHES, METRICS, "0.5"), expected)


def test_the_best_on_validation_is_marked_whatever_test_says() -> None:
    assert markdown(table_of(APPROACHES, METRICS, "0.5")) == (
        "| approach   | validation_macro_f1   | macro_f1   | micro_f1   | minority_recall   | majority_recall   "
        "| accuracy   |\n"
        "|------------|-----------------------|------------|------------|-------------------|-------------------"
        "|------------|\n"
        "| naive      | 0.300                 | 0.400      | 0.600      | 0.100             | 0.900             "
        "| 0.750      |\n"
        "| tuned      | 0.600*                | 0.550      | 0.600      | 0.300             | 0.800             "
        "| 0.750      |\n"
        "| clusters   | 0.500                 | 0.700      | 0.500      | 0.450             | 0.700             "
        "| 0.750      |\n"
    )


def test_equally_good_approaches_are_all_marked() -> None:
    metrics = {
        "approach-naive": {**METRICS["approach-naive"], "validation": METRICS["approach-clusters"]["validation"]}
    }
    table = table_of([APPROACHES[0], APPROACHES[2]], METRICS | metrics, "0.5")
    assert markdown(table).count("0.500*") == 2


def test_an_undefined_metric_is_an_empty_cell() -> None:
    undefined = {"threshold_argmax": values(None, 0.5, 0.5, 0.5)}
    metrics = {"approach-naive": {**undefined, "validation": {"threshold_argmax": {"macro_f1": 0.5}}}}
    assert "| naive      | 0.500*                |            | 0.500" in markdown(
        table_of(APPROACHES[:1], metrics, "argmax")
    )


# Replaces training: metrics that show which params it got.
JOB = """\
import json, sys, pathlib
from ruamel.yaml import YAML
params = YAML(typ="safe", pure=True).load(pathlib.Path("params.yaml"))
train, arm = params["train"], sys.argv[1]
assert train["seed"] == 0, "this approach fails"
names = ("macro_f1", "micro_f1", "minority_recall", "majority_recall", "accuracy")
half = [len(train["transforms"]) / 10, train["epochs"] / 10, train["loss"] == "bce", arm == "balanced", 0.5]
decisions = {"threshold_0.5": half, "threshold_tuned": [0.9] * 5}
content = {name: dict(zip(names, map(float, values))) for name, values in decisions.items()}
content["validation"] = {name: {"macro_f1": 1 - content[name]["macro_f1"]} for name in decisions}
pathlib.Path(f"results/{arm}/metrics.json").write_text(json.dumps(content))
pathlib.Path(f"results/{arm}/confusion.svg").write_text(f"<svg><!-- {train['epochs']} epochs --></svg>")
"""
GRAPH = """\
stages:
  evaluate:
    foreach: [original, balanced]
    do:
      cmd: mkdir -p results/${item} && python job.py ${item}
      params: [train]
      deps: [job.py]
      metrics:
        - results/${item}/metrics.json:
            cache: false
      plots:
        - results/${item}/confusion.svg
"""
LIST = """\
- {name: naive, arm: original, set: {train.loss: bce}}
- {name: tuned, of: naive, decision: tuned}
- name: on the fly
  arm: original
  set: {train.transforms: [{RandomHorizontalFlip: {p: 0.5}}, {ColorJitter: {contrast: [0.8, 1.2]}}]}
- {name: copies, arm: balanced, set: {train.epochs: 3}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed project whose evaluate is a short script."""
    folder = tmp_path_factory.mktemp("compared")
    write_params(folder / "params.yaml", {"train.epochs": 2})
    for name, text in {"job.py": JOB, "dvc.yaml": GRAPH, "approaches.yaml": LIST}.items():
        (folder / name).write_text(text)
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "config", "user.name", "A User")
    run(folder, "git", "config", "user.email", "user@example.invalid")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "dvc", "repro", "--quiet")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "first")
    return folder


COMPARE = (sys.executable, "-m", "recipes.compare", "--approaches", "approaches.yaml")
EXPECTED = """\
| approach   | validation_macro_f1   | macro_f1   | micro_f1   | minority_recall   | majority_recall   | accuracy   |
|------------|-----------------------|------------|------------|-------------------|-------------------|------------|
| naive      | 1.000*                | 0.000      | 0.200      | 1.000             | 0.000             | 0.500      |
| tuned      | 0.100                 | 0.900      | 0.900      | 0.900             | 0.900             | 0.900      |
| on the fly | 0.800                 | 0.200      | 0.200      | 0.000             | 0.000             | 0.500      |
| copies     | 1.000*                | 0.000      | 0.300      | 0.000             | 1.000             | 0.500      |
"""


@pytest.mark.slow
def test_each_approach_is_an_experiment_and_a_row(project: Path) -> None:
    for _ in range(2):  # the second time it replaces its own experiments
        assert run(project, *COMPARE, PYTHONPATH=str(PROJECT)).stdout == EXPECTED
        assert (project / "results/approaches.md").read_text() == EXPECTED
        assert len(pd.read_csv(project / "results/approaches.csv")) == 4
        assert run(project, "git", "status", "--porcelain", "--untracked-files=no").stdout == ""
    (entry,) = json.loads(run(project, "dvc", "exp", "show", "--json").stdout)[1:]
    assert sorted(each["name"] for each in entry["experiments"]) == [
        "approach-copies", "approach-naive", "approach-on-the-fly",
    ]  # fmt: skip


@pytest.mark.slow
def test_each_approach_has_its_confusion_matrices_and_its_bars(project: Path) -> None:
    run(project, *COMPARE, PYTHONPATH=str(PROJECT))
    assert {path.name: path.read_text() for path in (project / "results/approaches").iterdir()} == {
        "approach-naive.svg": "<svg><!-- 2 epochs --></svg>",
        "approach-on-the-fly.svg": "<svg><!-- 2 epochs --></svg>",
        "approach-copies.svg": "<svg><!-- 3 epochs --></svg>",
    }
    chart = (project / "results/approaches.svg").read_text()
    assert all(f">{name}</text>" in chart for name in ("naive", "tuned", "on the fly", "copies"))


@pytest.mark.slow
def test_a_failed_approach_is_named_and_the_others_have_their_rows(project: Path) -> None:
    more = LIST.replace("train.epochs: 3", "train.seed: 1")
    (project / "more.yaml").write_text(more)
    command = (*COMPARE[:-1], "more.yaml", "--only", "tuned", "copies")
    result = run(project, *command, check=False, PYTHONPATH=str(PROJECT))
    assert result.returncode == 1
    assert "'copies' failed and has no row. Run dvc queue logs approach-copies" in result.stderr
    assert [line.split()[1] for line in result.stdout.splitlines()[2:]] == ["naive", "tuned"]


def test_nothing_is_queued_unless_every_approach_is_valid(project: Path) -> None:
    (project / "wrong.yaml").write_text(
        LIST.replace("epochs: 3", "epochs: none").replace("decision: tuned", "decision: x")
    )
    result = run(project, *COMPARE[:-1], "wrong.yaml", check=False, PYTHONPATH=str(PROJECT))
    assert result.returncode == 1
    assert "approaches: 2 problems" in result.stderr
    assert "'tuned': x is not a decision here. Choose one of 0.2, 0.5, tuned, per_label" in result.stderr
    assert "'copies': params.yaml" in result.stderr


def test_uncommitted_changes_are_an_error(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(before + "# more\n")
    result = run(project, *COMPARE, check=False, PYTHONPATH=str(PROJECT))
    (project / "params.yaml").write_text(before)
    assert result.returncode == 1
    assert "params.yaml is not as committed. Commit it, or run git stash." in result.stderr
