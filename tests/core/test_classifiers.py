import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stages.core.backbones import Backbone
from stages.core.classifiers import CNN7_CHANNELS, Classifier, Design, cnn7_body, load, save

CNN7 = Design("cnn7", "", ["cat", "dog"], "whole", 32)
RESNET = Design("resnet18", "layer2", ["cat", "dog", "zebra"], "centre", 64)


def built(design: Design, seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    return Classifier(design)


def squares(size: int, count: int = 2) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8))


def test_cnn7_has_the_articles_blocks_and_a_head_of_512() -> None:
    channels = (3, 16, 32, 64, 128, 256, 512, 1024)
    pairs = list(pairwise(channels))
    convolutions = sum(inputs * outputs * 3 * 3 + outputs for inputs, outputs in pairs)
    batch_norms = sum(2 * outputs for _, outputs in pairs)
    head = (1024 * 512 + 512) + (512 * 5 + 5)
    network = Classifier(Design("cnn7", "", ["a", "b", "c", "d", "e"], "centre", 224))
    assert channels[1:] == CNN7_CHANNELS
    assert sum(parameter.numel() for parameter in network.parameters()) == convolutions + batch_norms + head
    assert convolutions + batch_norms + head == 6_823_813


def test_each_cnn7_block_adds_a_rim_of_four_and_halves() -> None:
    # 32 + 4 = 36, halved 18; then 11, 7, 5, 4, 4, 4.
    body = cnn7_body()
    maps, sizes = body[0](squares(32)), []
    with torch.inference_mode():
        for block in range(7):
            maps = body[1 + 4 * block : 5 + 4 * block](maps)
            sizes.append(maps.shape[2:])
    assert sizes == [(18, 18), (11, 11), (7, 7), (5, 5), (4, 4), (4, 4), (4, 4)]


@pytest.mark.parametrize("size", [8, 32, 224])
def test_squares_of_any_size_pass_cnn7(size: int) -> None:
    with torch.inference_mode():
        assert built(CNN7).eval()(squares(size)).shape == (2, 2)


@pytest.mark.parametrize("size", [8, 32, 224])
def test_squares_of_any_size_pass_a_resnet(size: int) -> None:
    with torch.inference_mode():
        assert built(RESNET).eval()(squares(size)).shape == (2, 3)


def test_head_on_layer2_of_resnet18_takes_128_features_and_gives_a_logit_a_label() -> None:
    network = built(RESNET)
    assert isinstance(network.body, Backbone)
    assert (network.head.in_features, network.head.out_features) == (128, 3)


@pytest.mark.parametrize("design", [CNN7, RESNET], ids=["cnn7", "resnet18"])
def test_first_weights_are_those_of_torchs_seed(design: Design) -> None:
    first, again, other = (built(design, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("design", [CNN7, RESNET], ids=["cnn7", "resnet18"])
def test_classifier_read_again_gives_the_same_logits(design: Design, tmp_path: Path) -> None:
    network = built(design)
    # Batch norm's running means are part of what is kept.
    network.train()(squares(64, count=8))
    save(network, tmp_path / "model")
    again = load(tmp_path / "model")
    with torch.inference_mode():
        assert torch.equal(again.eval()(squares(64)), network.eval()(squares(64)))
    assert again.design == design


def test_classifier_saved_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    save(built(CNN7), tmp_path / "one")
    save(load(tmp_path / "one"), tmp_path / "two")
    for name in ("model.json", "model.safetensors"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_memory_format_of_the_weights_does_not_reach_the_file(tmp_path: Path) -> None:
    save(built(CNN7), tmp_path / "one")
    save(built(CNN7).to(memory_format=torch.channels_last), tmp_path / "two")
    files = [tmp_path / name / "model.safetensors" for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_design_is_written_as_json(tmp_path: Path) -> None:
    save(built(RESNET), tmp_path / "model")
    assert json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8")) == {
        "model": "resnet18",
        "layer": "layer2",
        "labels": ["cat", "dog", "zebra"],
        "view": "centre",
        "size": 64,
    }


def test_model_folder_holds_two_files_and_nothing_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old.pth").touch()
    save(built(CNN7), tmp_path / "model")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["model", "model.json", "model.safetensors"]


def test_reading_a_classifier_draws_no_random_numbers(tmp_path: Path) -> None:
    save(built(CNN7), tmp_path / "model")
    before = torch.get_rng_state()
    load(tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), before)
