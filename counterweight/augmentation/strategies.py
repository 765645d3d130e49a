"""What is filled with copies, and from which images: the strategies of `augment.strategy`.

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

from counterweight.augmentation.allocation import Copy, choose_sources, copies_needed
from counterweight.metrics.imbalance import image_weights, irlbl, mean_ir

# What each strategy fills.
FILLED = {"clusters": "cluster", "clusters_labels": "cluster", "classes": "class", "labels": "label"}


class Plan(Protocol):
    """Says which copies are to be made, given those that are made already."""

    def choose(self, made: Mapping[str, int], unfit: AbstractSet[str]) -> list[Copy]:
        """Copies still to be made, none of them from an unfit image."""

    def lacking(self, made: Mapping[str, int]) -> dict[str, int]:
        """Copies that each group or label still lacks, by its name."""


@dataclass(frozen=True)
class GroupPlan:
    """Fills groups that share no image: clusters, or classes.

    Attributes
    ----------
    members : mapping of str to sequence of str
        Images of each group, by its name.
    needed : mapping of str to int
        Copies wanted, by group.
    seed, cap, weights
        As in `counterweight.augmentation.allocation.choose_sources`.
    """

    members: Mapping[str, Sequence[str]]
    needed: Mapping[str, int]
    seed: int
    cap: int | None
    weights: Mapping[str, float] | None = None

    def choose(self, made: Mapping[str, int], unfit: AbstractSet[str]) -> list[Copy]:
        """Copies still to be made, group by group."""
        return [
            copy
            for group, count in self.lacking(made).items()
            for copy in choose_sources(
                self.members[group], count, seed=self.seed, cap=self.cap, made=made, unfit=unfit, weights=self.weights
            )
        ]

    def lacking(self, made: Mapping[str, int]) -> dict[str, int]:
        """Copies that each group still lacks."""
        left = {
            group: count - sum(made.get(image, 0) for image in self.members[group])
            for group, count in self.needed.items()
        }
        return {group: count for group, count in left.items() if count > 0}


@dataclass(frozen=True)
class LabelPlan:
    """Fills rare labels, the rarest first, from images that carry them and few common ones.

    A copy counts for all labels on it, so that an image with two rare labels fills both. An image's share of a label's
    copies is inverse to 1 + the number of labels on it that are not filled.

    Attributes
    ----------
    images : sequence of str
        Their ids.
    targets : array of int, shape (n_images, n_labels)
        1 where the image has the label.
    labels : sequence of str
        Names of the labels.
    wanted : mapping of str to int
        Images that each label to be filled shall be on, the rarest first.
    seed, cap
        As in `counterweight.augmentation.allocation.choose_sources`.
    """

    images: Sequence[str]
    targets: NDArray[np.integer]
    labels: Sequence[str]
    wanted: Mapping[str, int]
    seed: int
    cap: int | None

    def choose(self, made: Mapping[str, int], unfit: AbstractSet[str]) -> list[Copy]:
        """Copies still to be made, label by label."""
        present = self.targets == 1
        filled = np.isin(self.labels, list(self.wanted))
        weights = dict(zip(self.images, (1 / (1 + present[:, ~filled].sum(axis=1))).tolist(), strict=True))
        row_of = {image: row for row, image in enumerate(self.images)}
        so_far = dict(made)
        counts = self._counts(so_far)
        chosen: list[Copy] = []
        for label, wanted in self.wanted.items():
            column = list(self.labels).index(label)
            members = [image for image, has in zip(self.images, present[:, column], strict=True) if has]
            more = choose_sources(
                members, wanted - int(counts[column]),
                seed=self.seed, cap=self.cap, made=so_far, unfit=unfit, weights=weights,
            )  # fmt: skip
            for copy in more:
                so_far[copy.source_id] = copy.number
                counts = counts + present[row_of[copy.source_id]]
            chosen += more
        return chosen

    def lacking(self, made: Mapping[str, int]) -> dict[str, int]:
        """Copies that each label still lacks."""
        counts = dict(zip(self.labels, self._counts(made).tolist(), strict=True))
        return {label: wanted - counts[label] for label, wanted in self.wanted.items() if counts[label] < wanted}

    def _counts(self, made: Mapping[str, int]) -> NDArray[np.int64]:
        times = np.array([1 + made.get(image, 0) for image in self.images], dtype=np.int64)
        counts: NDArray[np.int64] = ((self.targets == 1) * times[:, None]).sum(axis=0)
        return counts


def build_plan(
    strategy: str,
    images: Sequence[str],
    clusters: Sequence[int],
    targets: NDArray[np.integer],
    labels: Sequence[str],
    *,
    target: float,
    minority: int | None,
    cap: int | None,
    seed: int,
) -> Plan:
    """Make the plan of a strategy for the train images.

    Parameters
    ----------
    strategy : str
        ``none``; ``clusters``, evenly from each cluster's images; ``clusters_labels``, from them in proportion to the
        mean IRLbl of their labels; ``classes``, evenly from each class's images; or ``labels``, see `LabelPlan`.
    images, clusters : sequences of str and int
        Ids of the train images, and the cluster of each.
    targets : array of int, shape (n_images, n_labels)
        1 where the image has the label, 0 where not, -1 where that is unknown.
    labels : sequence of str
        Names of the labels.
    target, minority
        As in `counterweight.augmentation.allocation.copies_needed`; by default the minority labels are those whose
        IRLbl is above MeanIR.
    cap, seed
        As in `counterweight.augmentation.allocation.choose_sources`.
    """
    if strategy == "none":
        return GroupPlan({}, {}, seed, cap)
    if strategy == "labels":
        counts, ratios = (targets == 1).sum(axis=0), irlbl(targets)
        wanted = round(int(counts.max()) * target)
        rarest = [int(column) for column in np.argsort(counts, kind="stable") if 0 < counts[column] < wanted]
        if minority is None:
            rarest = [column for column in rarest if ratios[column] > mean_ir(targets)]
        return LabelPlan(images, targets, labels, {labels[j]: wanted for j in rarest[:minority]}, seed, cap)
    if strategy == "classes":
        groups = [str(labels[column]) for column in targets.argmax(axis=1)]
        known = (targets == 1).any(axis=1)
        members = _members([image for image, is_known in zip(images, known, strict=True) if is_known],
                           [group for group, is_known in zip(groups, known, strict=True) if is_known])  # fmt: skip
        needed = copies_needed({name: len(group) for name, group in members.items()}, target=target, minority=minority)
        return GroupPlan(members, needed, seed, cap)
    members = _members(images, [str(cluster) for cluster in clusters])
    sizes = {int(name): len(group) for name, group in members.items()}
    needed = {str(name): count for name, count in copies_needed(sizes, target=target, minority=minority).items()}
    weights = dict(zip(images, image_weights(targets).tolist(), strict=True)) if strategy == "clusters_labels" else None
    return GroupPlan(members, needed, seed, cap, weights)


def _members(images: Sequence[str], groups: Sequence[str]) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for image, group in zip(images, groups, strict=True):
        members.setdefault(group, []).append(image)
    return members
