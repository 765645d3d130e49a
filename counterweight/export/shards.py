"""Shards of the balanced dataset: files of many images each, which storage and networks read faster than single images.

Train images are dealt to shards at random, so that a reader that shuffles a few shards at a time meets all labels, and
copies apart from their sources.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from counterweight.base import manifest
from counterweight.base.manifest import MISSING
from counterweight.export.folders import folder_name
from counterweight.images import codec
from counterweight.runtime.parallel import parallel_map

# Of 50 kB each, they take 50 MB.
IMAGES_PER_SHARD = 1_000


@dataclass(frozen=True)
class Sample:
    """An image and what is known of it.

    Attributes
    ----------
    path : Path
        The image file.
    checksum : str
        Its checksum.
    about : dict
        ``image_id``; ``source_id``, of an original its own; ``cluster``, -1 outside train; ``labels``, the names of its
        labels; and ``label``, its class by number in `class_names`, or ``targets``, 1, 0, or None if unknown, for each
        label of `class_names`. So every field but a target has one type, whatever the rows, which readers need.
    """

    path: Path
    checksum: str
    about: dict[str, Any]

    def read(self) -> bytes:
        """Read the file.

        Raises
        ------
        InputError
            If it is missing, or its checksum differs.
        """
        return codec.read_bytes(self.path, self.checksum)


@dataclass(frozen=True)
class Shard:
    """A file to write: its name without a suffix, its samples, and the names of all labels."""

    name: str
    samples: Sequence[Sample]
    labels: Sequence[str]
    by_class: bool


Writer = Callable[[Path, Shard], None]


def class_names(table: pd.DataFrame, *, by_class: bool) -> list[str]:
    """Return the labels of a manifest; classes in the order of their folders, as torchvision numbers them."""
    names = manifest.label_names(table)
    return sorted(names, key=folder_name) if by_class else names


def deal_shards(
    table: pd.DataFrame, *, by_class: bool, resized: Path, copies: Path, size: int = IMAGES_PER_SHARD
) -> list[Shard]:
    """Deal the images of each split to shards of one size, the last of which may be smaller.

    Parameters
    ----------
    table : pandas.DataFrame
        A manifest with copies, all of one class each if ``by_class``.
    by_class : bool
        Whether each image has exactly one label.
    resized, copies : Path
        The folders of the originals and of the copies.
    size : int
        Images per shard.

    Returns
    -------
    list of Shard
        Named ``SPLIT-NUMBER-of-COUNT``, with five digits each.
    """
    labels, shards = class_names(table, by_class=by_class), []
    for split in manifest.SPLITS:
        rows = manifest.rows_of_split(table, split)
        if split == "train":
            rows = rows.iloc[np.random.default_rng(0).permutation(len(rows))]
        samples = _samples(rows, labels, by_class, resized, copies)
        parts = [samples[start : start + size] for start in range(0, len(samples), size)]
        shards += [
            Shard(f"{split}-{number:05d}-of-{len(parts):05d}", part, labels, by_class)
            for number, part in enumerate(parts)
        ]
    return shards


def write_shards(shards: Sequence[Shard], folder: Path, write: Writer, *, workers: int) -> None:
    """Write shards into a new folder, several at a time.

    Raises
    ------
    InputError
        If an image is missing, or its checksum differs from the manifest's.
    """
    folder.mkdir(parents=True)
    parallel_map(partial(write, folder), shards, workers=workers, what="shards", name=attrgetter("name"))


def _samples(rows: pd.DataFrame, labels: Sequence[str], by_class: bool, resized: Path, copies: Path) -> list[Sample]:
    known = zip(*(rows[name].tolist() for name in ("image_id", "source_id", "path", "checksum")), strict=True)
    clusters, targets = rows["cluster"].astype(object), rows[[manifest.LABEL + name for name in labels]].to_numpy()
    samples = []
    for (image_id, source_id, path, checksum), cluster, values in zip(known, clusters, targets, strict=True):
        about: dict[str, Any] = {
            "image_id": image_id,
            "source_id": source_id or image_id,
            "cluster": -1 if pd.isna(cluster) else int(cluster),
            "labels": [name for name, value in zip(labels, values, strict=True) if value == 1],
        }
        if by_class:
            about["label"] = int(values.argmax())
        else:
            about["targets"] = [None if value == MISSING else int(value) for value in values]
        samples.append(Sample((copies if source_id else resized) / path, checksum, about))
    return samples
