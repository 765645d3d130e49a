"""Images that stand there more than once: as the same bytes, or as nearly the same picture.

Near duplicates are found by the 64 bits of a perceptual hash (the DCT of the brightness, as the ImageHash library
computes it), which hardly changes when a picture is scaled, encoded anew, or made brighter or more colourful.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stages.core.errors import raise_problems
from stages.core.hashing import BITS
from stages.core.manifest import MISSING, SPLITS

# Whose images stay, where of several one is to stay: test rows are what results are compared on.
_PRECEDENCE = {"test": 0, "val": 1, "train": 2}

Key = TypeVar("Key")


@dataclass(frozen=True)
class Duplicates:
    """The outcome of `find_duplicates`.

    Attributes
    ----------
    checksums : list of str
        Of each image.
    pictures : array of int, shape (n_images,)
        A number for each image; those with the same hash (or, without one, the same bytes) have the same.
    near : dict of int to dict of int to int
        For each picture, those whose hash is near, with the bits in which they differ.
    groups : array of int, shape (n_images,)
        A number for each image; images are in a group if one leads to the other by steps from near to near.
    """

    checksums: list[str]
    pictures: NDArray[np.intp]
    near: dict[int, dict[int, int]]
    groups: NDArray[np.intp]


def find_duplicates(checksums: Sequence[str], hashes: Sequence[int | None], distance: int) -> Duplicates:
    """Find the images that stand there more than once.

    Parameters
    ----------
    checksums : sequence of str
        SHA-256 of each image.
    hashes : sequence of int or None
        Perceptual hash of each.
    distance : int
        Most bits in which the hashes of near duplicates differ.
    """
    number: dict[int | str, int] = {}
    pictures = np.array(
        [
            number.setdefault(checksum if hash is None else hash, len(number))
            for checksum, hash in zip(checksums, hashes, strict=True)
        ],
        dtype=np.intp,
    )
    hashed = [key for key in number if isinstance(key, int)]
    near: dict[int, dict[int, int]] = defaultdict(dict)
    first, second, bits = near_pairs(np.array(hashed, dtype=np.uint64), distance)
    for i, j, differing in zip(first.tolist(), second.tolist(), bits.tolist(), strict=True):
        a, b = number[hashed[i]], number[hashed[j]]
        near[a][b] = near[b][a] = differing
    starts = [a for a, others in near.items() for _ in others]
    ends = [b for others in near.values() for b in others]
    graph = coo_array((np.ones(len(starts), np.int8), (starts, ends)), shape=(len(number), len(number)))
    _, of_picture = connected_components(graph, directed=False)
    return Duplicates(list(checksums), pictures, dict(near), np.asarray(of_picture, dtype=np.intp)[pictures])


def near_pairs(
    hashes: NDArray[np.uint64], distance: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """All pairs of hashes that differ in few bits.

    Two hashes that differ in at most d bits are equal in at least one of d + 1 parts of their bits, so that only those
    with an equal part need be compared.

    Parameters
    ----------
    hashes : array of uint64, shape (n,)
        Each once.
    distance : int
        The most bits, 0 to 63.

    Returns
    -------
    first, second, bits : arrays of int, shape (n_pairs,)
        Indices of each pair, the smaller first, and the bits in which it differs.
    """
    found = [np.empty((3, 0), np.intp)]
    edges = np.linspace(0, BITS, distance + 2).round().astype(int)
    for start, end in pairwise(edges.tolist()):
        part = (hashes >> np.uint64(start)) & np.uint64(2 ** (end - start) - 1)
        order = np.argsort(part, kind="stable")
        at, step = np.arange(len(order)), 0
        while len(at):
            step += 1
            at = at[at + step < len(order)]
            at = at[part[order[at]] == part[order[at + step]]]
            i, j = order[at], order[at + step]
            bits = np.bitwise_count(hashes[i] ^ hashes[j]).astype(np.intp)
            close = bits <= distance
            found.append(np.stack([i[close], j[close], bits[close]]))
    pairs = np.unique(np.concatenate(found, axis=1), axis=1)
    return pairs[0], pairs[1], pairs[2]


def superfluous(found: Duplicates, splits: Sequence[str]) -> dict[int, int]:
    """Images to drop so that none is a duplicate of another, each with the one that stays in its place.

    Test images stay first, then those of val: what is dropped is dropped from train, where it can be.

    Parameters
    ----------
    found : Duplicates
        What `find_duplicates` returned.
    splits : sequence of str
        The part of each image.
    """
    instead: dict[int, int] = {}
    taken: dict[int, int] = {}
    for i in sorted(range(len(splits)), key=lambda i: (_PRECEDENCE[splits[i]], i)):
        picture = int(found.pictures[i])
        standing = [taken[other] for other in (picture, *found.near.get(picture, ())) if other in taken]
        if standing:
            instead[i] = standing[0]
        else:
            taken[picture] = i
    return instead


COLUMNS = ("group", "row", "image_id", "split", "kind", "of", "bits", "leak", "other_labels", "dropped")


def duplicates_table(
    found: Duplicates,
    *,
    rows: Sequence[int],
    image_ids: Sequence[str],
    splits: Sequence[str],
    targets: NDArray[np.integer],
    dropped: Collection[int],
) -> pd.DataFrame:
    """A row for each image that stands there more than once.

    Parameters
    ----------
    found : Duplicates
        What `find_duplicates` returned.
    rows : sequence of int
        The row of the sheet for each image, as the sheet counts them.
    image_ids, splits : sequences of str
        Of each image.
    targets : array of int, shape (n_images, n_labels)
        1 has it, 0 has it not, -1 nobody knows.
    dropped : collection of int
        Which images do not stay in the dataset.

    Returns
    -------
    pandas.DataFrame
        ``group`` (from 0), ``row``, ``image_id``, ``split``; ``kind``: exact where another has the same bytes, near
        otherwise; ``of``: the nearest other, and in how many ``bits`` their hashes differ; ``leak``: the nearest image
        of val or test, of a train image; ``other_labels``: the first near image with other labels; ``dropped``: 1 if
        it was. Cells are empty where there is none.
    """
    # Many images may be equal, so that none is compared with all others: of those with the same picture or the same
    # bytes, the first ones stand for all.
    pictures = found.pictures.tolist()
    of_picture, of_bytes = _first_two(pictures), _first_two(found.checksums)
    judging = dict(reversed([(pictures[i], i) for i, split in enumerate(splits) if split in {"val", "test"}]))
    labelled: dict[int, dict[bytes, int]] = defaultdict(dict)
    for i, picture in enumerate(pictures):
        labelled[picture].setdefault(targets[i].tobytes(), i)
    numbers: dict[int, int] = {}
    lines = []
    for i in np.flatnonzero(np.bincount(found.groups)[found.groups] > 1).tolist():
        close = [(0, pictures[i]), *sorted((bits, other) for other, bits in found.near.get(pictures[i], {}).items())]
        exact = [(0, j) for j in of_bytes[found.checksums[i]] if j != i]
        others = exact + [(bits, j) for bits, picture in close for j in of_picture[picture] if j != i]
        leaks = [judging[picture] for _, picture in close if picture in judging and splits[i] == "train"]
        conflicts = [j for _, picture in close for j in labelled[picture].values() if _differ(targets[i], targets[j])]
        bits, nearest = others[0]
        lines.append(
            (
                numbers.setdefault(int(found.groups[i]), len(numbers)), rows[i], image_ids[i], splits[i],
                "exact" if exact else "near", image_ids[nearest], bits,
                *(image_ids[images[0]] if images else "" for images in (leaks, conflicts)), int(i in dropped),
            )
        )  # fmt: skip
    return pd.DataFrame(lines, columns=list(COLUMNS)).sort_values(["group", "row"], ignore_index=True)


def without(table: pd.DataFrame, image_ids: Collection[str]) -> pd.DataFrame:
    """A manifest without some of its images.

    Raises
    ------
    InputError
        If a part had images and has none any more.
    """
    left = table[~table["image_id"].isin(image_ids)].reset_index(drop=True)
    gone = [part for part in SPLITS if part in set(table["split"]) - set(left["split"])]
    raise_problems(
        [
            f"all images of {part} are duplicates of others, and none is left. Set data.duplicates to report, or give "
            f"{part} other images."
            for part in gone
        ],
        "duplicates",
    )
    return left


def _first_two(keys: Sequence[Key]) -> dict[Key, list[int]]:
    """The first two places of each key."""
    places: dict[Key, list[int]] = defaultdict(list)
    for i, key in enumerate(keys):
        if len(places[key]) < 2:
            places[key].append(i)
    return places


def summary(table: pd.DataFrame) -> dict[str, int]:
    """Count what `duplicates_table` lists.

    Returns
    -------
    dict of str to int
        ``groups``; ``exact`` and ``near``: images that have a duplicate of that kind; ``leaks``: train images that
        also stand in val or test; ``other_labels``: images with a near one that has other labels; ``dropped``.
    """
    return {
        "groups": int(table["group"].nunique()),
        "exact": int((table["kind"] == "exact").sum()),
        "near": int((table["kind"] == "near").sum()),
        "leaks": int((table["leak"] != "").sum()),
        "other_labels": int((table["other_labels"] != "").sum()),
        "dropped": int(table["dropped"].sum()),
    }


def _differ(one: NDArray[np.integer], other: NDArray[np.integer]) -> bool:
    known = (one != MISSING) & (other != MISSING)
    return bool((one[known] != other[known]).any())
