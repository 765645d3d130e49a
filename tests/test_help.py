"""What `python -m stages.NAME --help` says, of every stage."""

import os
import re
import subprocess
import sys
from functools import cache

import pytest
from dvc.dependency import ParamsDependency

from counterweight.base.command import ENVIRONMENT, params_of
from tests.test_dvc_yaml import NO_STAGE, STAGES
from tests.workspace import PROJECT

NAMES = sorted({name.partition("@")[0] for name in STAGES} - {"example"}) + sorted(NO_STAGE)
# Which variables a stage obeys, by the functions that it calls.
READ_BY = {
    "worker_count": {"COUNTERWEIGHT_WORKERS"},
    "device_name": {"COUNTERWEIGHT_DEVICE"},
    "init_process_group": {"COUNTERWEIGHT_DEVICES", "COUNTERWEIGHT_NODES"},
    "dask_workers": {"COUNTERWEIGHT_SCHEDULER"},
    "open_cache": {"COUNTERWEIGHT_CACHE", "COUNTERWEIGHT_CACHE_GB"},
    "load_weights": {"TORCH_HOME"},
    "build_feature_extractor": {"TORCH_HOME"},
    "build_classifier": {"TORCH_HOME"},
}
# Says of a command, when it is over, whether it has loaded PyTorch.
PROBE = (
    "import runpy, sys\n"
    "sys.argv = sys.argv[1:]\n"
    "try:\n"
    "    runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)\n"
    "finally:\n"
    "    print('torch' in sys.modules, file=sys.stderr)\n"
)


def source_of(name: str) -> str:
    return (PROJECT / f"stages/{name}.py").read_text(encoding="utf-8")


def docstring_of(name: str) -> str:
    return source_of(name).split('"""')[1]


@cache
def helped(name: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PROBE, f"stages.{name}", "--help"],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.parametrize("name", NAMES)
def test_help_says_what_is_read_and_written(name: str) -> None:
    text = helped(name).stdout
    assert text.startswith("usage: ")
    assert re.search(r"^Reads   ", text, re.MULTILINE)
    assert re.search(r"^Writes  ", text, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_help_lists_every_param_with_what_it_is(name: str) -> None:
    text = " ".join(helped(name).stdout.split())
    for param, what in params_of(docstring_of(name)).items():
        assert f" {param} {' '.join(what.split())} " in text


@pytest.mark.parametrize("name", NAMES)
def test_help_lists_the_environment_variables_that_the_stage_obeys(name: str) -> None:
    source = source_of(name)
    called = {variable for function in READ_BY if f"{function}(" in source for variable in READ_BY[function]}
    text = " ".join(helped(name).stdout.split())
    assert {variable for variable in ENVIRONMENT if f" {variable} " in text} == called


@pytest.mark.parametrize("name", NAMES)
def test_help_fits_the_terminal(name: str) -> None:
    assert max(map(len, helped(name).stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", NAMES)
def test_help_does_not_wait_for_pytorch(name: str) -> None:
    assert helped(name).stderr == "False\n"


@pytest.mark.parametrize("name", [name for name in STAGES if name not in {"example", "report"}])
def test_the_params_of_the_docstring_are_those_of_dvc_yaml(name: str) -> None:
    declared = {param for dep in STAGES[name].deps if isinstance(dep, ParamsDependency) for param in dep.params}
    line = re.search(r"^Params  (.*(?:\n {8}.*)*)$", docstring_of(name.partition("@")[0]), re.MULTILINE)
    assert set(re.findall(r"[\w.]+", line[1]) if line else []) == declared


def test_every_variable_of_the_readme_is_described_and_no_other() -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `((?:COUNTERWEIGHT|TORCH)_[A-Z_]+)` \|", readme, re.MULTILINE)) == set(ENVIRONMENT)


def test_a_wrong_option_is_told_by_the_command_that_was_typed() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "stages.sheet", "--shet", "a"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "python -m stages.sheet: error: the following arguments are required: --manifest" in ended.stderr
