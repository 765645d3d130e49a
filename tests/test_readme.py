"""What the README says is so."""

import re
import shlex

import pytest
from dvc.cli import parse_args

from docs.readme import graph, params_table
from stages.core import augmenters
from stages.core.params import Params
from tests.workspace import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    command
    for block in BLOCKS
    for line in block.splitlines()
    for command in (part.strip() for part in line.split("#")[0].split("&&"))
    if command
]


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("dvc ")])
def test_dvc_takes_the_command(command: str) -> None:
    assert parse_args(shlex.split(command)[1:]).func


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_make_has_the_target(command: str) -> None:
    target = command.split()[1]
    assert re.search(rf"^{re.escape(target)}:", (PROJECT / "Makefile").read_text(), re.MULTILINE)


def test_the_params_table_is_that_of_the_models() -> None:
    assert params_table() in README


def test_the_graph_is_that_of_dvc_yaml() -> None:
    assert graph() in README


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(rf"`((?:{'|'.join(Params.model_fields)})\.(?!txt`|html`)[a-z_.]+)`", README)))
)
def test_a_param_that_is_named_exists(name: str) -> None:
    model = Params
    for part in name.split("."):
        assert part in model.model_fields, name
        model = model.model_fields[part].annotation


@pytest.mark.parametrize("name", sorted(set(re.findall(r"COUNTERWEIGHT_[A-Z_]+", README))))
def test_an_environment_variable_that_is_named_is_read(name: str) -> None:
    assert any(
        f'"{name}"' in (PROJECT / "stages/core" / file).read_text()
        for file in ("command.py", "cache.py", "scheduler.py", "processes.py")
    )


def test_every_augmenter_is_named() -> None:
    assert {name for name in augmenters.ARGUMENTS if f"`{name}`" in README} == set(augmenters.ARGUMENTS)
