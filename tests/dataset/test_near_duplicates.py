import itertools

import numpy as np
import pytest

from counterweight.dataset import near_duplicates
from counterweight.dataset.near_duplicates import (
    group_identical_images,
    mirror_pairs,
    near_duplicate_groups,
    near_pairs,
)

DIVIDE = near_duplicates._divide


def test_images_with_the_same_bytes_or_near_hashes_are_a_group() -> None:
    checksums, hashes = ["a", "a", "a2", "b", "b2", "c"], [15, 15, 14, 15 << 20, 7 << 20, 15 << 40]
    assert near_duplicate_groups(group_identical_images(checksums, hashes), 2).tolist() == [0, 0, 0, 1, 1, 2]


def test_a_group_is_a_chain_of_near_images() -> None:
    pictures = group_identical_images(list("abcd"), [0b000, 0b001, 0b011, 0xFF00])
    assert near_duplicate_groups(pictures, 1).tolist() == [0, 0, 0, 1]


def test_images_without_a_hash_are_compared_by_their_bytes() -> None:
    assert near_duplicate_groups(group_identical_images(["a", "b", "a"], [None, None, None]), 4).tolist() == [0, 1, 0]


@pytest.fixture(params=[100, 10**6, 10**9], autouse=True)
def as_many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare few hashes in the way in which so many are compared."""
    monkeypatch.setattr(near_duplicates, "_divide", lambda distance, count: DIVIDE(distance, request.param))


def test_the_more_hashes_the_more_parts_must_be_equal() -> None:
    chosen = [DIVIDE(4, count)[1][0][0] for count in (100, 10**4, 10**6, 10**8)]
    assert chosen == [(0,), (0, 1), (0, 1, 2), (0, 1, 2, 3, 4)]


@pytest.mark.parametrize("distance", [0, 1, 4, 12])
def test_near_pairs_are_those_of_a_pairwise_comparison(distance: int) -> None:
    rng = np.random.default_rng(distance)
    middle = rng.integers(0, 2**63, 40, dtype=np.uint64)
    near = [middle]
    for flips in (1, 3, 9):
        bits = np.array([rng.choice(64, flips, replace=False) for _ in middle], dtype=np.uint64)
        near.append(middle ^ np.bitwise_or.reduce(np.uint64(1) << bits, axis=1))
    hashes = np.unique(np.concatenate(near))
    expected = [
        (i, j, bits)
        for i, j in itertools.combinations(range(len(hashes)), 2)
        if (bits := int(hashes[i] ^ hashes[j]).bit_count()) <= distance
    ]
    pairs = [
        pair for batch in near_pairs(hashes, distance) for pair in zip(*map(np.ndarray.tolist, batch), strict=True)
    ]
    assert sorted((min(i, j), max(i, j), bits) for i, j, bits in pairs) == expected


@pytest.mark.parametrize("distance", [0, 1, 4, 12])
def test_mirror_pairs_are_those_of_a_pairwise_comparison(distance: int) -> None:
    rng = np.random.default_rng(distance)
    hashes = np.unique(rng.integers(1, 2**63, 60, dtype=np.uint64))
    mirrored = rng.permutation(hashes)
    bits = np.array([rng.choice(64, rng.integers(0, 16), replace=False).sum() % 64 for _ in hashes], dtype=np.uint64)
    mirrored = mirrored ^ (np.uint64(1) << bits)
    pictures = group_identical_images([str(i) for i in range(len(hashes))], hashes.tolist(), mirrored.tolist())
    expected = [
        (i, j, bits)
        for i, j in itertools.permutations(range(len(hashes)), 2)
        if (bits := int(hashes[i] ^ mirrored[j]).bit_count()) <= distance
    ]
    pairs = [
        pair
        for batch in mirror_pairs(pictures, 2 * distance + 1)
        for pair in zip(*map(np.ndarray.tolist, batch), strict=True)
    ]
    assert sorted(pairs) == expected


def test_a_picture_and_its_mirror_image_are_a_group() -> None:
    pictures = group_identical_images(list("abc"), [0b1111, 0xFF00, 0xF0000], [0xFF01, 0b0111, 0x1])
    assert near_duplicate_groups(pictures, 2).tolist() == [0, 0, 1]
