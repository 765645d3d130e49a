import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from counterweight.base import manifest
from counterweight.images import codec
from counterweight.metrics import decisions
from counterweight.metrics.decisions import DecisionRule
from counterweight.metrics.imbalance import irlbl_weights
from counterweight.networks.classifier import Classifier, load
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.prediction import predict_scores
from counterweight.networks.weights import weights_checksum
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
    train_arm,
    write_files,
)  # fmt: skip
from counterweight.training.datasets import ArmImages, all_of, build_dataset
from counterweight.training.linear_head import fit_linear_head
from counterweight.training.losses import Objective, build_loss
from counterweight.training.optimizer import FitConfig, OptimizerConfig
from counterweight.training.sampler import build_sampler
from tests.designs import design

CONFIG = ArmConfig("bce", None, "loss", [], False, "f1", 0)
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
    return arm_key(classifier, b"table", config, fitting, GROUP, 2, portable=False)


def test_files_of_an_arm_are_read_as_the_classifier(
    classifier: Classifier, files: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "seed-0"
    write_files(files, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    again = load(folder)
    assert again.config == classifier.config
    assert decisions.read(folder) == RULE
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
        key(classifier, replace(CONFIG, weighting="loss")),
        key(classifier, replace(CONFIG, weighting="sampler")),
        key(classifier, replace(CONFIG, seed=1)),
        key(classifier, replace(CONFIG, recalibrate=True)),
        key(classifier, replace(CONFIG, threshold_metric="platt")),
        key(classifier, replace(CONFIG, transforms=[{"RandomHorizontalFlip": {"p": 0.5}}])),
        key(classifier, fitting=replace(FITTING, patience=5)),
        key(classifier, fitting=replace(FITTING, optimizer=replace(FITTING.optimizer, learning_rate=0.1))),
        key(classifier, fitting=replace(FITTING, optimizer=replace(FITTING.optimizer, optimizer="lbfgs"))),
        arm_key(classifier, b"other table", CONFIG, FITTING, GROUP, 2, portable=False),
        arm_key(classifier, b"table", CONFIG, FITTING, GROUP, 1, portable=False),
        arm_key(classifier, b"table", CONFIG, FITTING, GROUP, 2, portable=True),
        arm_key(classifier, b"table", CONFIG, FITTING, ProcessGroup(torch.device("cpu"), 0, 2), 2, portable=False),
    }
    frozen = Classifier(replace(classifier.config, frozen=True))
    frozen.load_state_dict(classifier.state_dict())
    keys.add(key(frozen))
    with torch.no_grad():
        next(classifier.parameters()).add_(1)
    keys.add(key(classifier))
    assert len(keys) == 17


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
        "linear_head",
        "prediction",
        "training_history",
        "sampler",
        "transforms",
        "pretrained_body",
        "datasets",
    }
    assert decisive <= {file.stem for file in closure}


def test_summary_is_of_the_best_epoch(files: dict[str, bytes]) -> None:
    assert summary({0: files}, "loss") == "3 epochs, best 2 with validation loss 0.2500 and F1 0.500"
    assert summary({7: files}, "f1") == "3 epochs, best 3 with validation loss 0.3750 and F1 0.625"


def test_summary_of_several_trainings_names_their_seeds(classifier: Classifier, files: dict[str, bytes]) -> None:
    other = model_files(classifier, RULE, HISTORY[:1])
    assert summary({4: files, 5: other}, "loss") == (
        "seed 4: 3 epochs, best 2 with validation loss 0.2500 and F1 0.500; "
        "seed 5: 1 epochs, best 1 with validation loss 0.5000 and F1 0.250"
    )


LBFGS = FitConfig(OptimizerConfig("lbfgs", 0.01, 0.0, "none", 8), 4, 32, workers=0)
COPIED = [3, 7]  # Train images with a copy.


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    """Thirty images, brighter with a dog and bluer with a cat, which is rare, and copies of two; and their folder."""
    folder, rng = tmp_path_factory.mktemp("arm"), np.random.default_rng(0)
    cats, dogs = np.arange(30) % 5 == 3, np.arange(30) % 2 == 0
    names = [f"{i:02}.png" for i in range(30)]
    checksums = []
    for name, cat, dog in zip(names, cats, dogs, strict=True):
        pixels = rng.integers(0, 120, (32, 32, 3)) + 60 * dog + np.array([0, 0, 60 * cat])
        checksums.append(codec.write(pixels.astype(np.uint8), folder / "resized" / name, "png"))
    copies = [f"{i:02}__copy1.png" for i in COPIED]
    for i, name in zip(COPIED, copies, strict=True):
        pixels = codec.read(folder / "resized" / names[i])[:, ::-1]
        checksums.append(codec.write(np.ascontiguousarray(pixels), folder / "copies" / name, "png"))
    targets = np.stack([cats, dogs], axis=1).astype(int)
    table = manifest.build(
        image_ids=names + copies,
        paths=names + copies,
        splits=["train"] * 20 + ["val"] * 10 + ["train"] * 2,
        labels=["cat", "dog"],
        targets=np.concatenate([targets, targets[COPIED]]),
        checksums=checksums,
        source_ids=[""] * 30 + [names[i] for i in COPIED],
    )
    return table, folder


