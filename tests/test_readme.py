"""The generated parts of the documents are current, and the params, variables and targets that they name exist."""

import json
import re
from pathlib import Path

import pytest

from counterweight.base import steps
from counterweight.base.params import Params
from docs.readme import contents, graph, long_pages, param_groups, params_table, rooms
from tests.docs.commands import DOCUMENTS
from tests.workspace import PROJECT

README, PARAMS, CONTRIBUTING = (
    (PROJECT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/params.md", "CONTRIBUTING.md")
)
GROUPS = param_groups()
# These make the tests themselves longer.
OF_TESTS = {"COUNTERWEIGHT_CASES", "COUNTERWEIGHT_MUTANTS", "COUNTERWEIGHT_POINTS"}
ALL = "".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^|`)make ([a-z-]+)", ALL, re.MULTILINE))))
def test_make_has_the_target(target: str) -> None:
    makefile = (PROJECT / "Makefile").read_text()
    extras = re.findall(r"^EXTRAS := (.*)", makefile, re.MULTILINE)[0]
    makefile = makefile.replace("$(EXTRAS)", extras)
    assert re.search(rf"^(?:\w+ )*{re.escape(target)}(?: \w+)*:", makefile, re.MULTILINE)


def test_every_param_is_in_one_table() -> None:
    names = [name for group in GROUPS.values() for name in group]
    rows = [line.split("`")[1] for line in params_table(names).splitlines() if line.startswith("| `")]
    assert sorted(names) == sorted(rows)


def test_the_params_table_of_the_readme_is_that_of_the_models() -> None:
    assert params_table(GROUPS["first"]) in README


@pytest.mark.parametrize("group", GROUPS)
def test_the_params_tables_are_those_of_the_models(group: str) -> None:
    assert params_table(GROUPS[group]) in PARAMS


@pytest.mark.parametrize("page", long_pages(), ids=lambda page: page.name)
def test_a_long_page_begins_with_a_list_of_its_sections(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert contents(text) in text
    assert text.splitlines()[2:4] == ["<!-- contents -->", contents(text).strip()]


@pytest.mark.parametrize("document", [README, CONTRIBUTING], ids=["README.md", "CONTRIBUTING.md"])
def test_the_map_of_the_library_is_that_of_its_rooms(document: str) -> None:
    assert rooms() in document


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
    assert {name for name in steps.AUGMENTERS if f"`{name}`" in ALL} == set(steps.AUGMENTERS)


def test_the_result_of_the_example_is_that_of_the_last_run() -> None:
    found = json.loads((PROJECT / "results/summary.json").read_text(encoding="utf-8"))["copies_against_nothing"]
    change, low, high = (found[f"difference{end}"] for end in ("", "_low", "_high"))
    assert f"macro F1 {change:+.3f} (95 % CI {low:+.3f} to {high:+.3f}), in " in README
