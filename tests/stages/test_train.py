from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

from counterweight.networks.backbones import Backbone
from tests.conftest import TINY, TRAIN, run_stage
from tests.workspace import PROJECT, run, write_params


def test_history_has_a_row_an_epoch(trained: Path) -> None:
    history = pd.read_csv(trained / "results/balanced/history.csv")
    assert history.columns.tolist() == [
        *("epoch", "train_loss", "validation_loss"),
        *("train_accuracy", "train_precision", "train_recall", "train_f1"),
        *("validation_accuracy", "validation_precision", "validation_recall", "validation_f1"),
        *("validation_auc", "validation_average_precision"),
    ]
    assert history["epoch"].tolist() == [1, 2]


def test_the_model_is_written_without_pickle(trained: Path) -> None:
    folder = trained / "results/balanced/model"
    assert sorted(path.name for path in folder.iterdir()) == ["decisions.json", "model.json", "model.safetensors"]
    assert load_file(folder / "model.safetensors")["head.weight"].shape == (10, 64)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_same_weights_for_any_number_of_workers(workers: str, trained: Path, tmp_path: Path) -> None:
    options = [*TRAIN[:-4], "--model", str(tmp_path / "model"), "--history", str(tmp_path / "history.csv")]
    command = ["python", "-m", "stages.train", *options]
    # With a cache of its own, so that it is trained and not taken from an earlier run.
    environment = {"COUNTERWEIGHT_WORKERS": workers, "COUNTERWEIGHT_CACHE": str(tmp_path / "cache")}
    run(trained, *command, PYTHONPATH=str(PROJECT), **environment)
    again, before = tmp_path / "model/model.safetensors", trained / "results/balanced/model/model.safetensors"
    assert again.read_bytes() == before.read_bytes()


@pytest.mark.slow
def test_a_frozen_body_keeps_its_weights(balanced: Path, tmp_path: Path) -> None:
    write_params(tmp_path / "params.yaml", TINY | {"train.freeze": True, "train.epochs": 1})
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, epochs in ((first, 1), (second, 4)):
        write_params(tmp_path / "params.yaml", TINY | {"train.freeze": True, "train.epochs": epochs})
        options = ["--model", str(folder), "--history", str(tmp_path / "history.csv")]
        run_stage(balanced, "train", *TRAIN[:-4], *options, "--params", str(tmp_path / "params.yaml"))
    one, four = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    assert all((one[key] == four[key]).all() for key in one if key.startswith("body."))
    assert (one["head.weight"] != four["head.weight"]).any()


@pytest.mark.slow
def test_layers_behind_the_weights_begin_random_and_are_trained_with_them(balanced: Path, tmp_path: Path) -> None:
    torch.manual_seed(9)
    save_file(Backbone("resnet18", "layer1", (32, 32)).trunk.state_dict(), tmp_path / "to_layer1.safetensors")
    weights = {"train.weights": str(tmp_path / "to_layer1.safetensors"), "train.pretrained_until": "layer1"}
    changes = TINY | weights | {"train.layer": "layer2", "train.epochs": 1, "train.backbone_lr_scale": 1e-9}
    found = []
    for folder, rate in ((tmp_path / "slow", 1e-9), (tmp_path / "fast", 1e-2)):
        write_params(tmp_path / "params.yaml", changes | {"train.learning_rate": rate})
        options = ["--model", str(folder), "--history", str(tmp_path / "history.csv")]
        run_stage(balanced, "train", *TRAIN[:-4], *options, "--params", str(tmp_path / "params.yaml"))
        found.append(load_file(folder / "model.safetensors"))
    weights = [key for key in found[0] if key.endswith("weight")]
    moved = {key for key in weights if abs(found[0][key] - found[1][key]).max() > 1e-4}
    assert moved == {key for key in weights if key.startswith(("body.trunk.layer2.", "head."))}


def train_again(folder: Path, tmp_path: Path, **environment: str) -> tuple[bytes, bytes, str]:
    """Weights, history and log of a training with the same arguments."""
    options = [*TRAIN[:-4], "--model", str(tmp_path / "model"), "--history", str(tmp_path / "history.csv")]
    done = run(folder, "python", "-m", "stages.train", *options, PYTHONPATH=str(PROJECT), **environment)
    return (tmp_path / "model/model.safetensors").read_bytes(), (tmp_path / "history.csv").read_bytes(), done.stderr


def test_finished_training_comes_from_the_cache_to_the_byte(trained: Path, tmp_path: Path) -> None:
    weights, history, log = train_again(trained, tmp_path)
    assert "(kept from an earlier run), in " in log
    assert weights == (trained / "results/balanced/model/model.safetensors").read_bytes()
    assert history == (trained / "results/balanced/history.csv").read_bytes()


@pytest.mark.slow
def test_other_threads_are_another_training(trained: Path, tmp_path: Path) -> None:
    write_params(tmp_path / "params.yaml", TINY | {"train.threads": 1})
    options = ["--model", str(tmp_path / "model"), "--history", str(tmp_path / "history.csv")]
    done = run_stage(trained, "train", *TRAIN[:-4], *options, "--params", str(tmp_path / "params.yaml"))
    assert "kept from an earlier run" not in done.stderr
