"""What the README says is so, and of params and variables what the documents say."""

import re

import pytest

from counterweight.base import steps
from counterweight.base.params import Params
from docs.readme import graph, params_table
from tests.docs.commands import DOCUMENTS
from tests.workspace import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
# These make the tests themselves longer.
OF_TESTS = {"COUNTERWEIGHT_CASES", "COUNTERWEIGHT_MUTANTS", "COUNTERWEIGHT_POINTS"}
ALL = "".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^|`)make ([a-z-]+)", ALL, re.MULTILINE))))
def test_make_has_the_target(target: str) -> None:
    assert re.search(rf"^(?:\w+ )*{re.escape(target)}(?: \w+)*:", (PROJECT / "Makefile").read_text(), re.MULTILINE)


def test_the_params_table_is_that_of_the_models() -> None:
    assert params_table() in README


def test_the_graph_is_that_of_dvc_yaml() -> None:
    assert graph() in README


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(rf"`((?:{'|'.join(Params.model_fields)})\.(?!txt`|html`)[a-z_.]+)`", ALL)))
)
def test_a_param_that_is_named_exists(name: str) -> None:
    model = Params
    for part in name.split("."):
        assert part in model.model_fields, name
        model = model.model_fields[part].annotation


@pytest.mark.parametrize("name", sorted(set(re.findall(r"COUNTERWEIGHT_[A-Z_]+", ALL)) - OF_TESTS))
def test_an_environment_variable_that_is_named_is_read(name: str) -> None:
    assert any(f'"{name}"' in file.read_text() for file in (PROJECT / "counterweight").rglob("*.py"))


def test_every_augmenter_is_named() -> None:
    assert {name for name in steps.AUGMENTERS if f"`{name}`" in README} == set(steps.AUGMENTERS)
