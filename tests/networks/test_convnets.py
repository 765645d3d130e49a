from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from counterweight.networks.convnets import (
    BUILDERS,
    InputSpec,
    Normalize,
    cnn0,
    cnn1,
    cnn2_dropout,
    cnn3,
    cnn7,
    convnet6,
    vgg19_convs,
)

GRAY64 = InputSpec(outputs=3, channels=1, width=64, height=64)
WIDE = InputSpec(outputs=5, channels=3, width=48, height=32)
Builder = Callable[[InputSpec], tuple[nn.Module, nn.Module]]


def images_of_size(width: int, height: int, count: int = 2) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8))


def parameters(build: Builder, spec: InputSpec) -> int:
    return sum(parameter.numel() for part in build(spec) for parameter in part.parameters())


def logits(build: Builder, spec: InputSpec, images: Tensor) -> Tensor:
    body, head = build(spec)
    with torch.inference_mode():
        outputs: Tensor = head.eval()(body.eval()(images))
    return outputs


@pytest.mark.parametrize(
    ("build", "count"),
    [
        # 64 - 2 - 2 = 60, halved 30.
        (cnn2_dropout, (1 * 9 * 32 + 32) + (32 * 9 * 64 + 64) + (64 * 30 * 30 * 64 + 64) + (64 * 3 + 3)),
        # 64 - 2 = 62, halved 31.
        (cnn1, (1 * 9 * 32 + 32) + (32 * 31 * 31 * 64 + 64) + (64 * 3 + 3)),
        (cnn0, (1 * 9 * 32 + 32) + (32 * 31 * 31 * 3 + 3)),
        # 64 halved three times is 8.
        (
            cnn3,
            (1 * 9 * 16 + 16) + (16 * 9 * 32 + 32) + (32 * 9 * 64 + 64) + (64 * 8 * 8 * 512 + 512) + (512 * 3 + 3),
        ),
        # Convolutions without bias, two parameters per channel in batch norm, and the 1 x 1 convolution.
        (
            convnet6,
            9 * (1 * 32 + 32 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 128 * 128)
            + 2 * (32 + 32 + 64 + 64 + 128 + 128)
            + (128 * 3 + 3),
        ),
    ],
    ids=["cnn2_dropout", "cnn1", "cnn0", "cnn3", "convnet6"],
)
def test_number_of_parameters_is_as_computed_by_hand(build: Builder, count: int) -> None:
    assert parameters(build, GRAY64) == count


@pytest.mark.parametrize(
    ("build", "count"), [(cnn2_dropout, 3_705_475), (cnn1, 1_968_707), (cnn0, 92_579)], ids=["cnn2_dropout", "1", "0"]
)
def test_number_of_parameters_for_three_classes_of_gray_64_by_64_images_is_as_published(
    build: Builder, count: int
) -> None:
    assert parameters(build, GRAY64) == count


def test_cnn7_has_the_articles_blocks_and_a_head_of_512() -> None:
    pairs = list(pairwise((3, 16, 32, 64, 128, 256, 512, 1024)))
    convolutions = sum(inputs * outputs * 3 * 3 + outputs for inputs, outputs in pairs)
    batch_norms = sum(2 * outputs for _, outputs in pairs)
    head = (1024 * 512 + 512) + (512 * 5 + 5)
    assert (
        parameters(cnn7, InputSpec(outputs=5, channels=3, width=224, height=224)) == convolutions + batch_norms + head
    )
    assert convolutions + batch_norms + head == 6_823_813


def test_each_cnn7_block_adds_four_and_halves() -> None:
    # 32 + 4 = 36, halved 18; then 11, 7, 5, 4, 4, 4.
    body, _ = cnn7(InputSpec(outputs=2, channels=3, width=32, height=32))
    assert isinstance(body, nn.Sequential)
    maps, sizes = body[0](images_of_size(32, 32)), []
    with torch.inference_mode():
        for block in range(7):
            maps = body[1 + 4 * block : 5 + 4 * block](maps)
            sizes.append(tuple(maps.shape[2:]))
    assert sizes == [(18, 18), (11, 11), (7, 7), (5, 5), (4, 4), (4, 4), (4, 4)]