def images_of(folder: Path) -> ArmImages:
    return ArmImages(folder / "resized", folder / "copies", GROUP, 0, Cache(folder / "cache", 10**9))


def frozen_resnet() -> Classifier:
    torch.manual_seed(0)
    return Classifier(design("resnet18", "layer1", ["cat", "dog"], 32, frozen=True))


def trained(
    arm: tuple[pd.DataFrame, Path], fitting: FitConfig = LBFGS, **changes: Any
) -> tuple[Classifier, dict[str, bytes]]:
    classifier, (table, folder) = frozen_resnet(), arm
    config = replace(CONFIG, **changes)
    files = train_arm(classifier, table, images_of(folder), config=config, fitting=fitting, checkpoint=None)
    return classifier, files


@pytest.mark.parametrize("weighted", [False, True])
def test_lbfgs_fits_the_head_to_the_arms_train_rows(weighted: bool, arm: tuple[pd.DataFrame, Path]) -> None:
    classifier, files = trained(arm, weighting="loss" if weighted else None)
    table, folder = arm
    expected, images = frozen_resnet(), images_of(folder)
    train, val = (all_of(build_dataset(expected, table[table["split"] == split], images)) for split in ("train", "val"))
    assert len(train[0]) == 20 + 2
    targets = train[1].numpy().astype(np.int8)
    losses = [build_loss("bce", targets, weighted=each) for each in (weighted, False)]
    history = fit_linear_head(expected.head, Objective(losses[0], losses[1], "sigmoid", "loss"), train, val)
    assert weights_checksum(classifier.head) == weights_checksum(expected.head)
    assert weights_checksum(classifier.body) == weights_checksum(frozen_resnet().body)
    written = pd.read_csv(io.BytesIO(files["history.csv"])).to_dict("records")
    assert written == [pytest.approx(row) for row in history]


def test_weighted_sampler_gives_lbfgs_the_images_that_it_draws(arm: tuple[pd.DataFrame, Path]) -> None:
    classifier, _ = trained(arm, weighting="sampler", seed=3)
    table, folder = arm
    expected, images = frozen_resnet(), images_of(folder)
    train, val = (all_of(build_dataset(expected, table[table["split"] == split], images)) for split in ("train", "val"))
    targets = train[1].numpy().astype(np.int8)
    drawn = list(build_sampler(22, 3, irlbl_weights(targets)))
    plain = build_loss("bce", targets, weighted=False)
    objective = Objective(plain, plain, "sigmoid", "loss")
    fit_linear_head(expected.head, objective, [part[drawn] for part in train], val)
    assert weights_checksum(classifier.head) == weights_checksum(expected.head)


@pytest.mark.slow
def test_seed_changes_what_lbfgs_fits_only_with_a_weighted_sampler(arm: tuple[pd.DataFrame, Path]) -> None:
    heads = {
        (weighting, seed): weights_checksum(trained(arm, weighting=weighting, seed=seed)[0].head)
        for weighting in (None, "loss", "sampler")
        for seed in (0, 1)
    }
    assert heads[None, 0] == heads[None, 1]
    assert heads["loss", 0] == heads["loss", 1]
    assert len(set(heads.values())) == 4


def test_rule_of_an_arm_is_tuned_on_the_scores_that_evaluation_computes(
    arm: tuple[pd.DataFrame, Path], tmp_path: Path
) -> None:
    _, files = trained(arm)
    write_files(files, tmp_path / "seed-0")
    table, folder = arm
    own, images = table[table["split"] == "val"], images_of(folder)
    scores = predict_scores(load(tmp_path / "seed-0"), images.files(own), images.compute, None)
    targets = manifest.targets(own)
    expected = decisions.calibrate(decisions.tune(targets, scores, ["cat", "dog"], "multilabel"), targets, scores)
    assert decisions.read(tmp_path / "seed-0") == expected


def test_frozen_network_may_also_be_trained_by_epochs(arm: tuple[pd.DataFrame, Path]) -> None:
    adam = replace(FITTING, optimizer=replace(FITTING.optimizer, epochs=2))
    classifier, files = trained(arm, adam)
    assert weights_checksum(classifier.body) == weights_checksum(frozen_resnet().body)
    assert weights_checksum(classifier.head) != weights_checksum(frozen_resnet().head)
    history = pd.read_csv(io.BytesIO(files["history.csv"]))
    assert history["epoch"].tolist() == [1, 2]
    assert "penalty" not in history
