from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from counterweight.networks.convnets import (
    BUILDERS,
    Form,
    Normalise,
    cnn0,
    cnn1,
    cnn2_dropout,
    cnn3,
    cnn7,
    convnet6,
    vgg19_convs,
)

GREY64 = Form(outputs=3, channels=1, width=64, height=64)
WIDE = Form(outputs=5, channels=3, width=48, height=32)
Builder = Callable[[Form], tuple[nn.Module, nn.Module]]


def pictures(width: int, height: int, count: int = 2) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8))


def parameters(build: Builder, form: Form) -> int:
    return sum(parameter.numel() for part in build(form) for parameter in part.parameters())


def logits(build: Builder, form: Form, images: Tensor) -> Tensor:
    body, head = build(form)
    with torch.inference_mode():
        found: Tensor = head.eval()(body.eval()(images))
    return found


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
        # Convolutions without bias, two numbers a channel of batch norm, and the 1 x 1 convolution.
        (
            convnet6,
            9 * (1 * 32 + 32 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 128 * 128)
            + 2 * (32 + 32 + 64 + 64 + 128 + 128)
            + (128 * 3 + 3),
        ),
    ],
    ids=["cnn2_dropout", "cnn1", "cnn0", "cnn3", "convnet6"],
)
def test_parameters_are_those_computed_by_hand(build: Builder, count: int) -> None:
    assert parameters(build, GREY64) == count


@pytest.mark.parametrize(
    ("build", "count"), [(cnn2_dropout, 3_705_475), (cnn1, 1_968_707), (cnn0, 92_579)], ids=["cnn2_dropout", "1", "0"]
)
def test_parameters_of_three_classes_of_grey_64_by_64_images_are_the_published_ones(build: Builder, count: int) -> None:
    assert parameters(build, GREY64) == count


def test_cnn7_has_the_articles_blocks_and_a_head_of_512() -> None:
    pairs = list(pairwise((3, 16, 32, 64, 128, 256, 512, 1024)))
    convolutions = sum(inputs * outputs * 3 * 3 + outputs for inputs, outputs in pairs)
    batch_norms = sum(2 * outputs for _, outputs in pairs)
    head = (1024 * 512 + 512) + (512 * 5 + 5)
    assert parameters(cnn7, Form(outputs=5, channels=3, width=224, height=224)) == convolutions + batch_norms + head
    assert convolutions + batch_norms + head == 6_823_813


def test_each_cnn7_block_adds_a_rim_of_four_and_halves() -> None:
    # 32 + 4 = 36, halved 18; then 11, 7, 5, 4, 4, 4.
    body, _ = cnn7(Form(outputs=2, channels=3, width=32, height=32))
    assert isinstance(body, nn.Sequential)
    maps, sizes = body[0](pictures(32, 32)), []
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
def test_cnn7_takes_activation_and_pooling(activation: str, pooling: str, kinds: list[type[nn.Module]]) -> None:
    form = replace(WIDE, activation=activation, pooling=pooling)
    body, head = cnn7(form)
    assert [type(module) for module in list(body.children())[1:-1]] == kinds * 7
    assert [type(module) for module in head.children()] == [nn.Linear, kinds[1], nn.Linear]
    assert logits(cnn7, form, pictures(48, 32)).shape == (2, 5)


@pytest.mark.parametrize("size", [8, 33, 224])
def test_images_of_any_size_pass_cnn7(size: int) -> None:
    form = Form(outputs=5, channels=3, width=size, height=size)
    assert logits(cnn7, form, pictures(size, size)).shape == (2, 5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [name for name in BUILDERS if name != "vgg19_convs"])
def test_an_image_gives_a_logit_an_output(name: str, channels: int) -> None:
    form = replace(WIDE, channels=channels)
    assert logits(BUILDERS[name], form, pictures(48, 32)).shape == (2, 5)


@pytest.mark.parametrize("name", [name for name in BUILDERS if name != "vgg19_convs"])
def test_the_smallest_images_that_params_allow_pass(name: str) -> None:
    form = Form(outputs=2, channels=3, width=8, height=8)
    assert logits(BUILDERS[name], form, pictures(8, 8)).shape == (2, 2)


@pytest.mark.parametrize("name", [name for name in BUILDERS if name != "vgg19_convs"])
def test_a_network_is_built_in_training_mode(name: str) -> None:
    assert [module.training for part in BUILDERS[name](WIDE) for module in part.modules()].count(False) == 0


@pytest.mark.parametrize(("build", "rates"), [(cnn2_dropout, [0.25, 0.5]), (cnn1, [0.5]), (cnn0, [0.5])])
def test_dropout_is_a_quarter_after_the_convolutions_and_a_half_before_the_last_layer(
    build: Builder, rates: list[float]
) -> None:
    body, head = build(WIDE)
    found = [module.p for module in [*body.modules(), *head.modules()] if isinstance(module, nn.Dropout)]
    assert found == rates


def test_vgg19_convs_are_two_convolutions_on_the_maps_of_vgg19() -> None:
    torch.manual_seed(0)
    body, head = vgg19_convs(Form(outputs=3, channels=3, width=64, height=64))
    with torch.inference_mode():
        maps = body.eval()(pictures(64, 64))
        assert maps.shape == (2, 512, 2, 2)
        assert head.eval()(maps).shape == (2, 3)
    convolutions = (512 * 9 * 256 + 256) + (256 * 9 * 128 + 128)
    assert sum(parameter.numel() for parameter in head.parameters()) == convolutions + (128 * 3 + 3)


def test_white_and_black_are_the_same_in_grey_as_the_mean_colour() -> None:
    # Mean of the means 0.449, of the deviations 0.226: (0 - 0.449) / 0.226 and (1 - 0.449) / 0.226.
    squares = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 1, 1, 3)
    black, white = Normalise(1)(squares).flatten().tolist()
    assert (black, white) == pytest.approx((-0.449 / 0.226, 0.551 / 0.226), abs=1e-5)


def test_grey_is_the_luma_of_a_colour() -> None:
    colours = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=torch.uint8).reshape(3, 1, 1, 3)
    expected = [(luma - 0.449) / 0.226 for luma in (0.299, 0.587, 0.114)]
    assert Normalise(1)(colours).flatten().tolist() == pytest.approx(expected, abs=1e-5)
    assert Normalise(1)(pictures(48, 32)).shape == (2, 1, 32, 48)


def test_colour_is_normalised_by_channel() -> None:
    white = torch.full((1, 1, 1, 3), 255, dtype=torch.uint8)
    assert Normalise(3)(white).flatten().tolist() == pytest.approx([2.2489, 2.4286, 2.6400], abs=1e-4)
