"""Convolutional networks that are trained from scratch, each a body, which maps images to features, and a head.

All take uint8 RGB images (n, height, width, 3) and normalize them. Their docstrings state what their authors leave open
(the order of batch norm and activation, the widths of `cnn3` and `convnet6`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from counterweight.networks.backbones import IMAGENET_MEAN, IMAGENET_STD, Backbone, normalize

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in every JPEG

BodyAndHead = tuple[nn.Module, nn.Module]


@dataclass(frozen=True)
class InputSpec:
    """Inputs and outputs of a network: labels or classes, channels (1 for gray), and the size of images in pixels.

    ``activation`` (``relu`` or ``leaky_relu``) and ``pooling`` (``average`` or ``max``) are for `cnn7` alone.
    """

    outputs: int
    channels: int
    width: int
    height: int
    activation: str = "relu"
    pooling: str = "average"


class Normalize(nn.Module):
    """Normalize pixels, as in `counterweight.networks.backbones.normalize`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 (n, height, width, 3) to float (n, channels, height, width), gray by mean color statistics."""
        if self.channels == 3:
            return normalize(images)
        gray = (images.float() @ torch.tensor(LUMA, device=images.device))[:, None] / 255
        return (gray - sum(IMAGENET_MEAN) / 3) / (sum(IMAGENET_STD) / 3)


class GlobalAverage(nn.Module):
    """Mean over height and width."""

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, channels, height, width) to (n, channels)."""
        return maps.mean(dim=(2, 3))


def cnn7(spec: InputSpec) -> BodyAndHead:
    """Seven convolution blocks: kernel 3, padding 3, activation, batch norm, pooling by 2; then 512 dense.

    The padding enlarges a map by 4 before it is halved, so that even small images pass all seven blocks.
    """
    channels = (spec.channels, 16, 32, 64, 128, 256, 512, 1024)
    activation = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU}[spec.activation]
    pooling = {"average": nn.AvgPool2d, "max": nn.MaxPool2d}[spec.pooling]
    blocks: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        blocks += [nn.Conv2d(inputs, outputs, 3, padding=3), activation(), nn.BatchNorm2d(outputs), pooling(2)]
    head = nn.Sequential(nn.Linear(channels[-1], 512), activation(), nn.Linear(512, spec.outputs))
    return nn.Sequential(Normalize(spec.channels), *blocks, GlobalAverage()), head


def cnn3(spec: InputSpec) -> BodyAndHead:
    """Three convolutions with max pooling, 512 dense. The widths 16, 32 and 64 are from TensorFlow's tutorial."""
    channels = (spec.channels, 16, 32, 64)
    blocks: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        blocks += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    body = nn.Sequential(Normalize(spec.channels), *blocks, nn.Flatten())
    return body, nn.Sequential(nn.Linear(_n_features(body, spec), 512), nn.ReLU(), nn.Linear(512, spec.outputs))


def cnn2_dropout(spec: InputSpec) -> BodyAndHead:
    """Convolutions of 32 and 64 without padding, max pooling, dropout, 64 dense, dropout."""
    body = nn.Sequential(
        Normalize(spec.channels),
        nn.Conv2d(spec.channels, 32, 3), nn.ReLU(),
        nn.Conv2d(32, 64, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(),
    )  # fmt: skip
    return body, _dense64(body, spec)


def cnn1(spec: InputSpec) -> BodyAndHead:
    """`cnn2_dropout` without the second convolution and the first dropout."""
    body = nn.Sequential(
        Normalize(spec.channels), nn.Conv2d(spec.channels, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    )
    return body, _dense64(body, spec)


def cnn0(spec: InputSpec) -> BodyAndHead:
    """`cnn1` without the hidden dense layer."""
    body, _ = cnn1(spec)
    return body, nn.Sequential(nn.Dropout(0.5), nn.Linear(_n_features(body, spec), spec.outputs))


def convnet6(spec: InputSpec) -> BodyAndHead:
    """Three max-pooled pairs of convolutions with batch norm, of widths 32, 64 and 128, and a 1 x 1 convolution."""
    channels = (spec.channels, 32, 64, 128)
    blocks: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        for width in (inputs, outputs):
            blocks += [nn.Conv2d(width, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        blocks.append(nn.MaxPool2d(2))
    body = nn.Sequential(Normalize(spec.channels), *blocks)
    return body, nn.Sequential(nn.Conv2d(channels[-1], spec.outputs, 1), GlobalAverage())


def vgg19_convs(spec: InputSpec) -> BodyAndHead:
    """VGG19 of torchvision up to its last pooling, and two convolutions of 256 and 128."""
    body = Backbone("vgg19", "features", (spec.width, spec.height), pooling=None)
    head = nn.Sequential(
        nn.Conv2d(512, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 128, 3, padding=1), nn.ReLU(),
        GlobalAverage(), nn.Linear(128, spec.outputs),
    )  # fmt: skip
    return body, head


BUILDERS: Mapping[str, Callable[[InputSpec], BodyAndHead]] = {
    build.__name__: build for build in (cnn7, cnn3, cnn2_dropout, cnn1, cnn0, convnet6, vgg19_convs)
}


def _dense64(body: nn.Module, spec: InputSpec) -> nn.Module:
    hidden = nn.Linear(_n_features(body, spec), 64)
    return nn.Sequential(hidden, nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, spec.outputs))


def _n_features(body: nn.Module, spec: InputSpec) -> int:
    """Features per image that a body returns."""
    body.eval()  # Dropout would draw from torch's generator.
    with torch.no_grad():
        length = body(torch.zeros(1, spec.height, spec.width, 3, dtype=torch.uint8)).shape[1]
    body.train()
    return int(length)
