"""Forecast of the stages after ingest: numbers of images and copies, and disk space.

    python -m counterweight.onboarding.forecast --manifest data/manifest.csv

ingest starts this as a command of its own, so that no output of that stage depends on the code of later stages. It
waits for a line on its input; if ingest fails, there is none.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from counterweight.augmentation.allocation import AllocationConfig, target_size
from counterweight.augmentation.strategies import TrainImages, build_plan
from counterweight.base import manifest
from counterweight.base.command import parse_options
from counterweight.base.limits import BYTES_PER_PIXEL, free_bytes, human_bytes
from counterweight.base.params import Params, load_params

# Features per image by the ResNet block that holds the layer; bottleneck blocks have four times as many.
_WIDTHS = {"layer1": 64, "layer2": 128, "layer3": 256}
# Of other networks, few have more features.
_WIDEST = 4096


def forecast(table: pd.DataFrame, params: Params, *, free: int) -> list[str]:
    """Return the forecast as lines for the log.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest of ingest.
    params : Params
        All sections of params.yaml.
    free : int
        Free bytes on the disk.
    """
    train, resize, features = manifest.rows_of_split(table, "train"), params.resize, params.features
    copies, is_exact = copies_to_make(train, params.augment.model_dump(), params.cluster.n_clusters)
    # Missing labels that will be imputed are not counted yet.
    uncertain = params.data.missing == "self_train" and copies
    qualifier = "at most " if not is_exact else "about " if uncertain else ""
    image_bytes = resize.width * resize.height * BYTES_PER_PIXEL[resize.format]
    row_bytes = 4 * row_width(features.model, features.layer)
    return [
        f"next: {len(table):,} images to resize, {qualifier}{copies:,} copies to make",
        f"disk: at most {human_bytes(image_bytes * len(table))} of resized images, at most "
        f"{human_bytes(image_bytes * copies)} of copies, {human_bytes(row_bytes * len(train))} of features; "
        f"{human_bytes(free)} are free",
    ]


def copies_to_make(train: pd.DataFrame, augment: Mapping[str, Any], clusters: int) -> tuple[int, bool]:
    """Return the number of copies, and whether it is exact or an upper bound.

    It is exact for classes and labels, provided that every image yields usable copies. It is a bound for clusters,
    whose sizes are not known yet.

    Parameters
    ----------
    train : pandas.DataFrame
        The train rows of a manifest.
    augment : mapping of str to value
        The section ``augment`` of params.yaml.
    clusters : int
        Number of clusters.
    """
    config, strategy, targets = AllocationConfig.from_params(augment), augment["strategy"], manifest.targets(train)
    if strategy.startswith("clusters"):
        return most_copies(len(train), clusters, config), False
    if not (targets == 1).any():
        return 0, True
    images = TrainImages(train["image_id"].tolist(), [0] * len(train), targets, manifest.label_names(train))
    return len(build_plan(strategy, images, config).next_copies({}, set())), True


def most_copies(images: int, clusters: int, config: AllocationConfig) -> int:
    """Return the most copies that clusters of any sizes can need.

    The worst case is one cluster with all images but one in each of the others, which are then all filled.

    Parameters
    ----------
    images, clusters : int
        Numbers of train images and of clusters, none of them empty.
    config : AllocationConfig
        How many copies are made.

    Examples
    --------
    >>> most_copies(100, 5, AllocationConfig(1.0, fill_smallest=None, max_per_image=None, seed=0))
    380
    >>> most_copies(100, 5, AllocationConfig(1.0, fill_smallest=2, max_per_image=3, seed=0))
    120
    >>> most_copies(100, 5, AllocationConfig(500, fill_smallest=None, max_per_image=None, seed=0))
    2400
    """
    largest, cap = images - clusters + 1, config.max_per_image
    size = target_size(largest, config.target)
    filled = min(config.fill_smallest or clusters, clusters if size > largest else clusters - 1)
    needed = min(filled, clusters - 1) * max(size - 1, 0) + (size - largest if filled == clusters else 0)
    # The smallest clusters have at most their proportional share of the images.
    return needed if cap is None else min(needed, cap * (images * filled // clusters))


def row_width(model: str, layer: str | None) -> int:
    """Return the number of features per image, or an upper bound if the layer is in no block of a ResNet.

    Examples
    --------
    >>> row_width("resnet18", "layer3"), row_width("resnet50", "layer4.2"), row_width("resnet18", "conv1")
    (256, 2048, 512)
    """
    if not model.startswith("resnet"):
        return _WIDEST
    return _WIDTHS.get((layer or "").partition(".")[0], 512) * (1 if model in {"resnet18", "resnet34"} else 4)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_options(__doc__, argv, "manifest")
    if sys.stdin.read():
        lines = forecast(manifest.read(args.manifest), load_params(args.params), free=free_bytes(Path()))
        sys.stdout.write("\n".join(lines))


if __name__ == "__main__":
    main()
