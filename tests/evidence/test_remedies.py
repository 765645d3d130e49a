from pathlib import Path

import numpy as np
import pytest

from counterweight.augmentation.allocation import AllocationConfig
from counterweight.augmentation.strategies import TrainImages
from counterweight.base.params import load_params
from counterweight.evidence.remedies import Remedy, Training, build_remedies, copies_wanted, settings
from counterweight.onboarding.params_file import apply_overlay
from tests.workspace import write_params

NAMES = {
    "multilabel": [
        "nothing", "one tuned threshold", "tuned thresholds per label", "weights",
        "plain copies by clusters", "plain copies by labels", "plain copies by clusters_labels",
        "copies by clusters, gentle", "copies by labels, gentle", "copies by clusters_labels, gentle",
        "weights and plain copies by labels",
    ],
    "multiclass": [
        "nothing", "tuned thresholds per class", "weights", "plain copies by clusters", "plain copies by classes",
        "copies by clusters, gentle", "copies by classes, gentle", "weights and plain copies by classes",
    ],
    "binary": [
        "nothing", "one tuned threshold", "weights", "plain copies by clusters", "plain copies by classes",
        "copies by clusters, gentle", "copies by classes, gentle", "weights and plain copies by classes",
    ],
}  # fmt: skip


@pytest.mark.parametrize("task", NAMES)
def test_each_task_has_its_remedies_the_simplest_first(task: str) -> None:
    assert [remedy.name for remedy in build_remedies(task, ["gentle"])] == NAMES[task]


@pytest.mark.parametrize("task", NAMES)
def test_the_params_of_each_remedy_are_valid(task: str, tmp_path: Path) -> None:
    loss = "bce" if task == "multilabel" else "cross_entropy"
    write_params(tmp_path / "params.yaml", {"data.task": task, "train.loss": loss, "augment.strategy": "none"})
    for remedy in build_remedies(task, ["gentle"]):
        apply_overlay(tmp_path / "params.yaml", settings(remedy))
        params = load_params(tmp_path / "params.yaml")
        assert any("weights" in arm for arm in params.train.arms) == remedy.training.balanced
        assert params.augment.strategy == (remedy.training.strategy or "none")


@pytest.mark.parametrize(
    ("training", "arms"),
    [
        (Training(), ["nothing", "copies"]),
        (Training(balanced=True), ["nothing", "weights", "copies"]),
        (Training(strategy="classes"), ["nothing", "copies"]),
        (Training(balanced=True, strategy="classes"), ["nothing", "copies", "copies+weights"]),
    ],
)
def test_a_remedy_is_trained_beside_nothing_and_copies(training: Training, arms: list[str]) -> None:
    assert settings(Remedy("", training, 0.5))["train.arms"] == arms


def test_plain_copies_need_no_pipeline() -> None:
    assert settings(Remedy("", Training(strategy="classes"), "argmax")) == {
        "train.arms": ["nothing", "copies"], "augment.strategy": "classes", "augment.copy_mode": "plain",
    }  # fmt: skip


def test_wanted_copies_are_those_of_the_strategies() -> None:
    images = TrainImages(list("abcd"), [0, 0, 0, 1], np.array([[1, 0], [1, 0], [1, 1], [1, 0]]), ["sea", "sunset"])
    wanted = copies_wanted(images, "multilabel", AllocationConfig(1.0, None, None, seed=0))
    assert wanted["clusters"].tolist() == [0, 0, 0, 2]
    assert wanted["labels"].tolist() == [0, 0, 3, 0]


def test_a_pipeline_that_is_called_plain_is_not_taken_for_plain_copies() -> None:
    remedies = build_remedies("binary", ["plain"])
    assert len({remedy.name for remedy in remedies}) == len({remedy.training for remedy in remedies}) + 1
    assert settings(remedies[-2])["augment.copy_mode"] == "augmented"
