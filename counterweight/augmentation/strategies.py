"""The strategies of `augment.strategy`: which groups are filled with copies, and from which images.

Multi-label random oversampling driven by IRLbl (ML-ROS): F. Charte, A. J. Rivera, M. J. del Jesus, F. Herrera,
"Addressing imbalance in multilabel classification: Measures and random resampling algorithms", Neurocomputing 163
(2015), 3-16.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from counterweight.augmentation.allocation import AllocationConfig, Copy, allocate_copies, copies_needed
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


class Plan(Protocol):
    """Which copies to make, given the number of existing copies of each image."""

    def next_copies(self, existing: Mapping[str, int], unusable: AbstractSet[str]) -> list[Copy]:
        """Return the copies to make next, none from an unusable image."""

    def shortfall(self, existing: Mapping[str, int]) -> dict[str, int]:
        """Return the number of copies that each group or label still lacks, by name."""


@dataclass(frozen=True)
class GroupPlan:
    """Fill groups that share no image: clusters or classes.

    Attributes
    ----------
    members : mapping of str to sequence of str
        Image ids of each group, by name.
    needed : mapping of str to int
        Number of copies to make per group.
    seed, max_per_image, weights
        See `allocate_copies`.
    """

    members: Mapping[str, Sequence[str]]
    needed: Mapping[str, int]
    seed: int
    max_per_image: int | None
    weights: Mapping[str, float] | None = None

    def next_copies(self, existing: Mapping[str, int], unusable: AbstractSet[str]) -> list[Copy]:
        """Return the copies to make next, group by group."""
        return [
            copy
            for group, count in self.shortfall(existing).items()
            for copy in allocate_copies(
                self.members[group], count, seed=self.seed, max_per_image=self.max_per_image, existing=existing,
                unusable=unusable, weights=self.weights,
            )
        ]  # fmt: skip

    def shortfall(self, existing: Mapping[str, int]) -> dict[str, int]:
        """Return the number of copies that each group still lacks."""
        lacking = {
            group: count - sum(existing.get(image, 0) for image in self.members[group])
            for group, count in self.needed.items()
        }
        return {group: count for group, count in lacking.items() if count > 0}


@dataclass(frozen=True)
class LabelPlan:
    """Fill rare labels, the rarest first, from images that have them and few common labels.

    A copy counts for all of its labels, so that an image with two rare labels fills both. An image's weight is
    1 / (1 + number of its labels that are not filled).

    Attributes
    ----------
    train : TrainImages
        The images to copy.
    target_counts : mapping of str to int
        Number of images that each label is to have, for the labels to fill, the rarest first.
    seed, max_per_image
        See `allocate_copies`.
    """

    train: TrainImages
    target_counts: Mapping[str, int]
    seed: int
    max_per_image: int | None

    def next_copies(self, existing: Mapping[str, int], unusable: AbstractSet[str]) -> list[Copy]:
        """Return the copies to make next, label by label."""
        ids, labels, present = self.train.ids, list(self.train.labels), self.train.targets == 1
        is_filled = np.isin(labels, list(self.target_counts))
        weights = dict(zip(ids, (1 / (1 + present[:, ~is_filled].sum(axis=1))).tolist(), strict=True))
        row_of = {image: row for row, image in enumerate(ids)}
        copies_of, counts = dict(existing), self._counts(existing)
        allocated: list[Copy] = []
        for label, target_count in self.target_counts.items():
            column = labels.index(label)
            members = [image for image, has_label in zip(ids, present[:, column], strict=True) if has_label]
            copies = allocate_copies(
                members, target_count - int(counts[column]), seed=self.seed, max_per_image=self.max_per_image,
                existing=copies_of, unusable=unusable, weights=weights,
            )  # fmt: skip
            for copy in copies:
                copies_of[copy.source_id] = copy.number
                counts = counts + present[row_of[copy.source_id]]
            allocated += copies
        return allocated

    def shortfall(self, existing: Mapping[str, int]) -> dict[str, int]:
        """Return the number of copies that each label still lacks."""
        counts = dict(zip(self.train.labels, self._counts(existing).tolist(), strict=True))
        return {label: count - counts[label] for label, count in self.target_counts.items() if counts[label] < count}

    def _counts(self, existing: Mapping[str, int]) -> NDArray[np.int64]:
        times = np.array([1 + existing.get(image, 0) for image in self.train.ids], dtype=np.int64)
        counts: NDArray[np.int64] = ((self.train.targets == 1) * times[:, None]).sum(axis=0)
        return counts


def build_plan(strategy: str, train: TrainImages, config: AllocationConfig) -> Plan:
    """Build the plan of a strategy.

    Parameters
    ----------
    strategy : str
        ``none``; ``clusters``, evenly from the images of each cluster; ``clusters_labels``, in proportion to the mean
        IRLbl of their labels; ``classes``, evenly from the images of each class; or ``labels``, see `LabelPlan`.
    train : TrainImages
        The images to copy.
    config : AllocationConfig
        How many copies are made. Without ``fill_smallest``, ``labels`` fills the labels whose IRLbl is above MeanIR.
    """
    if strategy == "none":
        return GroupPlan({}, {}, config.seed, config.max_per_image)
    if strategy == "labels":
        return LabelPlan(train, _label_targets(train, config), config.seed, config.max_per_image)
    if strategy == "classes":
        has_class, columns = (train.targets == 1).any(axis=1), train.targets.argmax(axis=1)
        images = [image for image, is_known in zip(train.ids, has_class, strict=True) if is_known]
        classes = _members(images, [str(train.labels[column]) for column in columns[has_class]])
        sizes = {name: len(members) for name, members in classes.items()}
        needed = copies_needed(sizes, target=config.target, fill_smallest=config.fill_smallest)
        return GroupPlan(classes, needed, config.seed, config.max_per_image)
    clusters = _members(train.ids, [str(cluster) for cluster in train.clusters])
    by_number = copies_needed(
        {int(name): len(members) for name, members in clusters.items()},
        target=config.target, fill_smallest=config.fill_smallest,
    )  # fmt: skip
    weights = None
    if strategy == "clusters_labels":
        weights = dict(zip(train.ids, irlbl_weights(train.targets).tolist(), strict=True))
    needed = {str(cluster): count for cluster, count in by_number.items()}
    return GroupPlan(clusters, needed, config.seed, config.max_per_image, weights)


def _members(images: Sequence[str], groups: Sequence[str]) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for image, group in zip(images, groups, strict=True):
        members.setdefault(group, []).append(image)
    return members


def _label_targets(train: TrainImages, config: AllocationConfig) -> dict[str, int]:
    """Return the number of images that each label to fill is to have, the rarest label first."""
    counts, ratios = (train.targets == 1).sum(axis=0), irlbl(train.targets)
    target_count = round(int(counts.max()) * config.target)
    rarest = [int(column) for column in np.argsort(counts, kind="stable") if 0 < counts[column] < target_count]
    if config.fill_smallest is None:
        mean = mean_ir(train.targets)
        rarest = [column for column in rarest if ratios[column] > mean]
    return {train.labels[column]: target_count for column in rarest[: config.fill_smallest]}
