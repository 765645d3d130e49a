from pathlib import Path

import pytest

from counterweight.base.errors import InputError
from counterweight.base.params import load_params
from counterweight.onboarding.params_file import apply_overlay
from recipes.approaches import Approach, fitting, read_approaches, settings_of
from recipes.catalog import recipe_values
from tests.workspace import PROJECT, write_params

NOTHING = Approach("nothing", "nothing", {"train.monitor": "f1"})
OWN = PROJECT / "recipes/approaches.yaml"


def test_the_threshold_of_the_table_is_added_if_params_lack_it(tmp_path: Path) -> None:
    write_params(tmp_path / "params.yaml", {"evaluate.thresholds": [0.2]})
    own = {"train.arms": ["nothing", "copies"], "train.monitor": "f1"}
    assert settings_of(NOTHING, load_params(tmp_path / "params.yaml")) == own | {"evaluate.thresholds": [0.2, 0.5]}
    changes = {"evaluate.thresholds": [0.2], "data.task": "multiclass", "train.loss": "cross_entropy"}
    write_params(tmp_path / "params.yaml", changes)
    assert settings_of(NOTHING, load_params(tmp_path / "params.yaml")) == own


def test_an_approach_has_its_arm_beside_the_two_that_are_always_there(tmp_path: Path) -> None:
    write_params(tmp_path / "params.yaml", {})
    weights = Approach("class weights", "weights", {})
    assert settings_of(weights, load_params(tmp_path / "params.yaml"))["train.arms"] == ["nothing", "weights", "copies"]


def names_for(tmp_path: Path, **changes: object) -> list[str]:
    write_params(tmp_path / "params.yaml", {name.replace("__", "."): value for name, value in changes.items()})
    return [each.name for each in fitting(read_approaches(OWN), load_params(tmp_path / "params.yaml"))]


def test_several_labels_per_image_are_not_compared_by_classes(tmp_path: Path) -> None:
    assert names_for(tmp_path, train__freeze=True) == [
        "nothing", "one tuned threshold", "tuned thresholds per label", "class weights", "weighted sampler", "clusters",
        "clusters, gentle", "clusters, plain copies", "labels", "labels, gentle", "labels, plain copies",
        "clusters and labels",
    ]  # fmt: skip


def test_one_of_several_classes_has_its_rows_in_the_same_file(tmp_path: Path) -> None:
    assert names_for(tmp_path, data__task="multiclass", train__loss="cross_entropy", train__freeze=True) == [
        "nothing", "tuned thresholds per label", "class weights", "weighted sampler", "clusters", "clusters, gentle",
        "clusters, plain copies", "classes", "classes, gentle", "classes, plain copies",
    ]  # fmt: skip


def test_random_transforms_need_a_network_that_is_trained_as_a_whole(tmp_path: Path) -> None:
    assert "on the fly" in names_for(tmp_path, train__freeze=False, train__optimizer="adam")


def test_approaches_that_share_a_run_share_its_experiment() -> None:
    experiments = {each.name: each.experiment for each in read_approaches(OWN)}
    assert experiments["one tuned threshold"] == experiments["nothing"] == "approach-nothing"
    assert experiments["labels, plain copies"] == "approach-labels-plain-copies"


@pytest.mark.parametrize("recipe", ["exam", "streets", "lungs", "pets"])
def test_each_approach_has_valid_params_on_top_of_a_recipe(recipe: str, tmp_path: Path) -> None:
    folder = {"data.images": "images.npy", "data.sheet": "labels.csv"}
    write_params(tmp_path / "params.yaml", {})
    apply_overlay(tmp_path / "params.yaml", recipe_values(recipe) | folder)
    params = load_params(tmp_path / "params.yaml")
    for approach in fitting(read_approaches(OWN), params):
        apply_overlay(tmp_path / "params.yaml", recipe_values(recipe) | folder | settings_of(approach, params))


def test_all_problems_of_a_list_are_reported_together(tmp_path: Path) -> None:
    file = tmp_path / "approaches.yaml"
    file.write_text("- {name: a, arm: notting, set: {}}\n- {arm: copies}\n- {name: c, arm: copies, st: {}}\n")
    with pytest.raises(InputError, match=r"4 problems\n.*entry 1: arm .*\n.*entry 2: .*\n.*'st'.*\n.*entry 3: set"):
        read_approaches(file)
    file.write_text("- {name: a, arm: nothing, set: {}}\n- {name: A, arm: nothing, set: {}}\n- {name: t, of: b}\n")
    with pytest.raises(InputError, match=r"2 problems\n.*approach-a would be .*\n.*'t' is of 'b'"):
        read_approaches(file)


def test_an_unknown_task_and_needs_that_are_no_mapping_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "approaches.yaml"
    file.write_text(
        "- {name: a, arm: nothing, set: {}, tasks: [labels]}\n- {name: b, arm: copies, set: {}, needs: 1}\n"
    )
    with pytest.raises(InputError, match=r"2 problems\n.*entry 1: tasks is .*\n.*entry 2: needs is not a mapping"):
        read_approaches(file)
