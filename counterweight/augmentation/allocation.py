"""How many copies each group of images needs, and which images they are made from."""

import random
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

Group = TypeVar("Group", int, str)


@dataclass(frozen=True)
class AllocationConfig:
    """How far minority groups are filled, and how their copies are distributed.

    ``target`` is that of `target_size`, ``fill_smallest`` that of `copies_needed`, and ``max_per_image`` and ``seed``
    those of `allocate_copies`.
    """

    target: float
    fill_smallest: int | None
    max_per_image: int | None
    seed: int

    @classmethod
    def from_params(cls, augment: Mapping[str, Any], share: float = 1.0) -> Self:
        """Read the section ``augment`` of params.yaml, for a share of the train images.

        With ``resampling: under``, ``target`` is no size to fill groups to; the size of the largest takes its place.
        """
        is_relative = augment["resampling"] == "under" or augment["target"] == "majority"
        target = 1.0 if is_relative else augment["target"]
        fill_smallest = None if augment["fill_smallest"] == "all" else augment["fill_smallest"]
        of_share = target if target <= 1 else max(target * share, 2)
        return cls(of_share, fill_smallest, augment["copies_per_image"], augment["seed"])


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy to make of the image ``source_id``; ``number`` is 1 for the first copy of that image."""

    source_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Source:
    """An image to copy: its id, its file in the resized folder, and the checksum of that file."""

    image_id: str
    path: str
    checksum: str


@dataclass(frozen=True, slots=True)
class MadeCopy:
    """A finished copy: its id, its file, its source, the file's checksum, and why earlier draws were rejected.

    ``by_fallback`` is True if a guard's fallback made it. ``shown`` is what the guard says of the copy: at least 1 if
    it shows its labels, infinite if it has none; None without a guard.
    """

    image_id: str
    path: str
    source: Source
    checksum: str
    rejections: tuple[str, ...]
    by_fallback: bool = False
    shown: float | None = None

    @property
    def hides_labels(self) -> bool:
        """Whether no draw showed the labels, not even one of the fallback, so that the best of all was taken."""
        return self.shown is not None and self.shown < 1


def target_size(largest: int, target: float) -> int:
    """Return the number of images that each group is to have.

    Parameters
    ----------
    largest : int
        Images of the largest group.
    target : float
        Up to 1, a fraction of the largest group; above 1, a number of images. Rounded to whole images.

    Examples
    --------
    >>> target_size(300, 1.0), target_size(300, 0.5), target_size(300, 500)
    (300, 150, 500)
    """
    return round(largest * target if target <= 1 else target)


def copies_needed(
    sizes: Mapping[Group, int], *, target: float = 1.0, fill_smallest: int | None = None
) -> dict[Group, int]:
    """Return the number of copies that each minority group needs to reach the target size, sorted by group.

    Groups that need none are left out.

    Parameters
    ----------
    sizes : mapping of int or str to int
        Train images per cluster or class.
    target : float
        See `target_size`.
    fill_smallest : int, optional
        Number of groups that count as minority, the smallest first; among equally small groups, the last comes first.
        By default all groups below the target.

    Examples
    --------
    >>> copies_needed({0: 19118, 1: 16265, 2: 14019, 3: 8651, 4: 6621}, fill_smallest=2)
    {3: 10467, 4: 12497}
    """
    size = target_size(max(sizes.values()), target)
    smallest = sorted(sorted(sizes, reverse=True), key=lambda group: sizes[group])[:fill_smallest]
    return {group: size - sizes[group] for group in sorted(smallest) if sizes[group] < size}


def allocate_copies(
    members: Sequence[str],
    copies: int,
    *,
    seed: int,
    max_per_image: int | None = None,
    existing: Mapping[str, int] | None = None,
    unusable: AbstractSet[str] = frozenset(),
    weights: Mapping[str, float] | None = None,
) -> list[Copy]:
    """Choose the sources of a group's copies, evenly or in proportion to weights.

    Without weights, no image gets a second copy before each has its first. With weights, copies are allocated like
    seats by the D'Hondt method: the next copy goes to the image with the highest weight / number of its next copy.

    Parameters
    ----------
    members : sequence of str
        Ids of the group's images.
    copies : int
        Number of copies to allocate; there are fewer if ``max_per_image`` or ``unusable`` leaves no source.
    seed : int
        Seed of the order among images with equal claims.
    max_per_image : int, optional
        Maximum number of copies per image.
    existing : mapping of str to int, optional
        Number of copies that images already have.
    unusable : set of str
        Images to leave out, because they give no usable copy.
    weights : mapping of str to float, optional
        Weight of each image, above 0.

    Examples
    --------
    >>> [copy.number for copy in allocate_copies(["a", "b"], 3, seed=0)]
    [1, 1, 2]
    >>> [copy.source_id for copy in allocate_copies(["a", "b"], 4, seed=0, weights={"a": 3.0, "b": 1.0})].count("a")
    3
    """
    order = sorted(members)
    random.Random(seed).shuffle(order)
    order = [image for image in order if image not in unusable]
    counts, weight_of = existing or {}, weights or {}
    first = np.array([counts.get(image, 0) for image in order], dtype=np.int64) + 1
    weight = np.array([weight_of.get(image, 1.0) for image in order], dtype=np.float64)
    last = _last_claims(first, weight, copies, max_per_image)
    claims = np.maximum(last - first + 1, 0)
    # Each image's numbers, from its first to its last.
    position = np.repeat(np.arange(len(order)), claims)
    number = np.arange(len(position)) + np.repeat(first - claims.cumsum() + claims, claims)
    strongest = (number / weight[position]).argsort(kind="stable")[: max(copies, 0)]
    pairs = zip(position[strongest].tolist(), number[strongest].tolist(), strict=True)
    return [Copy(order[i], n) for i, n in pairs]


def _last_claims(
    first: NDArray[np.int64], weight: NDArray[np.float64], copies: int, max_per_image: int | None
) -> NDArray[np.int64]:
    """Return a last number of each image such that the copies up to it include those that `allocate_copies` chooses.

    The strongest claims are those with a quotient, number / weight, up to some limit, which a bisection finds.
    """

    def numbers_below(limit: float) -> NDArray[np.int64]:
        numbers = np.floor(limit * weight).astype(np.int64)
        return numbers if max_per_image is None else np.minimum(numbers, max_per_image)

    def n_below(limit: float) -> int:
        return int(np.maximum(numbers_below(limit) - first + 1, 0).sum())

    if not len(first) or copies <= 0:
        return first - 1
    if max_per_image is not None and np.maximum(max_per_image - first + 1, 0).sum() <= copies:
        return np.full_like(first, max_per_image)
    low, high = 0.0, 1.0
    while n_below(high) < copies:
        low, high = high, 2 * high
    while n_below(high) > copies + len(first):
        middle = (low + high) / 2
        low, high = (middle, high) if n_below(middle) < copies else (low, middle)
    # One more, because a quotient may be rounded to the limit.
    more = numbers_below(high) + 1
    return more if max_per_image is None else np.minimum(more, max_per_image)
