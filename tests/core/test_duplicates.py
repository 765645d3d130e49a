import itertools

import numpy as np
import pytest

from stages.core import manifest
from stages.core.duplicates import (
    Duplicates,
    duplicates_table,
    find_duplicates,
    near_pairs,
    summary,
    superfluous,
    without,
)
from stages.core.errors import InputError

# Five pictures: a twice as the same bytes and once nearly, b and something near it, and c alone.
CHECKSUMS = ["a", "a", "a2", "b", "b2", "c"]
HASHES = [0b1111, 0b1111, 0b1110, 0b1111 << 20, 0b0111 << 20, 0b1111 << 40]
SPLITS = ["train", "train", "test", "val", "train", "train"]
TARGETS = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [1, 1], [0, 0]])


@pytest.fixture
def found() -> Duplicates:
    return find_duplicates(CHECKSUMS, HASHES, distance=2)


def table_of(found: Duplicates, dropped: dict[int, int]) -> list[list[object]]:
    table = duplicates_table(
        found,
        rows=[2, 3, 4, 5, 6, 7],
        image_ids=["0", "1", "2", "3", "4", "5"],
        splits=SPLITS,
        targets=TARGETS,
        dropped=dropped,
    )
    return [list(row) for row in table.itertuples(index=False)]


def test_images_with_the_same_bytes_and_with_near_hashes_are_a_group(found: Duplicates) -> None:
    assert found.groups.tolist() == [0, 0, 0, 1, 1, 2]


def test_each_image_is_listed_with_its_nearest_with_leaks_and_with_other_labels(found: Duplicates) -> None:
    assert table_of(found, {}) == [
        [0, 2, "0", "train", "exact", "1", 0, "2", "", 0],
        [0, 3, "1", "train", "exact", "0", 0, "2", "", 0],
        [0, 4, "2", "test", "near", "0", 1, "", "", 0],
        [1, 5, "3", "val", "near", "4", 1, "", "4", 0],
        [1, 6, "4", "train", "near", "3", 1, "3", "3", 0],
    ]


def test_a_label_that_is_missing_contradicts_none() -> None:
    found = find_duplicates(["a", "a"], [1, 1], distance=0)
    table = duplicates_table(
        found, rows=[2, 3], image_ids=["0", "1"], splits=["train"] * 2, targets=np.array([[1, -1], [1, 1]]), dropped={}
    )
    assert table["other_labels"].tolist() == ["", ""]


def test_what_is_dropped_is_a_duplicate_of_what_stays_and_test_rows_stay_first(found: Duplicates) -> None:
    assert superfluous(found, SPLITS) == {0: 2, 1: 2, 4: 3}


def test_an_image_is_not_dropped_for_one_that_is_dropped_itself() -> None:
    chain = find_duplicates(["a", "b", "c"], [0b00, 0b01, 0b11], distance=1)
    assert superfluous(chain, ["train"] * 3) == {1: 0}


def test_images_are_counted(found: Duplicates) -> None:
    table = duplicates_table(
        found, rows=range(6), image_ids=list("012345"), splits=SPLITS, targets=TARGETS, dropped={0: 2}
    )
    assert summary(table) == {"groups": 2, "exact": 2, "near": 3, "leaks": 3, "other_labels": 2, "dropped": 1}


def test_images_without_a_hash_are_equal_only_in_their_bytes() -> None:
    found = find_duplicates(["a", "b", "a"], [None, None, None], distance=4)
    assert found.groups.tolist() == [0, 1, 0]


def test_where_nothing_stands_twice_the_table_is_empty() -> None:
    found = find_duplicates(["a", "b"], [0, 0xFF], distance=4)
    table = duplicates_table(
        found, rows=[2, 3], image_ids=["0", "1"], splits=["train"] * 2, targets=TARGETS[:2], dropped={}
    )
    assert len(table) == 0
    assert set(summary(table).values()) == {0}


def test_twenty_thousand_equal_images_are_listed_without_comparing_all_with_all() -> None:
    count = 20_000
    found = find_duplicates(["a"] * count, [7] * count, distance=4)
    table = duplicates_table(
        found,
        rows=range(count),
        image_ids=[str(i) for i in range(count)],
        splits=["train"] * count,
        targets=np.ones((count, 1), np.int8),
        dropped={},
    )
    assert table["of"].iloc[0] == "1"
    assert (table["of"].iloc[1:] == "0").all()


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
    assert list(zip(*(values.tolist() for values in near_pairs(hashes, distance)), strict=True)) == wanted


def test_images_are_taken_from_the_table() -> None:
    table = manifest.build(list("abc"), list("abc"), ["train", "train", "test"], ["x"], np.ones((3, 1)), list("123"))
    assert without(table, ["b"])["image_id"].tolist() == ["a", "c"]


def test_a_part_of_which_nothing_is_left_is_an_error() -> None:
    table = manifest.build(list("abc"), list("abc"), ["train", "val", "test"], ["x"], np.ones((3, 1)), list("123"))
    with pytest.raises(InputError) as error:
        without(table, ["a", "b"])
    assert "all images of train are duplicates of others, and none is left." in str(error.value)
    assert "all images of val are duplicates of others, and none is left." in str(error.value)
