"""The networks that are trained from scratch: each a body, which turns images into features, and a head.

All take uint8 RGB images (n, height, width, 3), and normalise them themselves. What their authors leave open (the order
of batch norm and activation, the widths of `cnn3` and `convnet6`) is said at each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from counterweight.networks.backbones import IMAGENET_MEAN, IMAGENET_STD, Backbone, normalised

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in every JPEG

Parts = tuple[nn.Module, nn.Module]


@dataclass(frozen=True)
class Form:
    """What a network is built for.

    Attributes
    ----------
    outputs : int
        Labels or classes.
    channels : int
        3, or 1 for grey.
    width, height : int
        Pixels of the images.
    activation, pooling : str
        ``relu`` or ``leaky_relu``, ``average`` or ``max``; of `cnn7` only.
    """

    outputs: int
    channels: int
    width: int
    height: int
    activation: str = "relu"
    pooling: str = "average"


class Normalise(nn.Module):
    """Pixels to the numbers that networks expect; see `counterweight.networks.backbones.normalised`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        """Uint8 (n, height, width, 3) to float (n, channels, height, width), grey by the means of the colours."""
        if self.channels == 3:
            return normalised(images)
        grey = (images.float() @ torch.tensor(LUMA, device=images.device))[:, None] / 255
        return (grey - sum(IMAGENET_MEAN) / 3) / (sum(IMAGENET_STD) / 3)


class GlobalAverage(nn.Module):
    """Mean over height and width."""

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, channels)."""
        return maps.mean(dim=(2, 3))


def cnn7(form: Form) -> Parts:
    """Seven convolution blocks: kernel 3, padding 3, activation, batch norm, pooling by 2; then 512 dense.

    With that padding a map grows by 4 before it is halved, so that even a small image passes all seven blocks.
    """
    channels = (form.channels, 16, 32, 64, 128, 256, 512, 1024)
    activation = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU}[form.activation]
    pooling = {"average": nn.AvgPool2d, "max": nn.MaxPool2d}[form.pooling]
    blocks: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        blocks += [nn.Conv2d(inputs, outputs, 3, padding=3), activation(), nn.BatchNorm2d(outputs), pooling(2)]
    head = nn.Sequential(nn.Linear(channels[-1], 512), activation(), nn.Linear(512, form.outputs))
    return nn.Sequential(Normalise(form.channels), *blocks, GlobalAverage()), head


def cnn3(form: Form) -> Parts:
    """Three convolutions with max pooling, 512 dense. The widths, 16, 32 and 64, are those of TensorFlow's tutorial."""
    channels = (form.channels, 16, 32, 64)
    blocks: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        blocks += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    body = nn.Sequential(Normalise(form.channels), *blocks, nn.Flatten())
    return body, nn.Sequential(nn.Linear(_length(body, form), 512), nn.ReLU(), nn.Linear(512, form.outputs))


def cnn2_dropout(form: Form) -> Parts:
    """Convolutions of 32 and 64 without padding, max pooling, dropout, 64 dense, dropout."""
    body = nn.Sequential(
        Normalise(form.channels),
        nn.Conv2d(form.channels, 32, 3), nn.ReLU(),
        nn.Conv2d(32, 64, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(),
    )  # fmt: skip
    return body, nn.Sequential(
        nn.Linear(_length(body, form), 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, form.outputs)
    )


def cnn1(form: Form) -> Parts:
    """`cnn2_dropout` without its second convolution and its first dropout."""
    body = nn.Sequential(
        Normalise(form.channels), nn.Conv2d(form.channels, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    )
    return body, nn.Sequential(
        nn.Linear(_length(body, form), 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, form.outputs)
    )


def cnn0(form: Form) -> Parts:
    """`cnn1` without its dense layer."""
    body, _ = cnn1(form)
    return body, nn.Sequential(nn.Dropout(0.5), nn.Linear(_length(body, form), form.outputs))


def convnet6(form: Form) -> Parts:
    """Six convolutions with batch norm in three pooled pairs of 32, 64 and 128, and a 1 x 1 convolution for a head."""
    channels = (form.channels, 32, 64, 128)
    blocks: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        for before in (inputs, outputs):
            blocks += [nn.Conv2d(before, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        blocks.append(nn.MaxPool2d(2))
    body = nn.Sequential(Normalise(form.channels), *blocks)
    return body, nn.Sequential(nn.Conv2d(channels[-1], form.outputs, 1), GlobalAverage())


def vgg19_convs(form: Form) -> Parts:
    """Torchvision's VGG19 up to its last pooling, and two convolutions of 256 and 128 on top."""
    body = Backbone("vgg19", "features", (form.width, form.height), pooling=None)
    head = nn.Sequential(
        nn.Conv2d(512, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 128, 3, padding=1), nn.ReLU(),
        GlobalAverage(), nn.Linear(128, form.outputs),
    )  # fmt: skip
    return body, head


BUILDERS: Mapping[str, Callable[[Form], Parts]] = {
    build.__name__: build for build in (cnn7, cnn3, cnn2_dropout, cnn1, cnn0, convnet6, vgg19_convs)
}


def _length(body: nn.Module, form: Form) -> int:
    """Length of the row that a body makes of an image."""
    training = body.training
    body.eval()
    with torch.no_grad():
        length = body(torch.zeros(1, form.height, form.width, 3, dtype=torch.uint8)).shape[1]
    body.train(training)
    return int(length)
