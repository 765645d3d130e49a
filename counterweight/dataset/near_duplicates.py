"""Groups of images that show the same picture, byte for byte or nearly.

Near duplicates are found by a 64-bit perceptual hash (the DCT of the brightness, as computed by ImageHash), which
hardly changes when a picture is scaled, re-encoded, or made brighter or more colorful.

With a camera that does not move, all pictures are near each other. Pairs are therefore streamed and never held at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

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
    parts = _parts(hashes, distance)
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


def mirror_pairs(pictures: ImageGroups, distance: int) -> Iterator[tuple[Indices, Indices, Indices]]:
    """Yield pairs of pictures of which one is nearly the mirror image of the other, in both orders, as `near_pairs`.

    A picture that is nearly its own mirror image is no pair. Half of ``distance`` is allowed: a flip changes few bits,
    and simple pictures, such as single digits, may be near each other's mirror images by chance.
    """
    distance //= 2
    hashed = np.flatnonzero(pictures.hashed)
    hashes, mirrored = pictures.hashes[hashed], pictures.mirrored[hashed]
    parts = list(zip(_parts(hashes, distance), _parts(mirrored, distance), strict=True))
    for number, (part, mirror_part) in enumerate(parts):
        order = np.argsort(part, kind="stable")
        start, end = (np.searchsorted(part[order], mirror_part, side) for side in ("left", "right"))
        at, step = np.arange(len(order)), 0
        while len(at := at[start[at] + step < end[at]]):
            i, step = order[start[at] + step], step + 1
            bits = np.bitwise_count(hashes[i] ^ mirrored[at]).astype(np.intp)
            new = (bits <= distance) & (i != at)
            for earlier, mirror_earlier in parts[:number]:
                new &= earlier[i] != mirror_earlier[at]
            if new.any():
                yield hashed[i[new]], hashed[at[new]], bits[new]


def _parts(hashes: NDArray[np.uint64], distance: int) -> list[NDArray[np.uint64]]:
    """Divide hashes into one part more than the number of bits in which they may differ."""
    edges = np.linspace(0, BITS, distance + 2).round().astype(int).tolist()
    return [(hashes >> np.uint64(start)) & np.uint64(2 ** (end - start) - 1) for start, end in pairwise(edges)]


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
