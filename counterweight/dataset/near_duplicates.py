"""Groups of images that show the same picture, byte for byte or nearly.

Near duplicates are found by a 64-bit perceptual hash (the DCT of the brightness, as ImageHash computes it), which
hardly changes when a picture is scaled, re-encoded, or made brighter or more colorful.

With a camera that does not move, all pictures are near each other. Pairs are therefore streamed and never held at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, pairwise
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from counterweight.images.perceptual_hash import BITS

Indices = NDArray[np.intp]
_Part = tuple[int, int]  # Its first bit, and as many ones as it has bits.
_Choice = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class ImageGroups:
    """The picture that each image shows; the same if the hashes (without one, the bytes) are the same."""

    group: Indices  # (n_images,): picture of each image, numbered from 0 as they occur
    hashes: NDArray[np.uint64]  # (n_pictures,): perceptual hash; 0 if the picture has none
    hashed: NDArray[np.bool_]  # (n_pictures,): whether the picture has a hash
    mirrored: NDArray[np.uint64]  # (n_pictures,): perceptual hash of the mirror image; that of the picture if unknown


def group_identical_images(
    checksums: Sequence[str], hashes: Sequence[int | None], mirrored: Sequence[int | None] | None = None
) -> ImageGroups:
    """Number the pictures that images show.

    Parameters
    ----------
    checksums : sequence of str
        SHA-256 of each image.
    hashes, mirrored : sequence of int or None
        Perceptual hash of each image and of its mirror image.
    """
    number: dict[int | str, int] = {}
    keys = [checksum if hash is None else hash for checksum, hash in zip(checksums, hashes, strict=True)]
    group = np.array([number.setdefault(key, len(number)) for key in keys], dtype=np.intp)
    mirror_of = dict(zip(keys, mirrored if mirrored is not None else hashes, strict=True))
    return ImageGroups(
        group,
        np.array([key if isinstance(key, int) else 0 for key in number], dtype=np.uint64),
        np.array([isinstance(key, int) for key in number], dtype=np.bool_),
        np.array([mirror_of[key] or 0 for key in number], dtype=np.uint64),
    )


def near_pairs(hashes: NDArray[np.uint64], distance: int) -> Iterator[tuple[Indices, Indices, Indices]]:
    """Yield all pairs of hashes that differ in few bits, each pair once, in batches.

    Two hashes that differ in at most d bits agree in at least k of d + k parts of their bits, so only hashes that share
    k parts are compared, for each choice of k parts. The more hashes there are, the larger is k, so that the pairs that
    are compared grow hardly faster than the hashes (M. Norouzi et al., "Fast search in Hamming space with multi-index
    hashing", CVPR 2012, is the case k = 1).

    Parameters
    ----------
    hashes : array of uint64, shape (n,)
        Unique hashes.
    distance : int
        Maximum number of differing bits, 0 to 63.

    Yields
    ------
    first, second, bits : arrays of int, shape (n_pairs,)
        Indices of each pair and the number of bits in which it differs.
    """
    parts, choices = _divide(distance, len(hashes))
    for chosen, skipped in choices:
        key = _bits(hashes, parts, chosen)
        order = np.argsort(key, kind="stable")
        at, step = np.arange(len(order)), 0
        while len(at):
            step += 1
            at = at[at + step < len(order)]
            at = at[key[order[at]] == key[order[at + step]]]
            i, j = order[at], order[at + step]
            bits = np.bitwise_count(hashes[i] ^ hashes[j]).astype(np.intp)
            new = _is_first(hashes[i] ^ hashes[j], parts, skipped) & (bits <= distance)
            if new.any():
                yield i[new], j[new], bits[new]


def mirror_pairs(pictures: ImageGroups, distance: int) -> Iterator[tuple[Indices, Indices, Indices]]:
    """Yield pairs of pictures of which one is nearly the mirror image of the other, in both orders, as `near_pairs`.

    A picture that is nearly its own mirror image is no pair. Half of ``distance`` is allowed: a flip changes few bits,
    and simple pictures, such as single digits, may be near each other's mirror images by chance.
    """
    distance //= 2
    hashed = np.flatnonzero(pictures.hashed)
    hashes, mirrored = pictures.hashes[hashed], pictures.mirrored[hashed]
    parts, choices = _divide(distance, len(hashes))
    for chosen, skipped in choices:
        key, mirror_key = (_bits(each, parts, chosen) for each in (hashes, mirrored))
        order = np.argsort(key, kind="stable")
        start, end = (np.searchsorted(key[order], mirror_key, side) for side in ("left", "right"))
        at, step = np.arange(len(order)), 0
        while len(at := at[start[at] + step < end[at]]):
            i, step = order[start[at] + step], step + 1
            bits = np.bitwise_count(hashes[i] ^ mirrored[at]).astype(np.intp)
            new = _is_first(hashes[i] ^ mirrored[at], parts, skipped) & (bits <= distance) & (i != at)
            if new.any():
                yield hashed[i[new]], hashed[at[new]], bits[new]


def _divide(distance: int, count: int) -> tuple[list[_Part], list[_Choice]]:
    """Divide 64 bits into parts, of which two of so many hashes that are near each other share all of a choice.

    With each choice of parts comes what was skipped: the others before its last, of which none is shared if no earlier
    choice has found the pair.
    """

    def nanoseconds(n_chosen: int) -> float:
        # Rough; of a hash's bits, about a third says nothing new. Only the speed depends on these figures.
        in_key = 0.65 * BITS * n_chosen / (distance + n_chosen)
        return comb(distance + n_chosen, n_chosen) * (300 * count + 40 * count**2 / 2**in_key)

    n_chosen = min(range(1, min(5, BITS - distance) + 1), key=nanoseconds)
    edges = np.linspace(0, BITS, distance + n_chosen + 1).round().astype(int).tolist()
    parts = [(start, 2 ** (end - start) - 1) for start, end in pairwise(edges)]
    choices = combinations(range(len(parts)), n_chosen)
    return parts, [(chosen, tuple({*range(chosen[-1])} - {*chosen})) for chosen in choices]


def _bits(hashes: NDArray[np.uint64], parts: Sequence[_Part], chosen: Sequence[int]) -> NDArray[np.uint64]:
    """Return the bits of some parts, and 0 for all others."""
    mask = sum(bits << start for start, bits in (parts[number] for number in chosen))
    return hashes & np.uint64(mask)


def _is_first(differences: NDArray[np.uint64], parts: Sequence[_Part], skipped: Sequence[int]) -> NDArray[np.bool_]:
    """Return whether all parts that a choice skipped differ, so that no earlier choice has found the pair."""
    result = np.ones(len(differences), np.bool_)
    for number in skipped:
        result &= _bits(differences, parts, [number]) != 0
    return result


def near_duplicate_groups(pictures: ImageGroups, distance: int) -> Indices:
    """Return the group of each image, shape (n_images,): the connected components of the near-duplicate relation.

    ``distance`` is the maximum number of bits in which the hashes of near duplicates differ.
    """
    group, hashed = np.arange(len(pictures.hashes)), np.flatnonzero(pictures.hashed)
    near = ((hashed[first], hashed[second]) for first, second, _ in near_pairs(pictures.hashes[hashed], distance))
    mirrored = ((first, second) for first, second, _ in mirror_pairs(pictures, distance))
    for first, second in chain(near, mirrored):
        ends = group[first], group[second]
        apart = ends[0] != ends[1]
        if apart.any():
            edges = (ends[0][apart], ends[1][apart])
            graph = coo_array((np.ones(len(edges[0]), np.int8), edges), shape=(len(group), len(group)))
            group = connected_components(graph, directed=False)[1][group]
    return np.asarray(group[pictures.group], dtype=np.intp)
