"""Suggested params for a dataset: the article's values for photographs, and no enlargement of small images."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from counterweight.base.errors import InputError
from counterweight.images.sources import ImageSource
from counterweight.onboarding.column_inference import SheetSchema

# Images that are decoded for their sizes; enough for a stable median.
_SAMPLE = 100
# Images with a shorter side from this many pixels on are photographs, which are resized to the article's size.
_MIN_PHOTOGRAPH_SIDE = 200
_PHOTOGRAPH_SIZE = 400
# The article's number of components; fewer for few images, since PCA needs more train images than components.
_COMPONENTS, _IMAGES_PER_COMPONENT = 50, 4
# The article's number of clusters, and the folds of the probe; fewer for few images.
_CLUSTERS, _IMAGES_PER_CLUSTER = 5, 8
_FOLDS, _IMAGES_PER_FOLD = 5, 2

Size = tuple[int, int]


@dataclass(frozen=True)
class Sizes:
    """Minimum, median and maximum of the images' (width, height) in pixels, computed for each side separately.

    ``sampled`` is the number of images that were measured, if not all were.
    """

    least: Size
    median: Size
    most: Size
    sampled: int | None = None

    def __str__(self) -> str:
        """Format the sizes for the log."""
        least, median, most = (f"{width} x {height}" for width, height in (self.least, self.median, self.most))
        text = least if least == most else f"{least} to {most}, median {median}"
        return text if self.sampled is None else f"{text}, in a sample of {self.sampled}"


def sample_sizes(source: ImageSource, names: Sequence[str]) -> Sizes:
    """Measure the sizes of an evenly spaced sample of the images.

    Raises
    ------
    InputError
        If no image of the sample can be read.
    """
    chosen = np.unique(np.linspace(0, len(names) - 1, min(len(names), _SAMPLE)).astype(int))
    shapes = []
    for i in chosen:
        # ingest reads every image and reports the unreadable ones.
        with suppress(InputError):
            shapes.append(source.read(names[i]).shape[1::-1])
    if not shapes:
        raise InputError(f"{source.location}: it has no readable image. Give --images your folder of images.")
    summary = np.quantile(shapes, (0, 0.5, 1), axis=0).astype(int).tolist()
    least, median, most = ((width, height) for width, height in summary)
    return Sizes(least, median, most, len(shapes) if len(chosen) < len(names) else None)


def deepest_layer(weights: str) -> str:
    """Return the last of a ResNet's four layers in a .safetensors file; ``layer4`` for any other weights."""
    if not weights.endswith(".safetensors") or not Path(weights).is_file():
        return "layer4"
    with safe_open(weights, framework="np") as file:
        layers = [str(name).split(".")[0] for name in list(file.keys())]
    return max((layer for layer in layers if layer.startswith("layer")), default="layer4")


def suggest_params(
    schema: SheetSchema,
    sizes: Sizes,
    *,
    images: str,
    sheet: str,
    weights: str,
    count: int,
    worksheet: str | None = None,
) -> dict[str, Any]:
    """Suggest values for params.yaml, by dotted names such as ``data.images``.

    Parameters
    ----------
    schema, sizes
        What `infer_schema` and `sample_sizes` found in the data.
    images, sheet : str
        Paths of the images and of the sheet.
    weights : str
        Weights of the feature network, see `counterweight.networks.backbones.load_weights`.
    count : int
        Number of images.
    worksheet : str or None
        Name of the worksheet, unless it is the first.
    """
    weights = str(Path(weights).absolute()) if Path(weights).suffix else weights
    layer, multilabel = deepest_layer(weights), schema.task == "multilabel"
    photographs = min(sizes.median) >= _MIN_PHOTOGRAPH_SIDE
    width, height = (_PHOTOGRAPH_SIZE, _PHOTOGRAPH_SIZE) if photographs else (max(side, 8) for side in sizes.median)
    clusters, folds = max(count // _IMAGES_PER_CLUSTER, 2), max(count // _IMAGES_PER_FOLD, 2)
    return {
        **({"cluster.n_clusters": clusters} if clusters < _CLUSTERS else {}),
        **({"probe.folds": folds} if folds < _FOLDS else {}),
        "data.images": images,
        "data.sheet": sheet,
        "data.worksheet": worksheet,
        "data.match_names": "near" if schema.nearly else "exact",
        "data.duplicate_rows": "merge" if schema.repeats else "error",
        "data.task": schema.task,
        "data.columns.image": schema.image,
        "data.columns.split": schema.split,
        "data.columns.labels": schema.labels,
        "data.columns.group": schema.group,
        "data.separator": schema.separator,
        "data.values": schema.values,
        "data.labels": None,
        "data.missing_files": "drop" if any(not names for names in schema.files) else "error",
        "resize.width": width,
        "resize.height": height,
        "resize.format": "jpg" if photographs else "png",
        "features.model": "resnet18",
        "features.weights": weights,
        "features.layer": layer,
        "features.crop": "none",
        "features.input_size": 224,
        "cluster.n_components": max(min(_COMPONENTS, count // _IMAGES_PER_COMPONENT), 1),
        "augment.strategy": "labels" if multilabel else "classes",
        # On both sets of photographs that were measured, no pipeline's copies were better than plain ones, and networks
        # that are trained from scratch take the traces of changes for what the copied class looks like.
        "augment.copy_mode": "plain",
        "augment.pipeline": "gentle",
        # The judge is as strong as the features: the same network and view, and a head that is trained to its end.
        "train.repeats": 1,
        "train.model": "resnet18",
        "train.weights": weights,
        "train.pretrained_until": None,
        "train.layer": layer,
        "train.freeze": True,
        "train.pooling": "average",
        "train.flip_tta": False,
        "train.channels": 3,
        "train.crop": "none",
        "train.input_size": 224,
        "train.transforms": [],
        "train.loss": "bce" if multilabel else "cross_entropy",
        "train.optimizer": "lbfgs",
        "train.monitor": "average_precision",
    }
