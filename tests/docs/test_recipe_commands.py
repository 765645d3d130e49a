"""Every command of docs/recipes.md is run as written, on stages that only check the params."""

import shutil
from pathlib import Path

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
params = load_params(pathlib.Path("params.yaml"))
decisions = [*params.evaluate.thresholds, "tuned", "per_label", "argmax"]
measures = ("macro_f1", "micro_f1", "minority_recall", "majority_recall", "accuracy")
metrics = {f"threshold_{name}": dict.fromkeys(measures, 0.5) for name in decisions}
metrics["validation"] = dict(metrics)
pathlib.Path(f"results/{sys.argv[1]}/metrics.json").write_text(json.dumps(metrics))
pathlib.Path(f"results/{sys.argv[1]}/confusion.svg").write_text("<svg/>")
"""
GRAPH = """\
stages:
  evaluate:
    foreach: [original, balanced]
    do:
      cmd: mkdir -p results/${item} && python job.py ${item}
      params:
        - params.yaml:
      deps: [job.py]
      metrics:
        - results/${item}/metrics.json:
            cache: false
      plots:
        - results/${item}/confusion.svg
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


def marked(command: Command) -> object:
    """Mark a second comparison, which takes half a minute and is a run of the first one's code, as slow."""
    return pytest.param(command, marks=[pytest.mark.slow] * ("approaches_streets" in command.line), id=str(command))


@pytest.mark.parametrize("command", [marked(each) for each in HERE if each.document == RECIPES])
def test_command_of_a_recipe_does_its_work(command: Command, project: Path) -> None:
    lay_out(project, command.recipe)
    shell(project, command.line)
