"""Every recipe is valid, complete and documented; `tests.recipes.tiny` has small versions that run."""

import re
import shutil
from pathlib import Path

import pytest

from counterweight.base.params import load_params
from counterweight.onboarding.params_file import apply_overlay
from recipes.catalog import recipe_names, recipe_values
from tests.recipes.tiny import tiny
from tests.workspace import PROJECT

GUIDE = (PROJECT / "docs" / "recipes.md").read_text(encoding="utf-8")
# Params of the user's data; a recipe sets them only if its data have a special layout.
DATA_PARAMS = {"data.columns.image", "data.columns.split", "data.test"}
# A recipe for images in an array is valid only with one.
INPUT = {"lungs": {"data.images": "images.npy"}}


@pytest.fixture
def params(tmp_path: Path) -> Path:
    return Path(shutil.copy(PROJECT / "params.yaml", tmp_path))


def test_there_is_a_recipe_for_each_write_up_and_for_photographs_of_one_or_several_labels() -> None:
    assert recipe_names() == [
        "attributes", "exam", "lungs", "pets", "pets_finetune", "pets_scratch", "scenes", "single_label", "streets",
    ]  # fmt: skip


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_has_valid_params(name: str, params: Path) -> None:
    values = recipe_values(name) | INPUT.get(name, {})
    apply_overlay(params, values)
    loaded = load_params(params).model_dump()
    for dotted, value in values.items():
        loaded_value = loaded
        for part in dotted.split("."):
            loaded_value = loaded_value[part]
        assert loaded_value == value, dotted


@pytest.mark.parametrize("name", recipe_names())
def test_all_recipes_set_the_same_params(name: str) -> None:
    assert set(recipe_values(name)) - DATA_PARAMS == set(recipe_values("exam"))


@pytest.mark.parametrize("name", recipe_names())
def test_a_tiny_recipe_has_valid_params(name: str, params: Path) -> None:
    apply_overlay(params, tiny(name))
    assert load_params(params).train.epochs == 2


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_has_a_comment_and_is_in_the_guide(name: str) -> None:
    assert (PROJECT / "recipes" / f"{name}.yaml").read_text(encoding="utf-8").startswith("# ")
    assert f"python -m recipes {name}" in GUIDE


def test_the_guide_names_only_existing_recipes() -> None:
    assert set(re.findall(r"python -m recipes ([a-z_]+)", GUIDE)) == set(recipe_names())
