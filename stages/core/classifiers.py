"""The networks that are trained: a body that turns images into features, and a head that turns these into logits."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from stages.core.backbones import Backbone, normalised
from stages.core.outputs import folder_aside

CNN7_CHANNELS = (16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Design:
    """What must be known to build a classifier again, and to show it images as in its training.

    Attributes
    ----------
    model : str
        ``cnn7``, or a torchvision ResNet.
    layer : str
        The node at which a ResNet is cut.
    labels : list of str
        One logit each, in this order.
    view, size : str, int
        As in `stages.core.images.view`.
    """

    model: str
    layer: str
    labels: list[str]
    view: str
    size: int


class Classifier(nn.Module):
    """A body and a head.

    Parameters
    ----------
    design : Design
        The network's shape. It begins with random weights, drawn from torch's generator.
    """

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        self.body: nn.Module
        if design.model == "cnn7":
            self.body = cnn7_body()
            self.head: nn.Module = nn.Sequential(
                nn.Linear(CNN7_CHANNELS[-1], 512), nn.ReLU(), nn.Linear(512, len(design.labels))
            )
        else:
            backbone = Backbone(design.model, design.layer)
            self.body = backbone
            self.head = nn.Linear(backbone.n_features, len(design.labels))

    def forward(self, images: Tensor) -> Tensor:
        """Logits of RGB squares: uint8 (n, size, size, 3) to float (n, n_labels)."""
        logits: Tensor = self.head(self.body(images))
        return logits


class Normalise(nn.Module):
    """Pixels to the numbers that networks expect, see `stages.core.backbones.normalised`."""

    def forward(self, images: Tensor) -> Tensor:
        """Uint8 (n, height, width, 3) to float (n, 3, height, width)."""
        return normalised(images)


class GlobalAverage(nn.Module):
    """Mean over height and width."""

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, channels)."""
        return maps.mean(dim=(2, 3))


def cnn7_body(channels: Sequence[int] = CNN7_CHANNELS) -> nn.Sequential:
    """The seven convolution blocks of the article: kernel 3, padding 3, ReLU, batch norm, average pooling by 2.

    With that padding a map grows by 4 before it is halved, so that even a small image passes all seven blocks.
    """
    blocks: list[nn.Module] = []
    for inputs, outputs in zip((3, *channels), channels, strict=False):
        blocks += [nn.Conv2d(inputs, outputs, 3, padding=3), nn.ReLU(), nn.BatchNorm2d(outputs), nn.AvgPool2d(2)]
    return nn.Sequential(Normalise(), *blocks, GlobalAverage())


def save(classifier: Classifier, folder: Path) -> None:
    """Write a classifier as ``model.safetensors`` and ``model.json``."""
    with folder_aside(folder) as aside:
        state = {key: value.contiguous().cpu() for key, value in classifier.state_dict().items()}
        save_file(state, aside / "model.safetensors")
        (aside / "model.json").write_text(json.dumps(asdict(classifier.design), indent=2) + "\n", encoding="utf-8")


def load(folder: Path) -> Classifier:
    """Read a classifier that `save` wrote."""
    design = Design(**json.loads((folder / "model.json").read_text(encoding="utf-8")))
    with torch.random.fork_rng(devices=[]):
        classifier = Classifier(design)
    classifier.load_state_dict(load_file(folder / "model.safetensors"))
    return classifier
