"""What follows ingest, before it begins: how many images and copies, how much of the disk, and about how long.

It is said and never kept: no output depends on it, so that a clock and a machine may have a part in it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.base import manifest
from stages.base.space import BYTES_PER_PIXEL, free_bytes, size
from stages.core.bars import in_words
from stages.core.sources import Images
from stages.core.strategies import build_plan

# With fewer images nothing is tried: all is done in about the time that a try takes.
TRIED_FROM = 500
# With fewer train images the network is not tried: PyTorch alone takes some seconds to load.
NETWORK_FROM = 2_000

# Images of a try, and seconds after which it is given up.
SAMPLE = 24
GIVEN_UP = 60.0

_PROJECT = Path(__file__).parents[2]
# Features of an image by the block of a ResNet that the layer is in; a bottleneck's are four times as many.
_WIDTHS = {"layer1": 64, "layer2": 128, "layer3": 256, "layer4": 512, "avgpool": 512, "flatten": 512}


class Trial:
    """A process that loads what a try needs while the stage goes on, and tries it when it is asked.

    It ends by itself when the stage does.

    Parameters
    ----------
    images : int
        How many there are; of fewer than ``TRIED_FROM`` nothing is tried, and there is no process.
    """

    def __init__(self, images: int) -> None:
        self._process: subprocess.Popen[str] | None = None
        if images < TRIED_FROM:
            return
        paths = [str(_PROJECT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        with suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "stages.core.rehearsal"],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
            )

    def found(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What `stages.core.rehearsal` measures of this; nothing if it fails or takes too long."""
        if self._process is None:
            return {}
        with self._process as process:
            try:
                output, _ = process.communicate(json.dumps(given, default=str), timeout=GIVEN_UP)
                found: dict[str, Any] = json.loads(output.splitlines()[-1])
            except (OSError, subprocess.SubprocessError, ValueError, IndexError):
                process.kill()
                return {}
        return found


def forecast(
    table: pd.DataFrame,
    source: Images,
    trial: Trial,
    *,
    resize: Mapping[str, Any],
    features: Mapping[str, Any],
    clusters: int,
    augment: Mapping[str, Any],
    filled: bool,
    workers: int,
) -> list[str]:
    """Say what follows, by what params.yaml says of it.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest that ingest wrote.
    source : FolderImages or ArrayImages
        The images.
    trial : Trial
        By which the work is tried.
    resize, features, augment : mapping of str to value
        These sections of params.yaml.
    clusters : int
        Of ``cluster``.
    filled : bool
        Whether missing labels will be filled, so that the counts of labels are not known yet.
    workers : int
        Processes.

    Returns
    -------
    list of str
        Lines for the log: counts, disk, time.
    """
    train, names = manifest.of_split(table, "train"), _spread(table["path"].tolist(), SAMPLE)
    copies, surely = copies_to_make(train, augment, clusters)
    work = Work(
        len(table), len(train), copies, "at most " if not surely else "about " if filled and copies else "",
        image=resize["width"] * resize["height"] * BYTES_PER_PIXEL[resize["format"]],
        row=4 * row_width(features["model"], features["layer"]),
    )  # fmt: skip
    tried = trial.found(
        {
            "source": asdict(source),
            "names": names,
            "resize": resize,
            "augment": augment if copies and augment["copies"] == "augmented" else None,
            "features": features if len(train) >= NETWORK_FROM and features["engine"] == "torch" else None,
        }
    )
    return said(work, tried, sample=len(names), workers=workers, free=free_bytes(Path()))


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Attributes
    ----------
    images, train, copies : int
        All images, those of train, and copies to make.
    bound : str
        What stands before the number of copies: nothing if it is exact, or ``about ``, or ``at most ``.
    image, row : float
        Bytes of a resized image and of a row of features, at most.
    """

    images: int
    train: int
    copies: int
    bound: str
    image: float
    row: float


def said(work: Work, tried: Mapping[str, Any], *, sample: int, workers: int, free: int) -> list[str]:
    """The lines for the log.

    Parameters
    ----------
    work : Work
        What is to be done.
    tried : mapping of str to value
        What `stages.core.rehearsal.rehearse` returned; empty if nothing was tried.
    sample : int
        How many images it was tried on.
    workers : int
        Processes that share resizing and copies.
    free : int
        Bytes that are free on the disk.
    """
    image, most = tried.get("bytes", work.image), "" if "bytes" in tried else "at most "
    lines = [
        f"next: {work.images:,} images to resize, {work.bound}{work.copies:,} copies to make",
        f"disk: {most}{size(image * work.images)} of resized images, {most or work.bound}{size(image * work.copies)} "
        f"of copies, {size(work.row * work.train)} of features; {size(free)} are free",
    ]
    times = [
        f"{bound}{in_words(tried[stage]['once'] + count * tried[stage]['each'])} of {stage}"
        for stage, count, bound in (
            ("resize", work.images / workers, ""),
            ("features", work.train, ""),
            ("augment", work.copies / workers, work.bound),
        )
        if stage in tried
    ]
    if times:
        lines.append(f"time: {', '.join(times)}, as {sample} of the images took with {workers} workers")
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
        As in `stages.core.strategies.build_plan`.

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


def _spread(names: Sequence[str], count: int) -> list[str]:
    """Some of the names, evenly spread: images that were taken together lie together, and are alike in size."""
    return [names[i] for i in np.unique(np.linspace(0, len(names) - 1, count).round().astype(int))]
