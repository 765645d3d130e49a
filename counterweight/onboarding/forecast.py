"""What follows ingest: how many images and copies, how much of the disk, and about how long.

    python -m counterweight.onboarding.forecast IMAGES

A command of its own that ingest starts, so that no output of that stage depends on a clock, on a machine, or on the
code of the stages that follow.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from counterweight.augmentation.strategies import build_plan
from counterweight.base import manifest
from counterweight.base.command import worker_count
from counterweight.base.limits import BYTES_PER_PIXEL, free_bytes, size
from counterweight.base.params import Params, load_params
from counterweight.images.sources import ArrayImages, FolderImages, Images
from counterweight.onboarding.trial import Cost, time_augment, time_features, time_resize
from counterweight.runtime.progress import in_words

# With fewer images nothing is timed: all is done in about the time that it takes to time it.
TIMED_FROM = 500
# With fewer train images the network is not timed: PyTorch alone takes some seconds to load.
NETWORK_FROM = 2_000
# Images that are timed.
SAMPLE = 24

# Features of an image by the block of a ResNet that the layer is in; a bottleneck's are four times as many.
_WIDTHS = {"layer1": 64, "layer2": 128, "layer3": 256, "layer4": 512, "avgpool": 512, "flatten": 512}


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Attributes
    ----------
    images, train, copies : int
        All images, those of train, and copies to make.
    qualifier : str
        What stands before the number of copies: nothing if it is exact, or ``about ``, or ``at most ``.
    image_bytes, row_bytes : float
        Of a resized image and of a row of features, at most.
    """

    images: int
    train: int
    copies: int
    qualifier: str
    image_bytes: float
    row_bytes: float


@dataclass(frozen=True)
class Measured:
    """What a trial found.

    Attributes
    ----------
    sample : int
        Images that were timed.
    image_bytes : float
        Mean of their resized files.
    costs : mapping of str to Cost
        Seconds by stage.
    """

    sample: int
    image_bytes: float
    costs: Mapping[str, Cost]


def work_ahead(train: pd.DataFrame, images: int, params: Params) -> Work:
    """What follows ingest, by params.yaml.

    Parameters
    ----------
    train : pandas.DataFrame
        The train rows of the manifest that ingest wrote.
    images : int
        All its rows.
    params : Params
        The whole file.
    """
    copies, is_exact = copies_to_make(train, params.augment.model_dump(), params.cluster.clusters)
    # Where missing labels will be filled, their counts are not known yet.
    uncertain = params.data.missing == "self_train" and copies
    resize, features = params.resize, params.features
    return Work(
        images, len(train), copies, "at most " if not is_exact else "about " if uncertain else "",
        image_bytes=resize.width * resize.height * BYTES_PER_PIXEL[resize.format],
        row_bytes=4 * row_width(features.model, features.layer),
    )  # fmt: skip


def measure(source: Images, names: Sequence[str], work: Work, params: Params) -> Measured | None:
    """Time what follows on some images; None if none of them can be read.

    Parameters
    ----------
    source : FolderImages or ArrayImages
        The images.
    names : sequence of str
        Which of them.
    work : Work
        What is to be done; stages without work are not timed.
    params : Params
        The whole file.
    """
    with TemporaryDirectory() as folder:
        resize, samples = time_resize(source, names, Path(folder), params.resize.model_dump())
        if not samples:
            return None
        costs: dict[str, Cost | None] = {"resize": resize}
        if work.train >= NETWORK_FROM and params.features.engine == "torch":
            costs["features"] = time_features(samples, params.features.model_dump())
        if work.copies and params.augment.copies == "augmented":
            augment = params.augment.model_dump()
            costs["augment"] = time_augment(samples, Path(folder), augment, params.resize.format)
        sizes = [each.path.stat().st_size for each in samples]
    measured = {stage: cost for stage, cost in costs.items() if cost is not None}
    return Measured(len(names), sum(sizes) / len(sizes), measured)


