import os
import platform
import subprocess
import sys

import pytest
import torch

from counterweight.networks.determinism import batch_runner
from counterweight.runtime.portable_kernels import use_portable_kernels

NETWORKS = [
    "resnet18:layer4:224", "resnet50:layer4:64", "vgg11:features:128", "densenet121:features.denseblock2:64",
    "mobilenet_v2:features.10:64", "googlenet:inception4a:64", "resnext50_32x4d:layer2:64",
]  # fmt: skip

# Prints the checksum of each network's rows, with statistics of batch norm as pretrained weights have them.
PROGRAM = """
import hashlib, sys
import torch
from counterweight.networks.backbones import Backbone
from counterweight.networks.determinism import batch_runner
from counterweight.networks.openvino import fuse_conv_bn

for name in sys.argv[1:]:
    model, layer, side = name.split(":")
    torch.manual_seed(3)
    network = Backbone(model, layer, (int(side), int(side))).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    network = fuse_conv_bn(network).to(memory_format=torch.channels_last)
    images = torch.randint(256, (8, int(side), int(side), 3), dtype=torch.uint8)
    with batch_runner(network, torch.device("cpu"), 8) as run:
        print(name, hashlib.sha256(run(images).numpy().tobytes()).hexdigest())
"""


def checksums(environment: dict[str, str]) -> dict[str, str]:
    command = [sys.executable, "-c", PROGRAM, *NETWORKS]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return dict(line.split() for line in result.stdout.splitlines())


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have no AVX2")
def test_convolutional_networks_give_the_same_rows_by_any_kernels() -> None:
    own = dict(os.environ)
    portable = dict(own)
    use_portable_kernels(portable)
    assert checksums(own) == checksums(portable)


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
