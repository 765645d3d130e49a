import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from counterweight.base.errors import InputError
from counterweight.networks.backbones import Backbone
from counterweight.networks.classifier import Classifier, ModelConfig, load, pretrained_parameters, save
from tests.designs import design

CNN7 = design("cnn7", None, ["cat", "dog"], 32)
RESNET = design("resnet18", "layer2", ["cat", "dog", "zebra"], 64, crop="center")
CNN3 = replace(design("cnn3", None, ["cat"], 32, channels=1), input_size=(48, 32))
SQUEEZENET = design("squeezenet1_0", None, ["cat", "dog", "zebra"], 64, task="multiclass", scores="softmax")


def built(config: ModelConfig, seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    return Classifier(config)


def random_images(size: int, count: int = 2) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [8, 32, 224])
def test_resnet_takes_images_of_any_size(size: int) -> None:
    with torch.inference_mode():
        assert built(RESNET).eval()(random_images(size)).shape == (2, 3)


def test_head_on_layer2_of_resnet18_maps_128_features_to_one_logit_per_label() -> None:
    network = built(RESNET)
    assert isinstance(network.body, Backbone)
    assert isinstance(network.head, nn.Linear)
    assert (network.head.in_features, network.head.out_features) == (128, 3)


@pytest.mark.parametrize("model", ["resnet18", "squeezenet1_0", "mobilenet_v3_small"])
def test_without_a_layer_a_torchvision_classifier_gets_a_new_last_layer(model: str) -> None:
    network = built(design(model, None, ["cat", "dog", "zebra"], 64))
    features = {"resnet18": 512, "squeezenet1_0": 512, "mobilenet_v3_small": 1024}[model]
    assert isinstance(network.head, nn.Linear)
    assert (network.head.in_features, network.head.out_features) == (features, 3)
    with torch.inference_mode():
        assert network.eval()(random_images(64)).shape == (2, 3)


def test_reinitialized_parameters_are_not_pretrained() -> None:
    network = built(RESNET)
    assert isinstance(network.body, Backbone)
    assert len(pretrained_parameters(network)) == len(list(network.body.parameters())) == 30
    network.body.reinitialized = frozenset(key for key in network.body.trunk.state_dict() if key.startswith("layer2."))
    before = [p for name, p in network.body.trunk.named_parameters() if not name.startswith("layer2.")]
    assert list(map(id, pretrained_parameters(network))) == list(map(id, before))


def test_head_alone_has_no_pretrained_parameters() -> None:
    assert pretrained_parameters(built(RESNET).head) == []


def test_input_size_is_width_and_height() -> None:
    images = torch.zeros(2, 32, 48, 3, dtype=torch.uint8)
    with torch.inference_mode():
        assert built(CNN3).eval()(images).shape == (2, 1)


def test_channels_activation_and_pooling_are_those_of_the_config() -> None:
    network = built(design("cnn7", None, ["cat"], 32, channels=1, activation="leaky_relu", pooling="max"))
    kinds = {type(module) for module in network.modules()}
    assert {nn.LeakyReLU, nn.MaxPool2d} < kinds
    assert not kinds & {nn.ReLU, nn.AvgPool2d}
    assert next(network.body.parameters()).shape == (16, 1, 3, 3)


@pytest.mark.parametrize("config", [CNN7, RESNET], ids=["cnn7", "resnet18"])
def test_initial_weights_depend_on_torchs_seed(config: ModelConfig) -> None:
    first, again, other = (built(config, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("config", [CNN7, RESNET, CNN3, SQUEEZENET], ids=lambda config: config.model)
def test_loaded_classifier_gives_the_same_logits(config: ModelConfig, tmp_path: Path) -> None:
    network = built(config)
    width, height = config.input_size
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, height, width, 3), dtype=np.uint8))
    network.train()(images)  # This changes the running means in batch norm.
    save(network, tmp_path / "model")
    loaded = load(tmp_path / "model")
    with torch.inference_mode():
        assert torch.equal(loaded.eval()(images), network.eval()(images))
    assert loaded.config == config


def test_classifier_saved_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    save(built(CNN7), tmp_path / "one")
    save(load(tmp_path / "one"), tmp_path / "two")
    for name in ("model.json", "model.safetensors"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_file_does_not_depend_on_the_memory_format_of_the_weights(tmp_path: Path) -> None:
    save(built(CNN7), tmp_path / "one")
    save(built(CNN7).to(memory_format=torch.channels_last), tmp_path / "two")
    files = [tmp_path / name / "model.safetensors" for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_config_is_saved_as_json(tmp_path: Path) -> None:
    save(built(RESNET), tmp_path / "model")
    assert json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8")) == {
        "model": "resnet18",
        "layer": "layer2",
        "activation": "relu",
        "pooling": "average",
        "flip_tta": False,
        "channels": 3,
        "labels": ["cat", "dog", "zebra"],
        "task": "multilabel",
        "scores": "sigmoid",
        "crop": "center",
        "input_size": [64, 64],
        "resize": {"width": 32, "height": 32, "mode": "stretch", "format": "png"},
        "frozen": False,
    }


def test_classifier_is_two_files(tmp_path: Path) -> None:
    save(built(CNN7), tmp_path / "model")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["model", "model.json", "model.safetensors"]


def test_loading_a_classifier_draws_no_random_numbers(tmp_path: Path) -> None:
    save(built(CNN7), tmp_path / "model")
    before = torch.get_rng_state()
    load(tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), before)


def test_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load(tmp_path)
    assert str(error.value).startswith(f"{tmp_path}: holds no model: ")
    assert str(error.value).endswith("Name one such as results/arms/copies/models/seed-0.")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"input_size": [3, 3]}', '{"input_size": 3}', "not json"])
def test_invalid_model_json_is_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(InputError, match="holds no model"):
        load(tmp_path)


def test_folder_without_weights_is_an_error(tmp_path: Path) -> None:
    save(built(CNN7), tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(InputError, match="holds no model"):
        load(tmp_path / "model")


def test_truncated_weights_are_an_error(tmp_path: Path) -> None:
    save(built(CNN7), tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="holds no model"):
        load(tmp_path / "model")


@pytest.mark.parametrize(("old", "new"), [("cnn7", "cnn8"), ('"cat", "dog"', '"cat"')])
def test_config_that_does_not_fit_the_weights_is_an_error(old: str, new: str, tmp_path: Path) -> None:
    save(built(CNN7), tmp_path / "model")
    file = tmp_path / "model" / "model.json"
    text = " ".join(file.read_text().split()).replace("[ ", "[")
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(InputError, match="holds no model"):
        load(tmp_path / "model")
