from pathlib import Path

import pytest

from counterweight.base.errors import InputError
from counterweight.base.params import load_params
from counterweight.onboarding.params_file import apply_overlay
from recipes.approaches import Approach, read_approaches, settings_of
from recipes.catalog import recipe_values
from tests.workspace import PROJECT, write_params

NAIVE = Approach("naive", "original", {"train.loss": "bce"})


def test_the_threshold_of_the_table_is_added_if_params_lack_it(tmp_path: Path) -> None:
    write_params(tmp_path / "params.yaml", {"evaluate.thresholds": [0.2]})
    params = load_params(tmp_path / "params.yaml")
    assert settings_of(NAIVE, params) == {"train.loss": "bce", "evaluate.thresholds": [0.2, 0.5]}
    write_params(tmp_path / "params.yaml", {"evaluate.thresholds": [0.2], "data.task": "multiclass"})
    assert settings_of(NAIVE, load_params(tmp_path / "params.yaml")) == {"train.loss": "bce"}


def test_the_default_approaches_are_in_order() -> None:
    assert [
        (each.name, each.arm, each.experiment) for each in read_approaches(PROJECT / "recipes/approaches.yaml")
    ] == [
        ("naive", "original", "approach-naive"),
        ("F1-tuned threshold", "original", "approach-naive"),
        ("class weights", "original", "approach-class-weights"),
        ("on the fly", "original", "approach-on-the-fly"),
        ("clusters", "balanced", "approach-clusters"),
        ("labels", "balanced", "approach-labels"),
        ("clusters and labels", "balanced", "approach-clusters-and-labels"),
        ("clusters, gentle", "balanced", "approach-clusters-gentle"),
        ("clusters, plain copies", "balanced", "approach-clusters-plain-copies"),
    ]


def test_all_problems_of_a_list_are_reported_together(tmp_path: Path) -> None:
    file = tmp_path / "approaches.yaml"
    file.write_text("- {name: a, arm: orignal, set: {}}\n- {arm: balanced}\n- {name: c, arm: balanced, st: {}}\n")
    with pytest.raises(InputError, match=r"4 problems\n.*entry 1: arm .*\n.*entry 2: .*\n.*'st'.*\n.*entry 3: set"):
        read_approaches(file)
    file.write_text("- {name: a, arm: original, set: {}}\n- {name: A, arm: original, set: {}}\n- {name: t, of: b}\n")
    with pytest.raises(InputError, match=r"2 problems\n.*approach-a would be .*\n.*'t' is of 'b'"):
        read_approaches(file)


def test_the_approaches_of_streets_match_its_thresholds() -> None:
    approaches = read_approaches(PROJECT / "recipes/approaches_streets.yaml")
    assert [(each.name, each.decision) for each in approaches] == [
        ("naive", None),
        ("naive at 0.25", "0.25"),
        ("naive at 0.75", "0.75"),
        ("class weights", None),
        ("on the fly", None),
        ("copies", None),
    ]
    assert recipe_values("streets")["evaluate.thresholds"] == [0.25, 0.5, 0.75]


@pytest.mark.parametrize("number", range(6))
def test_the_approaches_of_streets_have_valid_params(number: int, tmp_path: Path) -> None:
    write_params(tmp_path / "params.yaml", {})
    approach = read_approaches(PROJECT / "recipes/approaches_streets.yaml")[number]
    folder = {"data.images": "images", "data.sheet": "images"}
    apply_overlay(tmp_path / "params.yaml", recipe_values("streets") | folder | approach.set)
    assert load_params(tmp_path / "params.yaml").data.task == "binary"
