import contextlib
import itertools
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

from counterweight.networks.backbones import Backbone
from stages.train import main
from tests.conftest import ARMS, SEEDS, TINY, TRAIN
from tests.workspace import PROJECT, run, write_params

MODELS = "results/arms/copies/models"
HEAD_ONLY = {"train.repeats": 1, "train.freeze": True, "train.epochs": 1}


def test_history_is_that_of_the_first_seed_and_has_a_row_an_epoch(trained: Path) -> None:
    history = pd.read_csv(trained / "results/arms/copies/history.csv")
    assert history.columns.tolist() == [
        *("epoch", "train_loss", "validation_loss"),
        *("train_accuracy", "train_precision", "train_recall", "train_f1"),
        *("validation_accuracy", "validation_precision", "validation_recall", "validation_f1"),
        *("validation_auc", "validation_average_precision"),
    ]
    assert history["epoch"].tolist() == [1, 2]
    first, second = (pd.read_csv(trained / MODELS / f"seed-{seed}/history.csv") for seed in SEEDS)
    pd.testing.assert_frame_equal(history, first)
    assert first["train_loss"].tolist() != second["train_loss"].tolist()


def test_each_seed_has_a_model_of_its_own_written_without_pickle(trained: Path) -> None:
    folders = sorted((trained / MODELS).iterdir())
    assert [folder.name for folder in folders] == ["seed-0", "seed-1"]
    for folder in folders:
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["decisions.json", "history.csv", "model.json", "model.safetensors"]
    first, second = (load_file(folder / "model.safetensors") for folder in folders)
    assert first["head.weight"].shape == (10, 64)
    assert all((first[key] != second[key]).any() for key in ("head.weight", "body.trunk.conv1.weight"))


def test_each_arm_has_weights_of_its_own(trained: Path) -> None:
    files = [
        (trained / f"results/arms/{arm}/models/seed-{seed}/model.safetensors").read_bytes()
        for arm in ARMS
        for seed in SEEDS
    ]
    assert len(set(files)) == len(ARMS) * len(SEEDS)


def outputs(folder: Path) -> list[str]:
    """The options for other outputs than those of the state."""
    return [*TRAIN[:-4], "--models", str(folder / "models"), "--history", str(folder / "history.csv")]


def train(state: Path, folder: Path, changes: dict[str, Any], arm: str = "copies") -> str:
    """Train an arm of a state, with changed params and outputs in a folder, in this process; return the summary."""
    folder.mkdir(exist_ok=True)
    write_params(folder / "params.yaml", TINY | changes)
    options = [*outputs(folder), "--table", f"augmented/arms/{arm}.csv", "--params", str(folder / "params.yaml")]
    with contextlib.chdir(state):
        return main(options)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_same_weights_for_any_number_of_workers(workers: str, trained: Path, tmp_path: Path) -> None:
    command = ["python", "-m", "stages.train", *outputs(tmp_path)]
    # With a cache of its own, so that it is trained and not taken from an earlier run.
    environment = {"COUNTERWEIGHT_WORKERS": workers, "COUNTERWEIGHT_CACHE": str(tmp_path / "cache")}
    run(trained, *command, PYTHONPATH=str(PROJECT), **environment)
    for seed in SEEDS:
        file = f"seed-{seed}/model.safetensors"
        assert (tmp_path / "models" / file).read_bytes() == (trained / MODELS / file).read_bytes()


def test_an_arm_that_only_its_weights_tell_apart_is_trained_with_them(trained: Path, tmp_path: Path) -> None:
    """Both tables have the same bytes; what the weights do is a param."""
    tables = trained / "augmented/arms"
    assert (tables / "weights.csv").read_bytes() == (tables / "nothing.csv").read_bytes()
    heads = []
    for arm, weighting in (("nothing", "loss"), ("weights", "loss"), ("weights", "sampler")):
        folder = tmp_path / f"{arm} by {weighting}"
        train(trained, folder, HEAD_ONLY | {"train.weighting": weighting}, arm)
        heads.append(load_file(folder / "models/seed-0/model.safetensors")["head.weight"])
    assert all((one != other).any() for one, other in itertools.combinations(heads, 2))


@pytest.mark.slow
def test_a_frozen_body_keeps_its_weights(balanced: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, epochs in ((first, 1), (second, 4)):
        train(balanced, folder, HEAD_ONLY | {"train.epochs": epochs})
    one, four = (load_file(folder / "models/seed-0/model.safetensors") for folder in (first, second))
    assert all((one[key] == four[key]).all() for key in one if key.startswith("body."))
    assert (one["head.weight"] != four["head.weight"]).any()


def test_lbfgs_fits_the_head_for_each_penalty_whatever_the_epochs_are(balanced: Path, tmp_path: Path) -> None:
    train(balanced, tmp_path, HEAD_ONLY | {"train.optimizer": "lbfgs"})
    penalties = pd.read_csv(tmp_path / "history.csv")["penalty"].tolist()
    assert (len(penalties), penalties[0], penalties[-1]) == (9, 1.0, 0.0001)


@pytest.mark.slow
def test_layers_behind_the_weights_begin_random_and_are_trained_with_them(balanced: Path, tmp_path: Path) -> None:
    torch.manual_seed(9)
    save_file(Backbone("resnet18", "layer1", (32, 32)).trunk.state_dict(), tmp_path / "to_layer1.safetensors")
    weights = {"train.weights": str(tmp_path / "to_layer1.safetensors"), "train.pretrained_until": "layer1"}
    changes = weights | {
        "train.layer": "layer2",
        "train.epochs": 1,
        "train.backbone_lr_scale": 1e-9,
        "train.repeats": 1,
    }
    found = []
    for folder, rate in ((tmp_path / "slow", 1e-9), (tmp_path / "fast", 1e-2)):
        train(balanced, folder, changes | {"train.learning_rate": rate})
        found.append(load_file(folder / "models/seed-0/model.safetensors"))
    weights = [key for key in found[0] if key.endswith("weight")]
    moved = {key for key in weights if abs(found[0][key] - found[1][key]).max() > 1e-4}
    assert moved == {key for key in weights if key.startswith(("body.trunk.layer2.", "head."))}


def test_finished_trainings_come_from_the_cache_to_the_byte(trained: Path, tmp_path: Path) -> None:
    assert train(trained, tmp_path, {}).endswith("(2 of 2 trainings kept from an earlier run)")
    assert (tmp_path / "history.csv").read_bytes() == (trained / "results/arms/copies/history.csv").read_bytes()
    for seed in SEEDS:
        for name in ("model.safetensors", "decisions.json", "model.json", "history.csv"):
            file = f"seed-{seed}/{name}"
            assert (tmp_path / "models" / file).read_bytes() == (trained / MODELS / file).read_bytes()


def test_one_more_seed_is_trained_beside_those_that_are_kept(trained: Path, tmp_path: Path) -> None:
    assert train(trained, tmp_path, {"train.seed": 1}).endswith("(1 of 2 trainings kept from an earlier run)")
    assert sorted(folder.name for folder in (tmp_path / "models").iterdir()) == ["seed-1", "seed-2"]
    kept = tmp_path / "models/seed-1/model.safetensors"
    assert kept.read_bytes() == (trained / MODELS / "seed-1/model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"train.threads": 1}, {"train.portable": True}])
def test_other_threads_or_kernels_are_another_training(
    trained: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    assert "kept from an earlier run" not in train(trained, tmp_path, change | {"train.repeats": 1})
