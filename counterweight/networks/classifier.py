"""The classifiers that are trained, as they are described, built, saved and loaded."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from counterweight.base.errors import InputError
from counterweight.base.outputs import write_json
from counterweight.networks.backbones import Backbone
from counterweight.networks.convnets import BUILDERS, Form


@dataclass(frozen=True)
class Design:
    """What must be known to build a classifier again, and to show it images as in its training.

    Attributes
    ----------
    model : str
        A name of `counterweight.networks.convnets.BUILDERS`, or a torchvision classifier.
    layer : str or None
        The node at which a torchvision network is cut; None leaves out its last layer alone.
    activation, pooling, channels : str, str, int
        As in `counterweight.networks.convnets.Form`; of a torchvision network, pooling and ``mirror`` as in
        `counterweight.networks.backbones.Backbone`.
    mirror : bool
        Whether it looks at mirror images, too.
    labels : list of str
        One logit each, in this order.
    task : str
        ``multilabel``, ``multiclass`` or ``binary``.
    scores : str
        How logits become scores: ``sigmoid``, each label on its own, or ``softmax`` over the classes.
    view, size : str, (int, int)
        As in `counterweight.images.geometry.view`.
    resize : mapping
        Width, height, mode and format to which every image was brought before.
    """

    model: str
    layer: str | None
    activation: str
    pooling: str
    mirror: bool
    channels: int
    labels: list[str]
    task: str
    scores: str
    view: str
    size: tuple[int, int]
    resize: Mapping[str, Any]


class Classifier(nn.Module):
    """A body, which turns images into features, and a head, which turns these into logits.

    Parameters
    ----------
    design : Design
        The network's shape. It begins with random weights, drawn from torch's generator.
    """

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        self.body: nn.Module
        self.head: nn.Module
        if design.model in BUILDERS:
            form = Form(len(design.labels), design.channels, *design.size, design.activation, design.pooling)
            self.body, self.head = BUILDERS[design.model](form)
        else:
            backbone = Backbone(design.model, design.layer, design.size, pooling=design.pooling, mirror=design.mirror)
            linear = nn.Linear(backbone.n_features, len(design.labels))
            self.body, self.head = backbone, linear
            if design.pooling in ("pyramid", "bilinear"):
                # Means, maxima and products, of one cell and of the whole picture, have other scales.
                self.head = nn.Sequential(nn.BatchNorm1d(backbone.n_features, affine=False), linear)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of RGB images: uint8 (n, height, width, 3) to float (n, n_labels)."""
        logits: Tensor = self.head(self.body(images))
        return logits


def pretrained_parameters(network: nn.Module) -> list[nn.Parameter]:
    """The parameters of a classifier's body but those that begin with random weights behind it; of others, none."""
    if not isinstance(network, Classifier):
        return []
    fresh = network.body.fresh if isinstance(network.body, Backbone) else frozenset()
    return [parameter for name, parameter in network.body.named_parameters() if name.removeprefix("cut.") not in fresh]


def save(classifier: Classifier, folder: Path) -> None:
    """Write a classifier into a folder, as ``model.safetensors`` and ``model.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.contiguous().cpu() for key, value in classifier.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    write_json(asdict(classifier.design), folder / "model.json")


def load(folder: Path) -> Classifier:
    """Read a classifier that `save` wrote.

    Raises
    ------
    InputError
        If the folder holds none.
    """
    try:
        found = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        design = Design(**found | {"size": tuple(found["size"])})
        state = load_file(folder / "model.safetensors")
        with torch.random.fork_rng(devices=[]):
            classifier = Classifier(design)
        classifier.load_state_dict(state)
    # A RuntimeError is torch's for weights that do not fit the design.
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{folder}: holds no model: {error}. Name a folder such as results/balanced/model.") from None
    return classifier
