"""Params for data that were looked at: the article's values for photographs, and nothing larger for small images."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from counterweight.base.errors import InputError
from counterweight.images.sources import Images
from counterweight.onboarding.column_inference import Understood

# Images whose sizes are looked up; the median of so many is the median of all but for chance.
_SAMPLE = 100
# From this many pixels along the shorter side on, an image is a photograph to be made smaller.
_PHOTOGRAPH = 200
_ARTICLE = 400
# The article's; and there must be more train images than components.
_COMPONENTS, _IMAGES_A_COMPONENT = 50, 4

Size = tuple[int, int]


@dataclass(frozen=True)
class Sizes:
    """Widths and heights of images, each side on its own.

    Attributes
    ----------
    least, median, most : (int, int)
        In pixels.
    """

    least: Size
    median: Size
    most: Size

    def __str__(self) -> str:
        """All three, for a person."""
        least, median, most = (f"{width} x {height}" for width, height in (self.least, self.median, self.most))
        return least if least == most else f"{least} to {most}, median {median}"


def sizes_of(source: Images, names: Sequence[str]) -> Sizes:
    """Sizes of some images at even distances in their order.

    Parameters
    ----------
    source : FolderImages or ArrayImages
        Where they are; each is decoded.
    names : sequence of str
        All of them.

    Raises
    ------
    InputError
        If none of those that are looked at can be read.
    """
    chosen = np.unique(np.linspace(0, len(names) - 1, min(len(names), _SAMPLE)).astype(int))
    shapes = []
    for i in chosen:
        # ingest reads every one, and says which it cannot read.
        with suppress(InputError):
            shapes.append(source.read(names[i]).shape[1::-1])
    if not shapes:
        raise InputError(f"{source.place}: no image in it that can be read. Give --images your folder of images.")
    sides = [[int(side) for side in of(shapes, axis=0)] for of in (np.min, np.median, np.max)]
    return Sizes(*((width, height) for width, height in sides))


def deepest_layer(weights: str) -> str:
    """The last of a ResNet's four layers that a .safetensors file has; the fourth of any other weights."""
    if not weights.endswith(".safetensors") or not Path(weights).is_file():
        return "layer4"
    with safe_open(weights, framework="np") as file:
        layers = [str(name).split(".")[0] for name in list(file.keys())]
    return max((layer for layer in layers if layer.startswith("layer")), default="layer4")


def proposed(found: Understood, sizes: Sizes, *, images: str, sheet: str, weights: str, count: int) -> dict[str, Any]:
    """New values by dotted names.

    Parameters
    ----------
    found : Understood
        What the sheet was taken for.
    sizes : Sizes
        Of the images.
    images, sheet : str
        Where they are.
    weights : str
        Of the features' network, as in `counterweight.networks.backbones.load_weights`.
    count : int
        Images.
    """
    photographs = min(sizes.median) >= _PHOTOGRAPH
    width, height = (_ARTICLE, _ARTICLE) if photographs else (max(side, 8) for side in sizes.median)
    return {
        "data.images": images,
        "data.sheet": sheet,
        "data.task": found.task,
        "data.columns.image": found.image,
        "data.columns.split": found.split,
        "data.columns.labels": found.labels,
        "data.separator": found.separator,
        "data.labels": None,
        "resize.width": width,
        "resize.height": height,
        "resize.format": "jpg" if photographs else "png",
        "features.weights": weights,
        "features.layer": deepest_layer(weights),
        "features.view": "centre" if photographs else "whole",
        "cluster.components": max(min(_COMPONENTS, count // _IMAGES_A_COMPONENT), 1),
        "train.loss": "weighted_bce" if found.task == "multilabel" else "weighted_cross_entropy",
    }
