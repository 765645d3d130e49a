"""Build, save and load the classifiers that are trained."""

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
from counterweight.networks.convnets import BUILDERS, InputSpec
from counterweight.networks.loader import Preprocessing


@dataclass(frozen=True)
class ModelConfig:
    """Configuration of a classifier: its architecture, its labels, and how its images are preprocessed.

    Attributes
    ----------
    model : str
        A key of `counterweight.networks.convnets.BUILDERS`, or the name of a torchvision classifier.
    layer, flip_tta : str or None, bool
        As in `counterweight.networks.backbones.Backbone`; only for torchvision classifiers.
    activation, pooling, channels : str, str, int
        As in `counterweight.networks.convnets.InputSpec`; for torchvision classifiers, pooling as in `Backbone`.
    labels : list of str
        Names of the logits, in order.
    task : str
        ``multilabel``, ``multiclass`` or ``binary``.
    scores : str
        How logits become scores: ``sigmoid`` per label, or ``softmax`` over the classes.
    crop, input_size : str, (int, int)
        As in `counterweight.networks.loader.Preprocessing`.
    resize : mapping
        Width, height, mode and format of the resized images that the classifier is trained on.
    frozen : bool
        Whether the head alone is trained, on features of the body as it was loaded.
    """

    model: str
    layer: str | None
    activation: str
    pooling: str
    flip_tta: bool
    channels: int
    labels: list[str]
    task: str
    scores: str
    crop: str
    input_size: tuple[int, int]
    resize: Mapping[str, Any]
    frozen: bool

    @property
    def preprocessing(self) -> Preprocessing:
        """How a resized image becomes the network's input."""
        return Preprocessing(self.crop, self.input_size)


class Classifier(nn.Module):
    """A body, which maps images to features, and a head, which maps features to logits.

    Parameters
    ----------
    config : ModelConfig
        The configuration. Weights are random, drawn from torch's global generator.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.body: nn.Module
        self.head: nn.Module
        if config.model in BUILDERS:
            spec = InputSpec(len(config.labels), config.channels, *config.input_size, config.activation, config.pooling)
            self.body, self.head = BUILDERS[config.model](spec)
        else:
            backbone = Backbone(
                config.model, config.layer, config.input_size, pooling=config.pooling, flip_tta=config.flip_tta
            )
            self.body, self.head = backbone, nn.Linear(backbone.n_features, len(config.labels))
            if config.pooling in ("pyramid", "bilinear"):
                # Means, maxima and products, per cell and over the whole image, differ in scale.
                self.head = nn.Sequential(nn.BatchNorm1d(backbone.n_features, affine=False), self.head)

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 RGB images (n, height, width, 3) to float logits (n, n_labels)."""
        logits: Tensor = self.head(self.body(images))
        return logits


def pretrained_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a classifier's body without those that are reinitialized; [] for other networks."""
    if not isinstance(network, Classifier):
        return []
    fresh = network.body.reinitialized if isinstance(network.body, Backbone) else frozenset()
    named = network.body.named_parameters()
    return [parameter for name, parameter in named if name.removeprefix("trunk.") not in fresh]


def save(classifier: Classifier, folder: Path) -> None:
    """Write a classifier into a folder, as ``model.safetensors`` and ``model.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.contiguous().cpu() for key, value in classifier.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    write_json(asdict(classifier.config), folder / "model.json")


def load(folder: Path) -> Classifier:
    """Read a classifier that `save` wrote.

    Raises
    ------
    InputError
        If the folder does not hold one.
    """
    try:
        settings = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        config = ModelConfig(**settings | {"input_size": tuple(settings["input_size"])})
        state = load_file(folder / "model.safetensors")
        with torch.random.fork_rng(devices=[]):
            classifier = Classifier(config)
        classifier.load_state_dict(state)
    # torch raises a RuntimeError for weights that do not fit the configuration.
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"{folder}: holds no model: {error}. Name one such as results/arms/copies/models/seed-0."
        ) from None
    return classifier
