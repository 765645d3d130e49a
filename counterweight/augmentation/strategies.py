"""The strategies of `augment.strategy`: which groups are filled with copies, and from which images.

Multi-label random oversampling driven by IRLbl (ML-ROS): F. Charte, A. J. Rivera, M. J. del Jesus, F. Herrera,
"Addressing imbalance in multilabel classification: Measures and random resampling algorithms", Neurocomputing 163
(2015), 3-16.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import compress
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.augmentation.allocation import AllocationConfig, Copy, allocate_copies, copies_needed, target_size
from counterweight.base import manifest
from counterweight.metrics.imbalance import irlbl, irlbl_weights, mean_ir

# What each strategy fills.
GROUP_KIND = {"clusters": "cluster", "clusters_labels": "cluster", "classes": "class", "labels": "label"}


@dataclass(frozen=True)
class TrainImages:
    """The train images: their ids, clusters and targets, and the names of the labels.

    ``targets`` has the shape (n_images, n_labels): 1 if the image has the label, 0 if not, -1 if that is unknown.
    """

    ids: Sequence[str]
    clusters: Sequence[int]
    targets: NDArray[np.integer]
    labels: Sequence[str]

    @classmethod
    def of_rows(cls, train: pd.DataFrame) -> Self:
        """Read train rows of a manifest."""
        ids, clusters = train["image_id"].tolist(), train["cluster"].tolist()
        return cls(ids, clusters, manifest.targets(train), manifest.label_names(train))

    def without(self, image_ids: AbstractSet[str]) -> "TrainImages":
        """Return the images but some."""
        kept = [row for row, image_id in enumerate(self.ids) if image_id not in image_ids]
        ids, clusters = [self.ids[row] for row in kept], [self.clusters[row] for row in kept]
        return TrainImages(ids, clusters, self.targets[kept], self.labels)


@dataclass(frozen=True)
class Plan:
    """Fill groups of images: clusters, classes or labels. A copy counts for every group that its source is in.

    Attributes
    ----------
    members : mapping of str to sequence of str
        Image ids of each group, by name.
    target_counts : mapping of str to int
        Number of images, with copies, that each group is to have, for the groups to fill, in their order.
    seed, max_per_image, weights
        See `allocate_copies`.
    """

    members: Mapping[str, Sequence[str]]
    target_counts: Mapping[str, int]
    seed: int
    max_per_image: int | None
    weights: Mapping[str, float] | None = None

    def next_copies(self, existing: Mapping[str, int], unusable: AbstractSet[str]) -> list[Copy]:
        """Return the copies to make next, group by group, given the number of existing copies of each image."""
        counts = Counter(existing)
        allocated: list[Copy] = []
        for group in self.target_counts:
            copies = allocate_copies(
                self.members[group], max(self._lacking(group, counts), 0), seed=self.seed,
                max_per_image=self.max_per_image, existing=counts, unusable=unusable, weights=self.weights,
            )  # fmt: skip
            counts.update(copy.source_id for copy in copies)
            allocated += copies
        return allocated

    def shortfall(self, existing: Mapping[str, int]) -> dict[str, int]:
        """Return the number of copies that each group still lacks, by name."""
        lacking = {group: self._lacking(group, existing) for group in self.target_counts}
        return {group: count for group, count in lacking.items() if count > 0}

    def _lacking(self, group: str, existing: Mapping[str, int]) -> int:
        return self.target_counts[group] - sum(1 + existing.get(image, 0) for image in self.members[group])


def build_plan(strategy: str, train: TrainImages, config: AllocationConfig) -> Plan:
    """Build the plan of a strategy.

    Parameters
    ----------
    strategy : str
        ``none``; ``clusters``, evenly from the images of each cluster; ``clusters_labels``, in proportion to the mean
        IRLbl of their labels; ``classes``, evenly from the images of each class; or ``labels``, see `label_plan`.
    train : TrainImages
        The images to copy.
    config : AllocationConfig
        How many copies are made. Without ``fill_smallest``, ``labels`` fills the labels whose IRLbl is above MeanIR.
    """
    if strategy == "none":
        return Plan({}, {}, config.seed, config.max_per_image)
    if strategy == "labels":
        return label_plan(train, _label_targets(train, config), config.seed, config.max_per_image)
    members = group_members(strategy, train)
    sizes = {group: len(images) for group, images in members.items()}
    needed = copies_needed(sizes, target=config.target, fill_smallest=config.fill_smallest)
    weights = None
    if strategy == "clusters_labels":
        weights = dict(zip(train.ids, irlbl_weights(train.targets).tolist(), strict=True))
    return Plan(
        {str(group): images for group, images in members.items()},
        {str(group): sizes[group] + count for group, count in needed.items()},
        config.seed, config.max_per_image, weights,
    )  # fmt: skip


def group_members(strategy: str, train: TrainImages) -> dict[Any, list[str]]:
    """Return the ids of the images of each cluster (an int), class or label that a strategy fills."""
    if strategy == "labels":
        return _label_members(train, train.labels)
    groups: Iterable[Any] = train.clusters
    if strategy == "classes":
        has_label = train.targets == 1
        columns = zip(has_label.any(axis=1).tolist(), has_label.argmax(axis=1).tolist(), strict=True)
        groups = (train.labels[first] if has_any else None for has_any, first in columns)
    members: dict[Any, list[str]] = {}
    for image, group in zip(train.ids, groups, strict=True):
        if group is not None:
            members.setdefault(group, []).append(image)
    return members


def label_plan(train: TrainImages, target_counts: Mapping[str, int], seed: int, max_per_image: int | None) -> Plan:
    """Plan to fill rare labels from images that have them and few common labels.

    An image's weight is 1 / (1 + number of its labels that are not filled). See `Plan` for the parameters.
    """
    is_common = np.array([label not in target_counts for label in train.labels], dtype=bool)
    has_label = train.targets == 1
    weights, is_source = 1 / (1 + has_label[:, is_common].sum(axis=1)), has_label[:, ~is_common].any(axis=1)
    weight_of = dict(zip(compress(train.ids, is_source), weights[is_source].tolist(), strict=True))
    return Plan(_label_members(train, target_counts), target_counts, seed, max_per_image, weight_of)


def _label_members(train: TrainImages, labels: Iterable[str]) -> dict[str, list[str]]:
    """Return the ids of the images that have each of some labels."""
    column_of = {label: column for column, label in enumerate(train.labels)}
    return {label: list(compress(train.ids, train.targets[:, column_of[label]] == 1)) for label in labels}


def _label_targets(train: TrainImages, config: AllocationConfig) -> dict[str, int]:
    """Return the number of images that each label to fill is to have, the rarest label first."""
    counts = (train.targets == 1).sum(axis=0)
    target_count = target_size(int(counts.max()), config.target)
    is_rare = (counts > 0) & (counts < target_count)
    if config.fill_smallest is None:
        is_rare &= irlbl(train.targets) > mean_ir(train.targets)
    rarest = [train.labels[column] for column in np.argsort(counts, kind="stable") if is_rare[column]]
    return dict.fromkeys(rarest[: config.fill_smallest], target_count)