def log_lines(work: Work, measured: Measured | None, *, workers: int, free: int) -> list[str]:
    """Lines for the log.

    Parameters
    ----------
    work : Work
        What is to be done.
    measured : Measured or None
        What a trial found; None without one.
    workers : int
        Processes that share resizing and copies.
    free : int
        Bytes that are free on the disk.
    """
    image, most = (work.image_bytes, "at most ") if measured is None else (measured.image_bytes, "")
    lines = [
        f"next: {work.images:,} images to resize, {work.qualifier}{work.copies:,} copies to make",
        f"disk: {most}{size(image * work.images)} of resized images, {most or work.qualifier}"
        f"{size(image * work.copies)} of copies, {size(work.row_bytes * work.train)} of features; "
        f"{size(free)} are free",
    ]
    if measured is not None:
        times = [
            f"{qualifier}{in_words(cost.once + count * cost.each)} of {stage}"
            for stage, count, qualifier in (
                ("resize", work.images / workers, ""),
                ("features", work.train, ""),
                ("augment", work.copies / workers, work.qualifier),
            )
            if (cost := measured.costs.get(stage)) is not None
        ]
        lines.append(f"time: {', '.join(times)}, as {measured.sample} of the images took with {workers} workers")
    return lines


def copies_to_make(train: pd.DataFrame, augment: Mapping[str, Any], clusters: int) -> tuple[int, bool]:
    """How many copies will be made, and whether that is exact or the most that it can be.

    Parameters
    ----------
    train : pandas.DataFrame
        The train rows of a manifest without clusters.
    augment : mapping of str to value
        That section of params.yaml.
    clusters : int
        Number of clusters there will be.

    Returns
    -------
    int, bool
        Of classes and labels the number is exact, if all images give good copies; of clusters, whose sizes are not
        known yet, it is a bound.
    """
    target = 1.0 if augment["target"] == "majority" else augment["target"]
    minority = None if augment["minority"] == "all" else augment["minority"]
    strategy, cap, targets = augment["strategy"], augment["copies_per_image"], manifest.targets(train)
    if strategy.startswith("clusters"):
        return most_copies(len(train), clusters, target=target, minority=minority, cap=cap), False
    if not (targets == 1).any():
        return 0, True
    plan = build_plan(
        strategy, train["image_id"].tolist(), [0] * len(train), targets, manifest.label_names(train),
        target=target, minority=minority, cap=cap, seed=augment["seed"],
    )  # fmt: skip
    return len(plan.choose({}, set())), True


def most_copies(images: int, clusters: int, *, target: float, minority: int | None, cap: int | None) -> int:
    """The most copies that clusters may need, whatever their sizes.

    They need the most if one has all images but one in each of the others, of which then each is filled.

    Parameters
    ----------
    images, clusters : int
        Train images, and clusters that each have one at least.
    target, minority, cap
        As in `counterweight.augmentation.strategies.build_plan`.

    Examples
    --------
    >>> most_copies(100, 5, target=1.0, minority=None, cap=None)
    380
    >>> most_copies(100, 5, target=1.0, minority=2, cap=3)
    120
    """
    filled = min(minority or clusters, clusters - 1)
    needed = filled * max(round((images - clusters + 1) * target) - 1, 0)
    # The smallest clusters have no more than their share of the images.
    return needed if cap is None else min(needed, cap * (images * filled // clusters))


def row_width(model: str, layer: str) -> int:
    """Features of an image, or the most that the layer may give.

    Examples
    --------
    >>> row_width("resnet18", "layer3"), row_width("resnet50", "layer4.2"), row_width("resnet18", "conv1")
    (256, 2048, 512)
    """
    return _WIDTHS.get(layer.partition(".")[0], 512) * (1 if model in {"resnet18", "resnet34"} else 4)


def spread(names: Sequence[str], count: int) -> list[str]:
    """Some of the names, evenly spread: images that were taken together lie together, and are alike in size."""
    return [names[i] for i in np.unique(np.linspace(0, len(names) - 1, count).round().astype(int))]


def main() -> None:
    """Load what takes long, wait for the question, and print the answer."""
    is_timed = int(sys.argv[1]) >= TIMED_FROM
    if is_timed:
        with suppress(Exception):
            import counterweight.augmentation.imgaug_pipeline  # noqa: F401
    question = sys.stdin.read()
    if not question:  # The stage has ended.
        return
    asked = json.loads(question)
    params, table = load_params(Path(asked["params"])), manifest.read(Path(asked["manifest"]))
    work = work_ahead(manifest.of_split(table, "train"), len(table), params)
    source = asked["source"]
    if "folder" in source:
        images: Images = FolderImages(Path(source["folder"]))
    else:
        images = ArrayImages(Path(source["path"]), source["count"], source["factor"])
    measured = measure(images, spread(table["path"].tolist(), SAMPLE), work, params) if is_timed else None
    sys.stdout.write("\n".join(log_lines(work, measured, workers=worker_count(), free=free_bytes(Path()))))


if __name__ == "__main__":
    main()
