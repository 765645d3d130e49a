import os
import subprocess
import sys

import pytest
import torch

from counterweight.networks.backbones import Backbone
from counterweight.networks.determinism import batch_runner, rounds_alike
from counterweight.runtime.portable_kernels import use_portable_kernels

SIZE = (64, 64)
CONVOLUTIONAL = [
    ("resnet18", "layer3"), ("resnet50", "layer4"), ("densenet121", "features.denseblock2"), ("vgg11", "features"),
    ("mobilenet_v2", "features.10"), ("googlenet", "inception4a"), ("resnext50_32x4d", "layer2"),
]  # fmt: skip

# Prints the checksum of each network's rows. What each process itself chooses is not in the environment of the other.
PROGRAM = """
import hashlib, sys
import torch
from counterweight.networks.backbones import Backbone
from counterweight.networks.determinism import batch_runner

for name in sys.argv[1:]:
    model, layer = name.split(":")
    torch.manual_seed(3)
    network = Backbone(model, layer, (64, 64)).eval().to(memory_format=torch.channels_last)
    images = torch.randint(256, (5, 64, 64, 3), dtype=torch.uint8)
    with batch_runner(network, torch.device("cpu"), 5) as run:
        print(name, hashlib.sha256(run(images).numpy().tobytes()).hexdigest())
"""


def checksums(environment: dict[str, str]) -> dict[str, str]:
    names = [f"{model}:{layer}" for model, layer in CONVOLUTIONAL]
    command = [sys.executable, "-c", PROGRAM, *names]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return dict(line.split() for line in result.stdout.splitlines())


def test_convolutional_networks_give_the_same_rows_by_any_kernels() -> None:
    own = dict(os.environ)
    portable = dict(own)
    use_portable_kernels(portable)
    assert checksums(own) == checksums(portable)


@pytest.mark.parametrize(("model", "layer"), CONVOLUTIONAL)
def test_convolutional_networks_round_alike(model: str, layer: str) -> None:
    assert rounds_alike(Backbone(model, layer, SIZE))


@pytest.mark.parametrize(
    ("model", "layer", "pooling"),
    [
        ("convnext_tiny", "features.1", "average"),  # norms of channels
        ("vit_b_32", None, "average"),  # attention
        ("efficientnet_b0", "features.2", "average"),  # sigmoids
        ("vgg11", None, "average"),  # linear layers
        ("resnet18", "layer1", "bilinear"),  # matrix products
    ],
)
def test_other_networks_do_not(model: str, layer: str | None, pooling: str) -> None:
    size = (224, 224) if model == "vit_b_32" else SIZE
    assert not rounds_alike(Backbone(model, layer, size, pooling=pooling))


def test_an_engine_and_a_network_for_gray_images_do_not() -> None:
    assert not rounds_alike(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.Module()))
    assert not rounds_alike(torch.nn.Conv2d(1, 8, 3))


@pytest.mark.parametrize(
    "layer",
    [
        torch.nn.Conv2d(3, 8, 1),
        torch.nn.Conv2d(8, 8, 1, stride=2, groups=4, bias=False),
        torch.nn.Conv2d(1500, 8, 3, padding=1),
        torch.nn.Conv2d(1500, 8, 1, stride=2, bias=False),
        torch.nn.Conv2d(1500, 1500, 3, groups=1500),
        torch.nn.Conv2d(600, 8, 3, padding="same"),
        torch.nn.Conv2d(600, 8, 3, padding=1, padding_mode="reflect"),
    ],
)
def test_convolutions_compute_what_pytorch_computes(layer: torch.nn.Conv2d) -> None:
    images = torch.randn(4, layer.in_channels, 5, 5)
    with torch.inference_mode():
        expected = layer(images)
        with batch_runner(layer, torch.device("cpu"), 4) as run:
            assert torch.allclose(run(images), expected, rtol=1e-4, atol=1e-4)
        assert torch.equal(layer(images), expected)
