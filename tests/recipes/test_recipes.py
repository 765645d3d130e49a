"""Every recipe is valid, whole and documented; `tests.recipes.tiny` has each with its data in a size that runs."""

import re
import shutil
from pathlib import Path

import pytest

from counterweight.base.params import load_params
from counterweight.onboarding.params_file import apply_to
from recipes.catalog import recipe_names, recipe_values
from tests.recipes.tiny import tiny
from tests.workspace import PROJECT

GUIDE = (PROJECT / "docs" / "recipes.md").read_text(encoding="utf-8")
# What the user's data decide, and a recipe only where its write-up's data have a shape of their own.
OF_THE_DATA = {"data.columns.image", "data.columns.split", "data.test"}
# A recipe of images in an array is only valid with one.
INPUT = {"lungs": {"data.images": "images.npy"}}


@pytest.fixture
def params(tmp_path: Path) -> Path:
    return Path(shutil.copy(PROJECT / "params.yaml", tmp_path))


def test_the_recipes_are_those_of_the_write_ups() -> None:
    assert recipe_names() == [
        "attributes", "exam", "lungs", "pets", "pets_finetune", "pets_scratch", "scenes", "streets",
    ]  # fmt: skip


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_gives_valid_params(name: str, params: Path) -> None:
    values = recipe_values(name) | INPUT.get(name, {})
    apply_to(params, values)
    loaded = load_params(params).model_dump()
    for dotted, value in values.items():
        found = loaded
        for part in dotted.split("."):
            found = found[part]
        assert found == value, dotted


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_leaves_nothing_of_another(name: str) -> None:
    assert set(recipe_values(name)) - OF_THE_DATA == set(recipe_values("exam"))


@pytest.mark.parametrize("name", recipe_names())
def test_a_tiny_recipe_gives_valid_params(name: str, params: Path) -> None:
    apply_to(params, tiny(name))
    assert load_params(params).train.epochs == 2


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_says_what_it_follows_and_is_in_the_guide(name: str) -> None:
    assert (PROJECT / "recipes" / f"{name}.yaml").read_text(encoding="utf-8").startswith("# ")
    assert f"python -m recipes {name}" in GUIDE


def test_the_guide_names_no_recipe_that_does_not_exist() -> None:
    assert set(re.findall(r"python -m recipes ([a-z_]+)", GUIDE)) == set(recipe_names())
