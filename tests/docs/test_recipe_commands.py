"""Every command of docs/recipes.md is run as written, on stages that only check the params."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from counterweight.onboarding.params_file import apply_overlay
from recipes.catalog import recipe_values
from tests.docs.commands import Command
from tests.docs.test_commands import HERE, RECIPES, mark_as_installed
from tests.recipes.tiny import INPUTS
from tests.workspace import PROJECT, run, shell, write_params

# Per list, so that a comparison takes seconds.
N_APPROACHES = 3
# Takes the place of a stage: it loads the params, which checks them, and writes the files that the commands read.
JOB = """\
import json, pathlib, sys
from counterweight.base.params import load_params
params, arm = load_params(pathlib.Path("params.yaml")), sys.argv[1]
task = params.data.task
model, tables = pathlib.Path(f"results/arms/{arm}/models/seed-0"), pathlib.Path("augmented/arms")
for folder in (model, tables):
    folder.mkdir(parents=True, exist_ok=True)
decisions = [*params.evaluate.thresholds, "tuned", "per_label", "argmax"]
measures = ("macro_f1", "micro_f1", "balanced_accuracy", "minority_recall", "majority_recall")
validation = {f"threshold_{name}": dict.fromkeys(measures, 0.5) for name in decisions}
(model.parents[1] / "metrics.json").write_text(json.dumps({"validation": validation}))
(model.parents[1] / "confusion.svg").write_text("<svg/>")
positive = "x" if task == "binary" else None
rule = {"task": task, "labels": ["x", "y"], "positive": positive, "tuned": 0.5, "per_label": {"x": 0.5, "y": 0.5}}
(model / "decisions.json").write_text(json.dumps(rule))
columns = "image_id,path,split,source_id,cluster,label:x,label:y,checksum"
(tables / f"{arm}.csv").write_text(f"{columns}\\na.jpg,a.jpg,test,,,1,0,a\\nb.jpg,b.jpg,test,,,0,1,b\\n")
(model.parents[1] / "scores.csv").write_text("image_id,split,seed,x,y\\na.jpg,test,0,1,0\\nb.jpg,test,0,0,1\\n")
"""
GRAPH = """\
stages:
  evaluate:
    foreach: ${train.arms}
    do:
      cmd: python job.py ${item}
      params:
        - params.yaml:
      deps: [job.py]
      outs:
        - augmented/arms/${item}.csv
        - results/arms/${item}/models
        - results/arms/${item}/metrics.json
        - results/arms/${item}/scores.csv
      plots:
        - results/arms/${item}/confusion.svg
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in git whose stages are a few lines that check the params, after a commit."""
    folder = tmp_path_factory.mktemp("recipes") / "project"
    folder.mkdir()
    write_params(folder / "params.yaml", {})
    for name in ("counterweight", "recipes", "stages"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / ".gitignore", folder)
    yaml = YAML(typ="rt", pure=True)
    for approaches in (folder / "recipes").glob("approaches*.yaml"):
        yaml.dump(yaml.load(approaches)[:N_APPROACHES], approaches)
    for name, text in {"job.py": JOB, "dvc.yaml": GRAPH}.items():
        (folder / name).write_text(text)
    mark_as_installed(folder)
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "config", "user.name", "A User")
    run(folder, "git", "config", "user.email", "user@example.invalid")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "dvc", "repro", "--quiet")
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--allow-empty", "--message", "more")


def lay_out(folder: Path, recipe: str) -> None:
    """Commit a recipe with data of its kind, as in docs/recipes.md, on top of the first commit."""
    first = run(folder, "git", "rev-list", "--max-parents=0", "HEAD").stdout.strip()
    run(folder, "git", "reset", "--quiet", "--hard", first)
    if recipe:
        values = recipe_values(recipe)
        apply_overlay(folder / "params.yaml", values | INPUTS[values["data.task"]])
    commit(folder)


def of_recipes() -> Iterator[Any]:
    """The commands; all but the first experiment of each recipe are slow, and so is the comparison of approaches."""
    recipes = set()
    for command in (each for each in HERE if each.document == RECIPES):
        is_experiment = command.line.startswith("dvc exp run")
        is_slow = command.line.startswith("make compare") or (is_experiment and command.recipe in recipes)
        marks = [pytest.mark.slow] if is_slow else []
        if is_experiment:
            recipes.add(command.recipe)
        yield pytest.param(command, marks=marks, id=str(command))


@pytest.mark.parametrize("command", list(of_recipes()))
def test_command_of_a_recipe_does_its_work(command: Command, project: Path) -> None:
    lay_out(project, command.recipe)
    shell(project, command.line)
