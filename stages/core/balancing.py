"""How many copies each cluster needs, and which images they are made from."""

import random
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass


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


def copies_needed(sizes: Mapping[int, int], *, target: float = 1.0, minority: int | None = None) -> dict[int, int]:
    """Copies that each minority cluster needs to reach the target size.

    Parameters
    ----------
    sizes : mapping of int to int
        Train images per cluster.
    target : float in (0, 1]
        Wanted size as a fraction of the largest cluster, rounded to whole images; 1 is the majority count.
    minority : int, optional
        How many clusters count as minority, the smallest first; by default all below the target.

    Returns
    -------
    dict of int to int
        Copies by cluster, in the order of the clusters' numbers; a cluster that needs none is left out.

    Examples
    --------
    >>> copies_needed({0: 19118, 1: 16265, 2: 14019, 3: 8651, 4: 6621}, minority=2)
    {3: 10467, 4: 12497}
    """
    wanted = round(max(sizes.values()) * target)
    smallest = sorted(sizes, key=lambda cluster: (sizes[cluster], -cluster))[:minority]
    return {cluster: wanted - sizes[cluster] for cluster in sorted(smallest) if sizes[cluster] < wanted}


def choose_sources(
    members: Sequence[str],
    copies: int,
    *,
    seed: int,
    cap: int | None = None,
    made: Mapping[str, int] | None = None,
    unfit: AbstractSet[str] = frozenset(),
) -> list[Copy]:
    """Choose the sources of a cluster's copies, evenly: none gets a second copy before each has its first.

    Parameters
    ----------
    members : sequence of str
        Ids of the cluster's images.
    copies : int
        Copies wanted.
    seed : int
        Of the order in which the images take their turns.
    cap : int, optional
        Most copies of one image.
    made : mapping of str to int, optional
        Copies that images have already.
    unfit : set of str
        Images that give no good copy.

    Returns
    -------
    list of Copy
        At most ``copies``; fewer where the cap, or the lack of fit images, leaves no source.

    Examples
    --------
    >>> [copy.number for copy in choose_sources(["a", "b"], 3, seed=0)]
    [1, 1, 2]
    """
    turns = sorted(members)
    random.Random(seed).shuffle(turns)
    count = {image: (made or {}).get(image, 0) for image in turns if image not in unfit}
    chosen: list[Copy] = []
    while len(chosen) < copies:
        least = min(count.values(), default=None)
        if least is None or (cap is not None and least >= cap):
            break
        for image in [image for image in count if count[image] == least][: copies - len(chosen)]:
            count[image] += 1
            chosen.append(Copy(image, count[image]))
    return chosen
