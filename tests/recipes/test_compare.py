import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from recipes.approaches import Approach
from recipes.compare import chosen, markdown, on_test_sentence, table_of
from tests.workspace import PROJECT, run, write_params


def values(macro: float | None, micro: float, minority: float, majority: float) -> dict[str, float | None]:
    named = {"macro_f1": macro, "micro_f1": micro, "minority_recall": minority, "majority_recall": majority}
    return {**named, "balanced_accuracy": 0.75, "more": 1.0}


APPROACHES = [
    Approach("nothing", "nothing", {}),
    Approach("tuned", "nothing", of="nothing", decision="tuned"),
    Approach("clusters", "copies", {"augment.strategy": "clusters"}),
    Approach("failed", "copies", {}),
]
METRICS = {
    "approach-nothing": {
        "threshold_0.5": values(0.9, 0.9, 0.9, 0.9),
        "validation": {
            "threshold_0.5": values(0.4, 0.6, 0.1, 0.9),
            "threshold_tuned": values(0.55, 0.6, 0.3, 0.8),
        },
    },
    "approach-clusters": {
        "threshold_0.5": values(0.1, 0.1, 0.1, 0.1),
        "validation": {"threshold_0.5": values(0.7, 0.5, 0.45, 0.7)},
    },
}


def test_an_approach_that_shares_a_run_has_its_own_decision() -> None:
    expected = pd.DataFrame(
        {
            "approach": ["nothing", "tuned", "clusters"],
            "macro_f1": [0.4, 0.55, 0.7],
            "micro_f1": [0.6, 0.6, 0.5],
            "balanced_accuracy": [0.75, 0.75, 0.75],
            "minority_recall": [0.1, 0.3, 0.45],
            "majority_recall": [0.9, 0.8, 0.7],
        }
    )
    pd.testing.assert_frame_equal(table_of(APPROACHES, METRICS, "0.5"), expected)


def test_the_best_on_validation_is_chosen_whatever_test_says() -> None:
    table = table_of(APPROACHES, METRICS, "0.5")
    assert chosen(table) == "clusters"
    assert [line.split("|")[2].strip() for line in markdown(table).splitlines()[2:]] == ["0.400", "0.550", "0.700*"]


def test_equally_good_approaches_are_all_marked_and_the_first_is_chosen() -> None:
    metrics = {**METRICS, "approach-nothing": METRICS["approach-clusters"]}
    table = table_of([APPROACHES[0], APPROACHES[2]], metrics, "0.5")
    assert markdown(table).count("0.700*") == 2
    assert chosen(table) == "nothing"


def test_an_undefined_metric_is_an_empty_cell() -> None:
    undefined = {"validation": {"threshold_argmax": values(0.5, 0.5, 0.5, 0.5) | {"micro_f1": None}}}
    table = table_of(APPROACHES[:1], {"approach-nothing": undefined}, "argmax")
    assert "| nothing    | 0.500*     |            | 0.750" in markdown(table)


def test_the_sentence_names_the_choice_and_both_scores_on_test() -> None:
    table = pd.DataFrame(
        {
            "approach": ["nothing", "labels"], "macro_f1": [0.5, 0.54], "low": [0.45, 0.5], "high": [0.55, 0.58],
            "difference": [None, 0.04], "difference_low": [None, 0.01], "difference_high": [None, 0.07],
        }
    )  # fmt: skip
    assert on_test_sentence(table) == (
        "Chosen on validation: labels. On the test images: macro F1 0.540 (95 % CI 0.500 to 0.580), nothing 0.500 "
        "(0.450 to 0.550); the difference is macro F1 +0.040 (95 % CI +0.010 to +0.070)."
    )


