"""Classifiers of torchvision and timm as feature extractors: cut at a node, with pooled outputs."""

import logging
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from counterweight.base.architectures import TIMM
from counterweight.base.errors import InputError, name_some
from counterweight.networks.pooling import BilinearPooling, pool
from counterweight.runtime.stand_ins import stand_ins

_LOG = logging.getLogger(__name__)
# Linux has this file where NVIDIA's driver runs.
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


with stand_ins():
    from torchvision.models import get_model
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names


class Backbone(nn.Module):
    """A classifier up to a node, or without its last layer.

    Parameters
    ----------
    model : str
        Name of a torchvision classifier, such as ``resnet18``, or ``timm/`` and the name of one of timm's.
    layer : str or None
        Node whose output is returned, such as ``layer3``; None keeps all but the last layer.
    size : (int, int)
        Width and height of the images, in pixels.
    pooling : str or None
        ``bilinear`` (see `BilinearPooling`) or a name that `counterweight.networks.pooling.pool` accepts; None returns
        feature maps.
    flip_tta : bool
        Whether to average, in evaluation mode, the feature maps of each image and those of its mirror image.

    Attributes
    ----------
    n_features : int
        Features per image, or channels of the feature maps.
    reinitialized : frozenset of str
        Parameters and buffers of ``trunk`` that stayed random because pretrained weights end before them.

    Raises
    ------
    InputError
        If there is no such model, or it has no such node, cannot take images of that size, or has no feature maps to
        pool there.
    """

    def __init__(
        self,
        model: str,
        layer: str | None,
        size: tuple[int, int],
        *,
        pooling: str | None = "average",
        flip_tta: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.size = model, size
        self.layer = layer
        self.pooling = pooling
        self.flip_tta = flip_tta
        self.bilinear: BilinearPooling | None = None
        self.reinitialized: frozenset[str] = frozenset()
        self.mean: tuple[float, ...] = IMAGENET_MEAN
        self.std: tuple[float, ...] = IMAGENET_STD
        if model.startswith(TIMM):
            self.trunk, self.mean, self.std = build_timm_model(model, size)
        else:
            network = build_model(model)
            self.trunk = _without_last_layer(network) if layer is None else cut_at_layer(network, model, layer)
        self.eval()
        try:
            with torch.no_grad():
                black = torch.zeros(1, size[1], size[0], 3, dtype=torch.uint8)
                if pooling == "bilinear":
                    maps = self.feature_maps(black)
                    if maps.dim() != 4:
                        raise InputError(
                            f"{model} has no feature maps at {layer or 'its end'}, and bilinear pooling needs them. "
                            "Set layer to an earlier one, or pooling to average."
                        )
                    self.bilinear = BilinearPooling(maps.shape[1])
                self.n_features = self(black).shape[1]
        except (RuntimeError, AssertionError, ValueError) as error:
            raise InputError(
                f"{model} cannot take images of {size[0]} x {size[1]} pixels: {error}. Set the size to one that the "
                "model was made for; 224 fits most."
            ) from None
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 RGB images (n, height, width, 3) to float features (n, n_features), or to maps without pooling."""
        return self.pool(self.feature_maps(images))

    def pool(self, maps: Tensor) -> Tensor:
        """Map the result of `feature_maps` to features, or to itself without pooling."""
        if self.pooling is None:
            return maps
        if self.bilinear is not None:
            features: Tensor = self.bilinear(maps)
            return features
        return pool(maps, self.pooling) if maps.dim() == 4 else maps.flatten(1)

    def feature_maps(self, images: Tensor) -> Tensor:
        """Return the output before pooling, for most layers float (n, channels, height, width)."""
        pixels = normalize(images, self.mean, self.std)
        maps = self._run_trunk(pixels)
        if not self.flip_tta or self.training:
            return maps
        mirrored = self._run_trunk(pixels.flip(3))
        return (maps + (mirrored.flip(3) if mirrored.dim() == 4 else mirrored)) / 2

    def _run_trunk(self, pixels: Tensor) -> Tensor:
        output = self.trunk(pixels)
        maps: Tensor = output["features"] if isinstance(output, dict) else output
        return maps


def build_model(name: str) -> nn.Module:
    """Build a torchvision classifier with random weights and without auxiliary outputs."""
    # Weights of these two expect pixels from -1 to 1; transform_input converts from those that all others expect.
    inception = name in {"googlenet", "inception_v3"}
    options = {"aux_logits": False, "init_weights": True, "transform_input": True} if inception else {}
    network: nn.Module = get_model(name, weights=None, **options)
    return network


def build_timm_model(
    model: str, size: tuple[int, int], **options: Any
) -> tuple[nn.Module, tuple[float, ...], tuple[float, ...]]:
    """Build one of timm's classifiers without its last layer, with random weights unless the options say otherwise.

    Parameters
    ----------
    model : str
        ``timm/`` and its name.
    size : (int, int)
        Width and height of the images, in pixels, to which position embeddings are resized.
    **options
        For ``timm.create_model``.

    Returns
    -------
    network : Module
    mean, std : (float, float, float)
        Of the pixels that it was trained on, of 1, per channel.

    Raises
    ------
    InputError
        If timm is not installed, or has no such model.
    """
    try:
        import timm
    except ImportError:
        raise InputError(f"params.yaml: {model} needs timm. Run make timm, or choose another model.") from None
    name = model.removeprefix(TIMM)
    if not timm.is_model(name):
        near = timm.list_models(f"{name}*") or get_close_matches(name.partition(".")[0], timm.list_models())
        close = name_some(near) or "resnet18"
        raise InputError(f"params.yaml: timm has no model '{name}'. Choose another, such as {close}.")
    known = timm.get_pretrained_cfg(name)
    if known is not None and known.fixed_input_size:
        options["img_size"] = (size[1], size[0])
    network: Any = timm.create_model(name, num_classes=0, **options)
    settings = network.pretrained_cfg
    return network, tuple(settings.get("mean", IMAGENET_MEAN)), tuple(settings.get("std", IMAGENET_STD))


def cut_at_layer(network: nn.Module, model: str, layer: str) -> nn.Module:
    """Return the part of a network up to a node, which returns a dict with the key ``features``.

    Raises
    ------
    InputError
        If the network has no such node.
    """
    nodes = get_graph_node_names(network)[1]
    if not any(node == layer or node.startswith(f"{layer}.") for node in nodes):
        blocks = list(dict.fromkeys(node.split(".")[0] for node in nodes[1:]))
        raise InputError(
            f"{model} has no layer '{layer}'. Set layer to one of {', '.join(blocks)}, or to a node inside one."
        )
    trunk: nn.Module = create_feature_extractor(network, {layer: "features"})
    return trunk


def _without_last_layer(network: nn.Module) -> nn.Module:
    """Replace the last layer, which is linear in all networks but SqueezeNet, by the identity."""
    modules = list(network.named_modules())
    linear = [name for name, module in modules if isinstance(module, nn.Linear)]
    last = (linear or [name for name, module in modules if isinstance(module, nn.Conv2d)])[-1]
    parent, _, child = last.rpartition(".")
    setattr(network.get_submodule(parent), child, nn.Identity())
    return network


def normalize(images: Tensor, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> Tensor:
    """Normalize pixels as pretrained networks expect them: (value / 255 - mean) / std, per channel.

    Maps uint8 RGB images (n, height, width, 3) to float32 (n, 3, height, width), in channels-last memory.
    """
    # Broadcasting over a whole line of pixels takes less than half the time of broadcasting over three channels.
    lines = images.flatten(2)
    means, stds = (torch.tensor(values, device=images.device).repeat(images.shape[2]) for values in (mean, std))
    return ((lines.float() / 255 - means) / stds).view(images.shape).permute(0, 3, 1, 2)


def resolve_device(name: str) -> torch.device:
    """Return the torch device of this name; ``auto`` is the first GPU if there is one, else the CPU.

    Raises
    ------
    InputError
        If this machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        if _NVIDIA_DRIVER.exists() and torch.version.cuda is None:
            _LOG.warning("a GPU is here, and PyTorch's CPU wheels cannot use it: make TORCH=cuda .venv/installed")
        return torch.device("cpu")
    try:
        torch.zeros(1, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0]
        without_cuda = name.startswith("cuda") and torch.version.cuda is None
        fix = "Run make TORCH=cuda .venv/installed, or set it to cpu" if without_cuda else "Set it to cpu"
        raise InputError(
            f"environment: COUNTERWEIGHT_DEVICE is '{name}', and torch cannot use it here: {reason} "
            f"{fix}, or unset it to use a GPU when there is one."
        ) from None
