"""Groups of images that show the same picture, byte for byte or nearly.

Near duplicates are found by a 64-bit perceptual hash (the DCT of the brightness, as computed by ImageHash), which
hardly changes when a picture is scaled, re-encoded, or made brighter or more colorful.

With a camera that does not move, all pictures are near each other. Pairs are therefore streamed and never held at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from counterweight.images.perceptual_hash import BITS

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class ImageGroups:
    """The picture that each image shows; the same if the hashes (without one, the bytes) are the same."""

    group: Indices  # (n_images,): picture of each image, numbered from 0 as they occur
    hashes: NDArray[np.uint64]  # (n_pictures,): perceptual hash; 0 if the picture has none
    hashed: NDArray[np.bool_]  # (n_pictures,): whether the picture has a hash


def group_identical_images(checksums: Sequence[str], hashes: Sequence[int | None]) -> ImageGroups:
    """Number the pictures that images show, given the SHA-256 and the perceptual hash of each image."""
    number: dict[int | str, int] = {}
    keys = [checksum if hash is None else hash for checksum, hash in zip(checksums, hashes, strict=True)]
    group = np.array([number.setdefault(key, len(number)) for key in keys], dtype=np.intp)
    return ImageGroups(
        group,
        np.array([key if isinstance(key, int) else 0 for key in number], dtype=np.uint64),
        np.array([isinstance(key, int) for key in number], dtype=np.bool_),
    )


def near_pairs(hashes: NDArray[np.uint64], distance: int) -> Iterator[tuple[Indices, Indices, Indices]]:
    """Yield all pairs of hashes that differ in few bits, each pair once, in batches.

    Two hashes that differ in at most d bits agree in at least one of d + 1 parts of their bits, so only hashes that
    share a part are compared.

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
    edges = np.linspace(0, BITS, distance + 2).round().astype(int).tolist()
    parts = [(hashes >> np.uint64(start)) & np.uint64(2 ** (end - start) - 1) for start, end in pairwise(edges)]
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
            for earlier in parts[:number]:  # A pair with several equal parts was found by the first of them.
                new &= earlier[i] != earlier[j]
            if new.any():
                yield i[new], j[new], bits[new]


def near_duplicate_groups(pictures: ImageGroups, distance: int) -> Indices:
    """Return the group of each image, shape (n_images,): the connected components of the near-duplicate relation.

    ``distance`` is the maximum number of bits in which the hashes of near duplicates differ.
    """
    group, hashed = np.arange(len(pictures.hashes)), np.flatnonzero(pictures.hashed)
    for first, second, _ in near_pairs(pictures.hashes[hashed], distance):
        ends = group[hashed[first]], group[hashed[second]]
        apart = ends[0] != ends[1]
        if apart.any():
            edges = (ends[0][apart], ends[1][apart])
            graph = coo_array((np.ones(len(edges[0]), np.int8), edges), shape=(len(group), len(group)))
            group = connected_components(graph, directed=False)[1][group]
    return np.asarray(group[pictures.group], dtype=np.intp)