@pytest.mark.parametrize(
    ("activation", "pooling", "kinds"),
    [
        ("relu", "average", [nn.Conv2d, nn.ReLU, nn.BatchNorm2d, nn.AvgPool2d]),
        ("leaky_relu", "max", [nn.Conv2d, nn.LeakyReLU, nn.BatchNorm2d, nn.MaxPool2d]),
    ],
)
def test_cnn7_uses_activation_and_pooling_of_the_spec(
    activation: str, pooling: str, kinds: list[type[nn.Module]]
) -> None:
    spec = replace(WIDE, activation=activation, pooling=pooling)
    body, head = cnn7(spec)
    assert [type(module) for module in list(body.children())[1:-1]] == kinds * 7
    assert [type(module) for module in head.children()] == [nn.Linear, kinds[1], nn.Linear]
    assert logits(cnn7, spec, images_of_size(48, 32)).shape == (2, 5)


@pytest.mark.parametrize("size", [8, 33, 224])
def test_cnn7_takes_images_of_any_size(size: int) -> None:
    spec = InputSpec(outputs=5, channels=3, width=size, height=size)
    assert logits(cnn7, spec, images_of_size(size, size)).shape == (2, 5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [name for name in BUILDERS if name != "vgg19_convs"])
def test_network_gives_one_logit_per_output(name: str, channels: int) -> None:
    spec = replace(WIDE, channels=channels)
    assert logits(BUILDERS[name], spec, images_of_size(48, 32)).shape == (2, 5)


@pytest.mark.parametrize("name", [name for name in BUILDERS if name != "vgg19_convs"])
def test_network_takes_the_smallest_images_that_params_allow(name: str) -> None:
    spec = InputSpec(outputs=2, channels=3, width=8, height=8)
    assert logits(BUILDERS[name], spec, images_of_size(8, 8)).shape == (2, 2)


@pytest.mark.parametrize("name", [name for name in BUILDERS if name != "vgg19_convs"])
def test_network_is_built_in_training_mode(name: str) -> None:
    assert [module.training for part in BUILDERS[name](WIDE) for module in part.modules()].count(False) == 0


@pytest.mark.parametrize(("build", "rates"), [(cnn2_dropout, [0.25, 0.5]), (cnn1, [0.5]), (cnn0, [0.5])])
def test_dropout_is_0_25_after_the_convolutions_and_0_5_before_the_last_layer(
    build: Builder, rates: list[float]
) -> None:
    body, head = build(WIDE)
    dropout = [module.p for module in [*body.modules(), *head.modules()] if isinstance(module, nn.Dropout)]
    assert dropout == rates


def test_vgg19_convs_are_two_convolutions_on_feature_maps_of_vgg19() -> None:
    torch.manual_seed(0)
    body, head = vgg19_convs(InputSpec(outputs=3, channels=3, width=64, height=64))
    with torch.inference_mode():
        maps = body.eval()(images_of_size(64, 64))
        assert maps.shape == (2, 512, 2, 2)
        assert head.eval()(maps).shape == (2, 3)
    convolutions = (512 * 9 * 256 + 256) + (256 * 9 * 128 + 128)
    assert sum(parameter.numel() for parameter in head.parameters()) == convolutions + (128 * 3 + 3)


def test_gray_is_normalized_by_mean_color_statistics() -> None:
    # Mean of the means 0.449, of the deviations 0.226: (0 - 0.449) / 0.226 and (1 - 0.449) / 0.226.
    squares = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 1, 1, 3)
    black, white = Normalize(1)(squares).flatten().tolist()
    assert (black, white) == pytest.approx((-0.449 / 0.226, 0.551 / 0.226), abs=1e-5)


def test_gray_is_the_luma_of_a_color() -> None:
    colors = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=torch.uint8).reshape(3, 1, 1, 3)
    expected = [(luma - 0.449) / 0.226 for luma in (0.299, 0.587, 0.114)]
    assert Normalize(1)(colors).flatten().tolist() == pytest.approx(expected, abs=1e-5)
    assert Normalize(1)(images_of_size(48, 32)).shape == (2, 1, 32, 48)


def test_color_is_normalized_by_channel() -> None:
    white = torch.full((1, 1, 1, 3), 255, dtype=torch.uint8)
    assert Normalize(3)(white).flatten().tolist() == pytest.approx([2.2489, 2.4286, 2.6400], abs=1e-4)
