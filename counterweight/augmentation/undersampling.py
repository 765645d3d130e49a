"""Undersampling: leave out the most redundant train images of groups that are larger than they should be."""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from counterweight.augmentation.allocation import AllocationConfig, target_size
from counterweight.augmentation.strategies import Plan, TrainImages, build_plan, group_members
from counterweight.metrics.imbalance import irlbl_weights

# Images among which neighbors are looked for, so that the time grows with the number of images, not with its square.
_BLOCK = 10_000
# Neighbors that are found at once.
_NEIGHBORS = 16


@dataclass(frozen=True)
class UndersamplingConfig:
    """How far groups are reduced.

    Attributes
    ----------
    target : float
        See `counterweight.augmentation.allocation.target_size`; 0 stands for the size of the smallest group.
    fills : bool
        Whether smaller groups are then filled up to the same size.
    seed : int
        Seed of the blocks in which groups of more than 10,000 images are searched.
    """

    target: float
    fills: bool
    seed: int

    @classmethod
    def from_params(cls, augment: Mapping[str, Any]) -> Self | None:
        """Read the section ``augment`` of params.yaml; None if it leaves no image out."""
        if augment["resampling"] == "over":
            return None
        target = 0.0 if augment["target"] == "minority" else augment["target"]
        return cls(target, augment["resampling"] == "both", augment["seed"])


def plan_balance(
    strategy: str,
    train: TrainImages,
    features: NDArray[np.float32],
    copying: AllocationConfig,
    leaving_out: UndersamplingConfig | None,
) -> tuple[Plan, list[str]]:
    """Plan which images are left out and which are copied.

    Parameters
    ----------
    strategy : str
        See `counterweight.augmentation.strategies.build_plan`.
    train : TrainImages
        The train images.
    features : array of float32, shape (n_images, n_features)
        Features of the train images.
    copying, leaving_out : AllocationConfig, UndersamplingConfig or None
        How groups are filled, and how they are reduced, if they are.

    Returns
    -------
    plan : Plan
        The copies of the remaining images.
    left_out : list of str
        Ids of the images that are left out, sorted.
    """
    if leaving_out is None:
        return build_plan(strategy, train, copying), []
    members = {str(group): images for group, images in group_members(strategy, train).items() if images}
    if not members:
        return build_plan("none", train, copying), []
    sizes = [len(images) for images in members.values()]
    size = target_size(max(sizes), leaving_out.target) if leaving_out.target else min(sizes)
    weights = irlbl_weights(train.targets) if strategy == "clusters_labels" else np.ones(len(train.ids))
    left_out = redundant_images(members, max(size, 1), train.ids, features, weights=weights, seed=leaving_out.seed)
    rest = train.without(set(left_out))
    if not leaving_out.fills:
        return build_plan("none", rest, copying), left_out
    return build_plan(strategy, rest, replace(copying, target=max(size, 2))), left_out


def redundant_images(
    members: Mapping[str, Sequence[str]],
    size: int,
    image_ids: Sequence[str],
    features: NDArray[np.float32],
    *,
    weights: NDArray[np.float64],
    seed: int,
) -> list[str]:
    """Choose images to leave out, until no group has more than a number of images.

    The larger group comes first. In it, one of the two most similar images is left out, then one of the two that are
    most similar among the others, and so on. An image stays if one of its groups would become smaller than ``size``,
    so a group can remain larger.

    Parameters
    ----------
    members : mapping of str to sequence of str
        Ids of the images of each group; an image may be in several.
    size : int
        Number of images that a group is to have, at least 1.
    image_ids, features, weights : sequence of str, arrays of shape (n_images, n_features) and (n_images,)
        All images, sorted. Of two similar ones, that of the lower weight is left out, or else the later one.
    seed : int
        See `UndersamplingConfig`.

    Returns
    -------
    list of str
        Ids of the images to leave out, sorted.
    """
    row_of = {image_id: row for row, image_id in enumerate(image_ids)}
    rows = {group: [row_of[image] for image in images] for group, images in members.items()}
    groups_of: dict[int, list[str]] = {}
    for group, of_group in rows.items():
        for row in of_group:
            groups_of.setdefault(row, []).append(group)
    sizes = Counter({group: len(of_group) for group, of_group in rows.items()})
    left_out: set[int] = set()
    rng = np.random.default_rng(seed)

    for group, _ in sizes.most_common():
        n_before = -1
        while sizes[group] > size and len(left_out) > n_before:
            n_before = len(left_out)
            candidates = [row for row in rows[group] if row not in left_out]
            for pair in _similar_pairs(candidates, features, left_out, rng):
                free = [row for row in pair if all(sizes[of_row] > size for of_row in groups_of[row])]
                if free:
                    row = min(free, key=lambda row: (weights[row], -row))
                    left_out.add(row)
                    sizes.subtract(groups_of[row])
                if sizes[group] <= size:
                    break
    return sorted(image_ids[row] for row in left_out)


def _similar_pairs(
    rows: Sequence[int], features: NDArray[np.float32], left_out: AbstractSet[int], rng: np.random.Generator
) -> Iterator[tuple[int, int]]:
    """Yield pairs, the most similar first, of images that are not left out meanwhile.

    It ends where an image has lost all neighbors that were found, so that its nearest one has to be searched again.
    """
    near = _neighbors(rows, features, rng)
    queue = [(found[0][0], row, 0) for row, found in near.items()]
    heapq.heapify(queue)
    n_before = len(left_out)
    while queue:
        distance, row, place = heapq.heappop(queue)
        if row in left_out:
            continue
        if place == len(near[row]):
            if len(left_out) > n_before:
                return
            continue
        following = near[row][place + 1][0] if place + 1 < len(near[row]) else distance
        heapq.heappush(queue, (following, row, place + 1))
        neighbor = near[row][place][1]
        if neighbor not in left_out:
            yield row, neighbor


def _neighbors(
    rows: Sequence[int], features: NDArray[np.float32], rng: np.random.Generator
) -> dict[int, list[tuple[float, int]]]:
    """Return the distances and rows of the nearest neighbors of each row, the nearest first; none of a single row."""
    # It takes a second that runs without undersampling need not wait for.
    from sklearn.neighbors import NearestNeighbors

    shuffled = np.array(rows, dtype=np.intp)
    if len(rows) > _BLOCK:
        rng.shuffle(shuffled)
    near: dict[int, list[tuple[float, int]]] = {}
    for block in np.array_split(shuffled, -(-len(shuffled) // _BLOCK)):
        if len(block) < 2:
            continue
        search = NearestNeighbors(n_neighbors=min(_NEIGHBORS, len(block) - 1), algorithm="brute").fit(features[block])
        distances, places = search.kneighbors()
        # Rounded, because the last digits differ between processors.
        found = zip(block.tolist(), np.round(distances, 4).tolist(), block[places].tolist(), strict=True)
        near |= {row: list(zip(of_row, neighbors, strict=True)) for row, of_row, neighbors in found}
    return near