# Replaces the pipeline: metrics that show which params it got, and predictions of four test images.
JOB = """\
import json, sys, pathlib
from ruamel.yaml import YAML
params = YAML(typ="safe", pure=True).load(pathlib.Path("params.yaml"))
train, arm = params["train"], sys.argv[1]
assert train["seed"] == 0, "this approach fails"
names = ("macro_f1", "micro_f1", "balanced_accuracy", "minority_recall", "majority_recall")
half = [len(train["transforms"]) / 10, train["epochs"] / 10, 0.5, arm == "nothing", arm == "copies"]
decisions = {"threshold_0.5": half, "threshold_tuned": [0.9] * 5}
folder = pathlib.Path("results/arms", arm)
model = folder / "models/seed-0"
for each in (model, pathlib.Path("augmented/arms")):
    each.mkdir(parents=True, exist_ok=True)
content = {"validation": {name: dict(zip(names, map(float, values))) for name, values in decisions.items()}}
(folder / "metrics.json").write_text(json.dumps(content))
(folder / "confusion.svg").write_text(f"<svg><!-- {train['epochs']} epochs --></svg>")
rule = {"task": "multilabel", "labels": ["x"], "positive": None, "tuned": 0.3, "per_label": {"x": 0.3}}
(model / "decisions.json").write_text(json.dumps(rule))
images = "".join(f"{i}.jpg,{i}.jpg,test,,,{int(i < 2)},{i}\\n" for i in range(4))
columns = "image_id,path,split,source_id,cluster,label:x,checksum\\n"
pathlib.Path(f"augmented/arms/{arm}.csv").write_text(columns + images)
scores = "".join(f"{i}.jpg,test,0,{score}\\n" for i, score in enumerate([0.9, 0.4, 0.2, 0.1]))
(folder / "scores.csv").write_text("image_id,split,seed,x\\n" + scores)
"""
GRAPH = """\
stages:
  evaluate:
    foreach: ${train.arms}
    do:
      cmd: python job.py ${item}
      params: [train]
      deps: [job.py]
      outs:
        - augmented/arms/${item}.csv
        - results/arms/${item}/models
        - results/arms/${item}/metrics.json
        - results/arms/${item}/scores.csv
      plots:
        - results/arms/${item}/confusion.svg
"""
LIST = """\
- {name: nothing, arm: nothing, set: {}}
- {name: tuned, of: nothing, decision: tuned}
- name: on the fly
  arm: nothing
  set: {train.transforms: [{RandomHorizontalFlip: {p: 0.5}}, {ColorJitter: {contrast: [0.8, 1.2]}}]}
- {name: copies, arm: copies, set: {train.epochs: 3}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed project whose evaluate is a short script."""
    folder = tmp_path_factory.mktemp("compared")
    whole = {"train.epochs": 2, "train.freeze": False, "train.optimizer": "adam"}
    write_params(folder / "params.yaml", whole)
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
| approach   | macro_f1   | micro_f1   | balanced_accuracy   | minority_recall   | majority_recall   |
|------------|------------|------------|---------------------|-------------------|-------------------|
| nothing    | 0.000      | 0.200      | 0.500               | 1.000             | 0.000             |
| tuned      | 0.900*     | 0.900      | 0.900               | 0.900             | 0.900             |
| on the fly | 0.200      | 0.200      | 0.500               | 1.000             | 0.000             |
| copies     | 0.000      | 0.300      | 0.500               | 0.000             | 1.000             |
"""
# At 0.5, one of two images with the label is found; at the tuned 0.3, both.
ON_TEST = "Chosen on validation: tuned. On the test images: macro F1 1.000 (95 % CI 1.000 to 1.000), nothing 0.667"


@pytest.mark.slow
def test_each_approach_is_an_experiment_and_a_row(project: Path) -> None:
    for _ in range(2):  # the second time it replaces its own experiments
        printed = run(project, *COMPARE, PYTHONPATH=str(PROJECT)).stdout
        assert printed.startswith(f"On the validation images:\n\n{EXPECTED}\n{ON_TEST}")
        assert (project / "results/approaches.md").read_text() == EXPECTED
        assert len(pd.read_csv(project / "results/approaches.csv")) == 4
        assert run(project, "git", "status", "--porcelain", "--untracked-files=no").stdout == ""
    (entry,) = json.loads(run(project, "dvc", "exp", "show", "--json").stdout)[1:]
    assert sorted(each["name"] for each in entry["experiments"]) == [
        "approach-copies", "approach-nothing", "approach-on-the-fly",
    ]  # fmt: skip


@pytest.mark.slow
def test_each_approach_has_its_confusion_matrices_and_its_bars(project: Path) -> None:
    run(project, *COMPARE, PYTHONPATH=str(PROJECT))
    assert {path.name: path.read_text() for path in (project / "results/approaches").iterdir()} == {
        "approach-nothing.svg": "<svg><!-- 2 epochs --></svg>",
        "approach-on-the-fly.svg": "<svg><!-- 2 epochs --></svg>",
        "approach-copies.svg": "<svg><!-- 3 epochs --></svg>",
    }
    chart = (project / "results/approaches.svg").read_text()
    assert all(f">{name}</text>" in chart for name in ("nothing", "tuned", "on the fly", "copies"))


@pytest.mark.slow
def test_a_failed_approach_is_named_and_the_others_have_their_rows(project: Path) -> None:
    more = LIST.replace("train.epochs: 3", "train.seed: 1")
    (project / "more.yaml").write_text(more)
    command = (*COMPARE[:-1], "more.yaml", "--only", "tuned", "copies")
    result = run(project, *command, check=False, PYTHONPATH=str(PROJECT))
    assert result.returncode == 1
    assert "'copies' failed and has no row. Run dvc queue logs approach-copies" in result.stderr
    assert [line.split()[1] for line in result.stdout.splitlines()[4:6]] == ["nothing", "tuned"]


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
