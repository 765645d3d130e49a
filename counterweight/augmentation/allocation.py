"""How many copies a group of images needs, and which images they are made from."""

import heapq
import random
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeVar

Group = TypeVar("Group", int, str)


@dataclass(frozen=True)
class Copy:
    """One copy to make.

    Attributes
    ----------
    source_id : str
        The image that it is made from.
    number : int
        1 for the first copy of that image.
    """

    source_id: str
    number: int


@dataclass(frozen=True)
class Source:
    """An image that copies may be made from: its id, its file in the resized folder, and that file's checksum."""

    image_id: str
    path: str
    checksum: str


@dataclass(frozen=True)
class MadeCopy:
    """A copy that was made: its id, file and source, and what was wrong with the draws before it."""

    image_id: str
    path: str
    source: Source
    checksum: str
    faults: tuple[str, ...]


def copies_needed(sizes: Mapping[Group, int], *, target: float = 1.0, minority: int | None = None) -> dict[Group, int]:
    """Copies that each minority group needs to reach the target size.

    Parameters
    ----------
    sizes : mapping of int or str to int
        Train images per cluster or class.
    target : float in (0, 1]
        Wanted size as a fraction of the largest group, rounded to whole images; 1 is the majority count.
    minority : int, optional
        How many groups count as minority, the smallest first and among equals the last; by default all below the
        target.

    Returns
    -------
    dict of int or str to int
        Copies by group, in the order of the groups; a group that needs none is left out.

    Examples
    --------
    >>> copies_needed({0: 19118, 1: 16265, 2: 14019, 3: 8651, 4: 6621}, minority=2)
    {3: 10467, 4: 12497}
    """
    wanted = round(max(sizes.values()) * target)
    smallest = sorted(sorted(sizes, reverse=True), key=lambda group: sizes[group])[:minority]
    return {group: wanted - sizes[group] for group in sorted(smallest) if sizes[group] < wanted}


def choose_sources(
    members: Sequence[str],
    copies: int,
    *,
    seed: int,
    cap: int | None = None,
    made: Mapping[str, int] | None = None,
    unfit: AbstractSet[str] = frozenset(),
    weights: Mapping[str, float] | None = None,
) -> list[Copy]:
    """Choose the sources of a group's copies: evenly, or in proportion to weights.

    Without weights no image gets a second copy before each has its first. With them copies are given out as seats are
    by d'Hondt's method: the next one to the image with the highest weight by the number that it would then have.

    Parameters
    ----------
    members : sequence of str
        Ids of the group's images.
    copies : int
        Copies wanted.
    seed : int
        Of the order in which images that are due alike take their turns.
    cap : int, optional
        Most copies of one image.
    made : mapping of str to int, optional
        Copies that images have already.
    unfit : set of str
        Images that give no good copy.
    weights : mapping of str to float, optional
        Above 0, by image.

    Returns
    -------
    list of Copy
        At most ``copies``; fewer where the cap, or the lack of fit images, leaves no source.

    Examples
    --------
    >>> [copy.number for copy in choose_sources(["a", "b"], 3, seed=0)]
    [1, 1, 2]
    >>> [copy.source_id for copy in choose_sources(["a", "b"], 4, seed=0, weights={"a": 3.0, "b": 1.0})].count("a")
    3
    """
    turns = sorted(members)
    random.Random(seed).shuffle(turns)
    had, share = made or {}, weights or {}

    def due(turn: int, number: int) -> list[tuple[float, int, int]]:
        """When an image's copy of that number is due, unless the image has reached the cap."""
        return [] if cap is not None and number > cap else [(number / share.get(turns[turn], 1.0), turn, number)]

    waiting = [
        entry for turn, image in enumerate(turns) if image not in unfit for entry in due(turn, had.get(image, 0) + 1)
    ]
    heapq.heapify(waiting)
    chosen: list[Copy] = []
    while waiting and len(chosen) < copies:
        _, turn, number = heapq.heappop(waiting)
        chosen.append(Copy(turns[turn], number))
        for entry in due(turn, number + 1):
            heapq.heappush(waiting, entry)
    return chosen
