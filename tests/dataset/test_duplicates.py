import itertools
import tracemalloc
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from counterweight.base import manifest
from counterweight.base.errors import InputError
from counterweight.dataset.duplicates import (
    duplicates_table,
    groups_of,
    near_pairs,
    pictures_of,
    summary,
    superfluous,
    without,
)

# Three pictures: a twice as the same bytes and once nearly, b and something near it, and c alone.
CHECKSUMS = ["a", "a", "a2", "b", "b2", "c"]
HASHES = [0b1111, 0b1111, 0b1110, 0b1111 << 20, 0b0111 << 20, 0b1111 << 40]
SPLITS = ["train", "train", "test", "val", "train", "train"]
TARGETS = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [1, 1], [0, 0]])


def listed(
    checksums: Sequence[str],
    hashes: Sequence[int | None],
    splits: Sequence[str],
    targets: NDArray[np.integer],
    distance: int = 2,
    dropped: Collection[int] = (),
) -> pd.DataFrame:
    """The table, with ids 0, 1, ... in rows 2, 3, ..."""
    pictures = pictures_of(checksums, hashes)
    return duplicates_table(
        pictures,
        groups_of(pictures, distance),
        checksums=checksums,
        rows=range(2, len(checksums) + 2),
        image_ids=[str(i) for i in range(len(checksums))],
        splits=splits,
        targets=targets,
        distance=distance,
        dropped=dropped,
    )


def test_images_with_the_same_bytes_and_with_near_hashes_are_a_group() -> None:
    assert groups_of(pictures_of(CHECKSUMS, HASHES), 2).tolist() == [0, 0, 0, 1, 1, 2]


def test_a_group_goes_on_from_near_to_near() -> None:
    assert groups_of(pictures_of(list("abcd"), [0b000, 0b001, 0b011, 0xFF00]), 1).tolist() == [0, 0, 0, 1]


def test_each_image_is_listed_with_its_nearest_with_leaks_and_with_other_labels() -> None:
    assert [list(row) for row in listed(CHECKSUMS, HASHES, SPLITS, TARGETS).itertuples(index=False)] == [
        [0, 2, "0", "train", "exact", "1", 0, "2", "", 0],
        [0, 3, "1", "train", "exact", "0", 0, "2", "", 0],
        [0, 4, "2", "test", "near", "0", 1, "", "", 0],
        [1, 5, "3", "val", "near", "4", 1, "", "4", 0],
        [1, 6, "4", "train", "near", "3", 1, "3", "3", 0],
    ]


@pytest.mark.parametrize(
    ("splits", "leaks"),
    [
        (["train", "val"], ["1", ""]),
        (["test", "train"], ["", "0"]),
        (["val", "test"], ["1", ""]),
        (["test", "test"], ["", ""]),
    ],
)
@pytest.mark.parametrize("hashes", [[1, 1], [1, 3]])
def test_an_image_leaks_into_a_part_that_is_judged_later(
    splits: list[str], leaks: list[str], hashes: list[int]
) -> None:
    assert listed(["a", "b"], hashes, splits, TARGETS[:2])["leak"].tolist() == leaks


def test_a_val_image_leaks_into_test_past_a_nearer_one_in_val() -> None:
    table = listed(["a", "b", "c"], [0b000, 0b001, 0b110], ["val", "val", "test"], TARGETS[:3])
    assert table["leak"].tolist() == ["2", "", ""]


def test_a_label_that_is_missing_contradicts_none() -> None:
    table = listed(["a", "a"], [1, 1], ["train"] * 2, np.array([[1, -1], [1, 1]]))
    assert table["other_labels"].tolist() == ["", ""]


def test_the_first_image_with_other_labels_is_named_of_equal_ones() -> None:
    table = listed(["a"] * 4, [1] * 4, ["train"] * 4, np.array([[1], [1], [0], [0]]))
    assert table["other_labels"].tolist() == ["2", "2", "0", "0"]


