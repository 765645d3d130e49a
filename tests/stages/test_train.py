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
    run(trained, *command, COUNTERWEIGHT_WORKERS=workers, PYTHONPATH=str(PROJECT))
    again, before = tmp_path / "model/model.safetensors", trained / "results/balanced/model/model.safetensors"
    assert again.read_bytes() == before.read_bytes()


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


def test_layers_behind_the_weights_begin_random_and_are_trained_with_them(balanced: Path, tmp_path: Path) -> None:
    torch.manual_seed(9)
    save_file(Backbone("resnet18", "layer1", (32, 32)).cut.state_dict(), tmp_path / "to_layer1.safetensors")
    weights = {"train.weights": str(tmp_path / "to_layer1.safetensors"), "train.weights_to": "layer1"}
    changes = TINY | weights | {"train.layer": "layer2", "train.epochs": 1, "train.body_rate": 1e-9}
    found = []
    for folder, rate in ((tmp_path / "slow", 1e-9), (tmp_path / "fast", 1e-2)):
        write_params(tmp_path / "params.yaml", changes | {"train.learning_rate": rate})
        options = ["--model", str(folder), "--history", str(tmp_path / "history.csv")]
        run_stage(balanced, "train", *TRAIN[:-4], *options, "--params", str(tmp_path / "params.yaml"))
        found.append(load_file(folder / "model.safetensors"))
    weights = [key for key in found[0] if key.endswith("weight")]
    moved = {key for key in weights if abs(found[0][key] - found[1][key]).max() > 1e-4}
    assert moved == {key for key in weights if key.startswith(("body.cut.layer2.", "head."))}
