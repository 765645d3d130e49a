"""Images that stand there more than once: as the same bytes, or as nearly the same picture.

Near duplicates are found by the 64 bits of a perceptual hash (the DCT of the brightness, as the ImageHash library
computes it), which hardly changes when a picture is scaled, encoded anew, or made brighter or more colourful.

Where a camera does not move, all pictures are near each other. So pairs are looked at as they are found and never all
held, and of each image only the nearest other one is kept.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from counterweight.base.errors import raise_problems
from counterweight.base.manifest import MISSING, SPLITS
from counterweight.images.perceptual_hash import BITS

Indices = NDArray[np.intp]

COLUMNS = ("group", "row", "image_id", "split", "kind", "of", "bits", "leak", "other_labels", "dropped")

# Results on a part are worth nothing where an image of an earlier one is in it.
_LATER = {"train": 0, "val": 1, "test": 2}


@dataclass(frozen=True)
class Pictures:
    """Images by what they show.

    Attributes
    ----------
    of : array of int, shape (n_images,)
        A number for each image; those with the same hash (or, without one, the same bytes) have the same.
    hashes : array of uint64, shape (n_pictures,)
        Of each picture; 0 where it has none.
    hashed : array of bool, shape (n_pictures,)
        Whether it has one.
    """

    of: Indices
    hashes: NDArray[np.uint64]
    hashed: NDArray[np.bool_]


def pictures_of(checksums: Sequence[str], hashes: Sequence[int | None]) -> Pictures:
    """Number the pictures that images show.

    Parameters
    ----------
    checksums : sequence of str
        SHA-256 of each image.
    hashes : sequence of int or None
        Perceptual hash of each.

    Returns
    -------
    Pictures
        Numbered in the order of the images.
    """
    number: dict[int | str, int] = {}
    keys = [checksum if hash is None else hash for checksum, hash in zip(checksums, hashes, strict=True)]
    of = np.array([number.setdefault(key, len(number)) for key in keys], dtype=np.intp)
    return Pictures(
        of,
        np.array([key if isinstance(key, int) else 0 for key in number], dtype=np.uint64),
        np.array([isinstance(key, int) for key in number], dtype=np.bool_),
    )


def near_pairs(hashes: NDArray[np.uint64], distance: int) -> Iterator[tuple[Indices, Indices, Indices]]:
    """All pairs of hashes that differ in few bits, each once, some at a time.

    Two hashes that differ in at most d bits are equal in at least one of d + 1 parts of their bits, so that only those
    with an equal part need be compared.

    Parameters
    ----------
    hashes : array of uint64, shape (n,)
        Each once.
    distance : int
        The most bits, 0 to 63.

    Yields
    ------
    first, second, bits : arrays of int, shape (n_pairs,)
        Indices of each pair, the smaller first, and the bits in which it differs.
    """
    edges = np.linspace(0, BITS, distance + 2).round().astype(int).tolist()
    parts = [
        (hashes >> np.uint64(start)) & np.uint64(2 ** (end - start) - 1 if end - start < BITS else 2**BITS - 1)
        for start, end in pairwise(edges)
    ]
    for number, part in enumerate(parts):
        order = np.argsort(part, kind="stable")
        at, step = np.arange(len(order)), 0
        while len(at):
            step += 1
            at = at[at + step < len(order)]
            at = at[part[order[at]] == part[order[at + step]]]
            i, j = order[at], order[at + step]
            bits = np.bitwise_count(hashes[i] ^ hashes[j]).astype(np.intp)
            new = bits <= distance
            for earlier in parts[:number]:  # A pair that has two equal parts was found by the first.
                new &= earlier[i] != earlier[j]
            if new.any():
                yield i[new], j[new], bits[new]


def groups_of(pictures: Pictures, distance: int) -> Indices:
    """Number the groups of images of which steps from near to near lead from each to the others.

    Parameters
    ----------
    pictures : Pictures
        What the images show.
    distance : int
        Most bits in which the hashes of near duplicates differ.

    Returns
    -------
    array of int, shape (n_images,)
        A number for each image.
    """
    group, hashed = np.arange(len(pictures.hashes)), np.flatnonzero(pictures.hashed)
    for one, two, _ in near_pairs(pictures.hashes[hashed], distance):
        ends = group[hashed[one]], group[hashed[two]]
        apart = ends[0] != ends[1]
        if apart.any():
            edges = (ends[0][apart], ends[1][apart])
            graph = coo_array((np.ones(len(edges[0]), np.int8), edges), shape=(len(group), len(group)))
            group = connected_components(graph, directed=False)[1][group]
    return np.asarray(group[pictures.of], dtype=np.intp)


def superfluous(pictures: Pictures, splits: Sequence[str], distance: int) -> dict[int, int]:
    """Images of train and val to drop, so that none is a duplicate of one that stays.

    Test rows stay as they are: they are what results are compared on. Of val and train, in this order, an image stays
    that is near none that stays already.

    Parameters
    ----------
    pictures : Pictures
        What the images show.
    splits : sequence of str
        The part of each image.
    distance : int
        Most bits in which the hashes of near duplicates differ.

    Returns
    -------
    dict of int to int
        Each image to drop, and the one that stays in its place.
    """
    # The image that stands for a picture, once it or a near one was met.
    stands = np.full(len(pictures.hashes), -1, dtype=np.intp)
    near = np.zeros(len(pictures.hashes), dtype=np.bool_)
    for first, second, _ in near_pairs(pictures.hashes[pictures.hashed], distance):
        near[np.flatnonzero(pictures.hashed)[np.concatenate([first, second])]] = True
    candidates = np.flatnonzero(near)
    instead: dict[int, int] = {}
    for i in sorted(range(len(splits)), key=lambda i: (-_LATER[splits[i]], i)):
        picture = pictures.of[i]
        if stands[picture] >= 0 and splits[i] != "test":
            instead[i] = int(stands[picture])
            continue
        same = [picture]
        if near[picture]:
            close = np.bitwise_count(pictures.hashes[candidates] ^ pictures.hashes[picture]) <= distance
            same = [picture, *candidates[close]]
        stands[same] = np.where(stands[same] < 0, i, stands[same])
    return instead


def duplicates_table(
    pictures: Pictures,
    groups: Indices,
    *,
    checksums: Sequence[str],
    rows: Sequence[int],
    image_ids: Sequence[str],
    splits: Sequence[str],
    targets: NDArray[np.integer],
    distance: int,
    dropped: Collection[int],
) -> pd.DataFrame:
    """A row for each image that stands there more than once.

    Parameters
    ----------
    pictures : Pictures
        What the images show.
    groups : array of int, shape (n_images,)
        What `groups_of` returned.
    checksums : sequence of str
        SHA-256 of each image.
    rows : sequence of int
        The row of the sheet for each image, as the sheet counts them.
    image_ids, splits : sequences of str
        Of each image.
    targets : array of int, shape (n_images, n_labels)
        1 has it, 0 has it not, -1 nobody knows.
    distance : int
        Most bits in which the hashes of near duplicates differ.
    dropped : collection of int
        Which images do not stay in the dataset.

    Returns
    -------
    pandas.DataFrame
        ``group`` (from 0), ``row``, ``image_id``, ``split``; ``kind``: exact where another has the same bytes, near
        otherwise; ``of``: the nearest other, and in how many ``bits`` their hashes differ; ``leak``: an image that is
        near and in a part that is judged later, val or test after train, test after val; ``other_labels``: one that is
        near and has other labels; ``dropped``: 1 if it was. Cells are empty where there is none. For each of these the
        image stands that is nearest and, among those, first.
    """
    of = pictures.of
    part = np.array([_LATER[split] for split in splits], dtype=np.intp)
    order = np.argsort(of, kind="stable")
    starts = np.searchsorted(of[order], np.arange(len(pictures.hashes)))
    first, sizes = order[starts], np.bincount(of)
    second = order[np.minimum(starts + 1, len(order) - 1)]  # where a picture has one
    judged = order[np.lexsort((order, -part[order], of[order]))][starts]  # the first image in the part judged last
    contrary = _first_contrary(of, targets, first)
    near = _near(pictures, first, part[judged], targets, distance)
    by_bytes: dict[str, list[int]] = {}
    for i, checksum in enumerate(checksums):
        if len(alike := by_bytes.setdefault(checksum, [])) < 2:
            alike.append(i)

    numbers: dict[int, int] = {}
    lines = []
    for i in np.flatnonzero((sizes[of] > 1) | (near.any >= 0)[of]).tolist():
        p = int(of[i])
        exact = [j for j in by_bytes[checksums[i]] if j != i]
        sibling = [int(first[p] if first[p] != i else second[p])] if sizes[p] > 1 else []
        beyond = [int(first[near.any[p]])] if near.any[p] >= 0 else []
        nearest = [*exact, *sibling, *beyond][0]
        leak = [int(judged[q]) for q in (p, *near.leaks(p, int(part[i]))) if part[judged[q]] > part[i]]
        disputed = [int(first[p]), *([int(contrary[p])] if contrary[p] >= 0 else [])]
        disputed += [int(first[near.other[p]])] if near.other[p] >= 0 else []
        conflict = [j for j in disputed if _differ(targets[i], targets[j])]
        bits = 0 if exact or sibling else int(np.bitwise_count(pictures.hashes[p] ^ pictures.hashes[near.any[p]]))
        lines.append(
            (
                numbers.setdefault(int(groups[i]), len(numbers)), rows[i], image_ids[i], splits[i],
                "exact" if exact else "near", image_ids[nearest], bits,
                *(image_ids[found[0]] if found else "" for found in (leak, conflict)), int(i in dropped),
            )
        )  # fmt: skip
    return pd.DataFrame(lines, columns=list(COLUMNS)).sort_values(["group", "row"], ignore_index=True)


@dataclass(frozen=True)
class _Near:
    """For each picture the nearest other one of a kind; -1 where there is none."""

    any: Indices
    judged: Indices
    tested: Indices
    other: Indices

    def leaks(self, picture: int, part: int) -> list[int]:
        """The nearest picture that is in a part that is judged later than this one."""
        later = int((self.judged, self.tested)[part][picture]) if part < 2 else -1
        return [later] if later >= 0 else []


def _near(pictures: Pictures, first: Indices, parts: Indices, targets: NDArray[np.integer], distance: int) -> _Near:
    """Look at all near pairs once; ``parts`` are those judged last of each picture."""
    count, hashed = len(first), np.flatnonzero(pictures.hashed)
    far = (BITS + 1) * count
    keys = {name: np.full(count, far, dtype=np.intp) for name in ("any", "judged", "tested", "other")}
    for one, two, bits in near_pairs(pictures.hashes[hashed], distance):
        for a, b in ((hashed[one], hashed[two]), (hashed[two], hashed[one])):
            key = bits * count + b
            for name, which in (
                ("any", slice(None)),
                ("judged", parts[b] >= _LATER["val"]),
                ("tested", parts[b] >= _LATER["test"]),
                ("other", _differ(targets[first[a]], targets[first[b]])),
            ):
                np.minimum.at(keys[name], a[which], key[which])
    return _Near(**{name: np.where(key < far, key % count, -1) for name, key in keys.items()})


def _first_contrary(of: Indices, targets: NDArray[np.integer], first: Indices) -> Indices:
    """The first image of each picture that has other labels than its first one; -1 where there is none."""
    contrary = np.full(len(first), -1, dtype=np.intp)
    found = np.flatnonzero(_differ(targets, targets[first[of]]))[::-1]
    contrary[of[found]] = found  # The last that is written is the first one.
    return contrary


def _differ(one: NDArray[np.integer], other: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether rows of labels contradict each other; a missing label contradicts none."""
    return np.asarray(((one != other) & (one != MISSING) & (other != MISSING)).any(axis=-1))


def without(table: pd.DataFrame, image_ids: Collection[str]) -> pd.DataFrame:
    """A manifest without some of its images.

    Parameters
    ----------
    table : pandas.DataFrame
        A manifest.
    image_ids : collection of str
        Which images to take out.

    Returns
    -------
    pandas.DataFrame
        The others, in their order.

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


def summary(table: pd.DataFrame) -> dict[str, int]:
    """Count what `duplicates_table` lists.

    Returns
    -------
    dict of str to int
        ``groups``; ``exact`` and ``near``: images that have a duplicate of that kind; ``leaks``: images that stay and
        are near one in a part that is judged later; ``other_labels``: images with a near one that has other labels;
        ``dropped``.
    """
    return {
        "groups": int(table["group"].nunique()),
        "exact": int((table["kind"] == "exact").sum()),
        "near": int((table["kind"] == "near").sum()),
        "leaks": int(((table["leak"] != "") & (table["dropped"] == 0)).sum()),
        "other_labels": int((table["other_labels"] != "").sum()),
        "dropped": int(table["dropped"].sum()),
    }