def test_what_is_dropped_is_a_duplicate_of_what_stays() -> None:
    assert superfluous(pictures_of(CHECKSUMS, HASHES), SPLITS, 2) == {0: 2, 1: 2, 4: 3}


def test_test_rows_stay_though_they_are_equal() -> None:
    assert superfluous(pictures_of(list("aaa"), [1, 1, 1]), ["test", "train", "test"], 2) == {1: 0}


def test_an_image_is_not_dropped_for_one_that_is_dropped_itself() -> None:
    assert superfluous(pictures_of(list("abc"), [0b00, 0b01, 0b11]), ["train"] * 3, 1) == {1: 0}


def test_images_are_counted() -> None:
    table = listed(CHECKSUMS, HASHES, SPLITS, TARGETS, dropped={0: 2})
    assert summary(table) == {"groups": 2, "exact": 2, "near": 3, "leaks": 2, "other_labels": 2, "dropped": 1}


def test_images_without_a_hash_are_equal_only_in_their_bytes() -> None:
    assert groups_of(pictures_of(["a", "b", "a"], [None, None, None]), 4).tolist() == [0, 1, 0]


def test_where_nothing_stands_twice_the_table_is_empty() -> None:
    table = listed(["a", "b"], [0, 0xFF], ["train"] * 2, TARGETS[:2])
    assert len(table) == 0
    assert set(summary(table).values()) == {0}


def test_twenty_thousand_equal_images_with_labels_of_their_own_are_not_compared_all_with_all() -> None:
    count = 20_000
    labels = (np.arange(count)[:, None] >> np.arange(15)) & 1
    table = listed(["a"] * count, [7] * count, ["train"] * count, labels)
    assert (table["of"].iloc[0], table["of"].iloc[-1]) == ("1", "0")
    assert (table["other_labels"].iloc[0], table["other_labels"].iloc[-1]) == ("1", "0")


def test_pictures_that_all_resemble_each_other_are_looked_at_in_little_memory() -> None:
    # A camera that does not move: hashes that differ in ten of the bits, four thousand of them.
    rng = np.random.default_rng(0)
    hashes = np.unique(rng.integers(0, 2**12, 3000)).tolist()
    count = len(hashes)
    tracemalloc.start()
    table = listed([str(i) for i in range(count)], hashes, ["train"] * count, np.ones((count, 1)), distance=4)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert len(table) == count


@pytest.mark.parametrize("distance", [0, 1, 4, 12])
def test_pairs_are_those_that_comparing_all_with_all_gives(distance: int) -> None:
    rng = np.random.default_rng(distance)
    middle = rng.integers(0, 2**63, 40, dtype=np.uint64)
    near = [middle]
    for flips in (1, 3, 9):
        bits = np.array([rng.choice(64, flips, replace=False) for _ in middle], dtype=np.uint64)
        near.append(middle ^ np.bitwise_or.reduce(np.uint64(1) << bits, axis=1))
    hashes = np.unique(np.concatenate(near))
    wanted = [
        (i, j, bits)
        for i, j in itertools.combinations(range(len(hashes)), 2)
        if (bits := int(hashes[i] ^ hashes[j]).bit_count()) <= distance
    ]
    found = [pair for some in near_pairs(hashes, distance) for pair in zip(*map(np.ndarray.tolist, some), strict=True)]
    assert sorted((min(i, j), max(i, j), bits) for i, j, bits in found) == wanted


def test_images_are_taken_from_the_table() -> None:
    table = manifest.build(list("abc"), list("abc"), ["train", "train", "test"], ["x"], np.ones((3, 1)), list("123"))
    assert without(table, ["b"])["image_id"].tolist() == ["a", "c"]


def test_a_part_of_which_nothing_is_left_is_an_error() -> None:
    table = manifest.build(list("abc"), list("abc"), ["train", "val", "test"], ["x"], np.ones((3, 1)), list("123"))
    with pytest.raises(InputError) as error:
        without(table, ["a", "b"])
    assert "all images of train are duplicates of others, and none is left." in str(error.value)
    assert "all images of val are duplicates of others, and none is left." in str(error.value)
