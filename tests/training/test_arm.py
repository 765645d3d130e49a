from dataclasses import replace
from pathlib import Path

import pytest
import torch

from counterweight.metrics import decisions
from counterweight.metrics.decisions import DecisionRule
from counterweight.networks.classifier import Classifier, load
from counterweight.networks.distributed import ProcessGroup
from counterweight.runtime.cache import Cache
from counterweight.runtime.fingerprint import ROOT, import_closure
from counterweight.training.arm import (
    FILES,
    ArmConfig,
    arm_key,
    keep_files,
    kept_files,
    model_files,
    summary,
    write_model,
)  # fmt: skip
from counterweight.training.optimizer import OptimizerConfig
from counterweight.training.trainer import FitConfig
from tests.designs import design

CONFIG = ArmConfig("bce", "loss", "none", [], False, False, "f1", 0)
FITTING = FitConfig(OptimizerConfig("adam", 0.01, 0.0, "none", 8), 4, 32, workers=2)
GROUP = ProcessGroup(torch.device("cpu"))
RULE = DecisionRule("multilabel", ["cat", "dog"], None, 0.5, {"cat": 0.25, "dog": 0.75})
HISTORY = [
    {"epoch": 1, "validation_loss": 0.5, "validation_f1": 0.25},
    {"epoch": 2, "validation_loss": 0.25, "validation_f1": 0.5},
    {"epoch": 3, "validation_loss": 0.375, "validation_f1": 0.625},
]


@pytest.fixture
def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier(design("cnn1", None, ["cat", "dog"], 8))


@pytest.fixture
def files(classifier: Classifier) -> dict[str, bytes]:
    return model_files(classifier, RULE, HISTORY)


def key(classifier: Classifier, config: ArmConfig = CONFIG, fitting: FitConfig = FITTING) -> str:
    return arm_key(classifier, b"table", config, fitting, GROUP, 2)


def test_files_of_an_arm_are_read_as_the_classifier(
    classifier: Classifier, files: dict[str, bytes], tmp_path: Path
) -> None:
    write_model(files, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decisions.json", "model.json", "model.safetensors"]
    again = load(tmp_path)
    assert again.config == classifier.config
    assert decisions.read(tmp_path) == RULE
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in classifier.state_dict().items())


def test_finished_training_is_kept_by_its_key(files: dict[str, bytes], tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 10**9)
    keep_files(cache, "0" * 64, files)
    assert kept_files(cache, "0" * 64) == files
    assert kept_files(cache, "1" * 64) is None


@pytest.mark.parametrize("number", range(len(FILES)))
def test_training_with_a_damaged_file_is_done_again(number: int, files: dict[str, bytes], tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 10**9)
    keep_files(cache, "0" * 64, files)
    entries = sorted((tmp_path / "cache").glob("*/*"))
    entries[number].write_bytes(b"damaged")
    assert kept_files(cache, "0" * 64) is None


def test_key_depends_on_whatever_changes_the_weights(classifier: Classifier) -> None:
    keys = {
        key(classifier),
        key(classifier, replace(CONFIG, loss="focal")),
        key(classifier, replace(CONFIG, threshold_metric="platt")),
        key(classifier, replace(CONFIG, transforms=[{"RandomHorizontalFlip": {"p": 0.5}}])),
        key(classifier, fitting=replace(FITTING, patience=5)),
        key(classifier, fitting=replace(FITTING, optimizer=replace(FITTING.optimizer, learning_rate=0.1))),
        arm_key(classifier, b"other table", CONFIG, FITTING, GROUP, 2),
        arm_key(classifier, b"table", CONFIG, FITTING, GROUP, 1),
        arm_key(classifier, b"table", CONFIG, FITTING, ProcessGroup(torch.device("cpu"), 0, 2), 2),
    }
    with torch.no_grad():
        next(classifier.parameters()).add_(1)
    keys.add(key(classifier))
    assert len(keys) == 10


def test_key_does_not_depend_on_workers(classifier: Classifier) -> None:
    assert key(classifier) == key(classifier, fitting=replace(FITTING, workers=0))


def test_code_of_other_rooms_is_not_part_of_a_training() -> None:
    closure = import_closure(ROOT / "counterweight/training/arm.py")
    rooms = {file.relative_to(ROOT / "counterweight").parts[0] for file in closure}
    assert rooms == {"base", "runtime", "images", "metrics", "networks", "training"}
    decisive = {
        "callbacks",
        "epoch_metrics",
        "per_label",
        "losses",
        "sampler",
        "transforms",
        "pretrained_body",
        "datasets",
    }
    assert decisive <= {file.stem for file in closure}


def test_summary_is_of_the_best_epoch(files: dict[str, bytes]) -> None:
    assert summary(files, "loss") == "3 epochs, best 2 with validation loss 0.2500 and F1 0.500"
    assert summary(files, "f1") == "3 epochs, best 3 with validation loss 0.3750 and F1 0.625"
