"""Shards of the balanced dataset: files of many images each, which storage and networks read faster than single images.

Train images are dealt to shards at random, so that a reader who shuffles a few shards at a time meets images of all
kinds, and copies apart from their sources.
"""

from collections.abc import Callable, Iterator, Sequence
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

# Images of 50 kB each make a file of 50 MB.
IMAGES_PER_SHARD = 1_000


@dataclass(frozen=True)
class Sample:
    """An image, and what is known of it.

    Attributes
    ----------
    path : str
        The image file within its folder.
    content : bytes
        The file.
    record : dict
        ``image_id``; ``source_id``, of an original its own; ``cluster``, -1 outside train; ``labels``, the names of its
        labels; and ``label``, its class by number in `Shard.labels`, or ``targets``, 1, 0, or None if unknown, for each
        of them. So every field but a target has one type, whatever the rows, which readers need.
    """

    path: str
    content: bytes
    record: dict[str, Any]


@dataclass(frozen=True)
class Shard:
    """A file to write.

    Attributes
    ----------
    name : str
        Its name without a suffix, ``SPLIT-NUMBER-of-COUNT`` with five digits each.
    rows : pandas.DataFrame
        The rows of its images in a manifest.
    labels : sequence of str
        The result of `class_names`.
    by_class : bool
        Whether each image has exactly one label.
    resized, copies : Path
        The folders of the originals and of the copies.
    """

    name: str
    rows: pd.DataFrame
    labels: Sequence[str]
    by_class: bool
    resized: Path
    copies: Path

    def samples(self) -> Iterator[Sample]:
        """Read the images, one at a time.

        Raises
        ------
        InputError
            If an image is missing, or its checksum differs from the manifest's.
        """
        columns = zip(*(self.rows[name] for name in ("image_id", "source_id", "path", "checksum")), strict=True)
        targets = self.rows[[manifest.LABEL + name for name in self.labels]].to_numpy()
        clusters = self.rows["cluster"].fillna(-1)
        for (image_id, source_id, path, checksum), cluster, values in zip(columns, clusters, targets, strict=True):
            labels = [name for name, value in zip(self.labels, values, strict=True) if value == 1]
            record = {
                "image_id": image_id, "source_id": source_id or image_id, "cluster": int(cluster), "labels": labels,
            }  # fmt: skip
            if self.by_class:
                record["label"] = int(values.argmax())
            else:
                record["targets"] = [None if value == MISSING else int(value) for value in values]
            yield Sample(path, codec.read_bytes((self.copies if source_id else self.resized) / path, checksum), record)


def class_names(table: pd.DataFrame, *, by_class: bool) -> list[str]:
    """Return the labels of a manifest; classes in the order of their folders, as torchvision numbers them."""
    names = manifest.label_names(table)
    return sorted(names, key=folder_name) if by_class else names


def build_shards(
    table: pd.DataFrame, *, by_class: bool, resized: Path, copies: Path, size: int = IMAGES_PER_SHARD
) -> list[Shard]:
    """Divide the images of each split among shards of one size, the last of which may be smaller.

    Parameters
    ----------
    table : pandas.DataFrame
        A manifest with copies, in which each image has exactly one label if ``by_class``.
    by_class, resized, copies
        As in `Shard`.
    size : int
        Images per shard.
    """
    labels, shards = class_names(table, by_class=by_class), []
    for split in manifest.SPLITS:
        rows = manifest.rows_of_split(table, split)
        if split == "train":
            rows = rows.iloc[np.random.default_rng(0).permutation(len(rows))]
        parts = [rows.iloc[start : start + size] for start in range(0, len(rows), size)]
        for number, part in enumerate(parts):
            name = f"{split}-{number:05d}-of-{len(parts):05d}"
            shards.append(Shard(name, part, labels, by_class, resized, copies))
    return shards


def write_shards(shards: Sequence[Shard], folder: Path, write: Callable[[Path, Shard], None], *, workers: int) -> None:
    """Write shards into a new folder, one per process at a time.

    Raises
    ------
    InputError
        If an image is missing, or its checksum differs from the manifest's.
    """
    folder.mkdir(parents=True)
    name = attrgetter("name")
    parallel_map(partial(write, folder), shards, workers=workers, what="shards", name=name, max_batch=1)
