import tracemalloc
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from counterweight.base import manifest
from counterweight.base.errors import InputError
from counterweight.dataset.duplicates import (
    drop_images,
    duplicate_warnings,
    duplicates_table,
    redundant_images,
    summary,
)
from counterweight.dataset.near_duplicates import group_identical_images, near_duplicate_groups
from counterweight.dataset.split_completion import Ties
from counterweight.images.array_images import zero_padded

# Three pictures: a (two byte-identical images and a near duplicate), b (with a near duplicate), and c.
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
    """The duplicates among images with ids 0, 1, ... (zero-padded) in rows 2, 3, ..."""
    pictures, count = group_identical_images(checksums, hashes), len(checksums)
    ids, labels = [zero_padded(i, count) for i in range(count)], [str(j) for j in range(targets.shape[1])]
    return duplicates_table(
        manifest.build(ids, ids, splits, labels, targets, checksums),
        pictures,
        Ties(near_duplicate_groups(pictures, distance), None),
        rows=range(2, count + 2),
        distance=distance,
        dropped=dropped,
    )


def test_each_image_is_listed_with_its_nearest_duplicate_leak_and_label_conflict() -> None:
    assert [list(row) for row in listed(CHECKSUMS, HASHES, SPLITS, TARGETS).itertuples(index=False)] == [
        [0, 0, 2, "0", "train", "exact", "1", 0, "2", "duplicate", "", 0],
        [0, 0, 3, "1", "train", "exact", "0", 0, "2", "duplicate", "", 0],
        [0, 0, 4, "2", "test", "near", "0", 1, "", "", "", 0],
        [1, 1, 5, "3", "val", "near", "4", 1, "", "", "4", 0],
        [1, 1, 6, "4", "train", "near", "3", 1, "3", "duplicate", "3", 0],
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
def test_an_image_leaks_into_a_later_split(splits: list[str], leaks: list[str], hashes: list[int]) -> None:
    assert listed(["a", "b"], hashes, splits, TARGETS[:2])["leak"].tolist() == leaks


def test_a_val_image_leaks_into_test_past_a_nearer_one_in_val() -> None:
    table = listed(["a", "b", "c"], [0b000, 0b001, 0b110], ["val", "val", "test"], TARGETS[:3])
    assert table["leak"].tolist() == ["2", "", ""]


def test_a_missing_label_conflicts_with_none() -> None:
    table = listed(["a", "a"], [1, 1], ["train"] * 2, np.array([[1, -1], [1, 1]]))
    assert table["other_labels"].tolist() == ["", ""]


def test_the_first_of_equally_near_images_with_other_labels_is_named() -> None:
    table = listed(["a"] * 4, [1] * 4, ["train"] * 4, np.array([[1], [1], [0], [0]]))
    assert table["other_labels"].tolist() == ["2", "2", "0", "0"]


def test_dropped_images_are_duplicates_of_images_that_stay() -> None:
    assert redundant_images(group_identical_images(CHECKSUMS, HASHES), SPLITS, 2) == {0: 2, 1: 2, 4: 3}


def test_equal_test_images_stay() -> None:
    assert redundant_images(group_identical_images(list("aaa"), [1, 1, 1]), ["test", "train", "test"], 2) == {1: 0}


def test_an_image_is_not_dropped_for_one_that_is_dropped_itself() -> None:
    assert redundant_images(group_identical_images(list("abc"), [0b00, 0b01, 0b11]), ["train"] * 3, 1) == {1: 0}


@pytest.fixture
def patients() -> pd.DataFrame:
    """Images 0 and 1 are equal, of one patient; 2 and 3 are of another, whose image 3 is a test image."""
    splits, targets = ["train", "train", "train", "test", "val"], np.eye(5, dtype=np.int8)
    checksums = ["x", "x", "y", "z", "w"]
    pictures, ids = group_identical_images(checksums, [None] * 5), list("01234")
    ties = Ties(near_duplicate_groups(pictures, 2), np.array([0, 0, 1, 1, 2]))
    table = manifest.build(ids, ids, splits, list("abcde"), targets, checksums)
    return duplicates_table(table, pictures, ties, rows=range(2, 7), distance=2, dropped=[])


def test_images_of_a_group_are_listed_with_their_leaks(patients: pd.DataFrame) -> None:
    shown = ["tied", "group", "image_id", "kind", "duplicate_of", "leak", "leak_kind", "other_labels"]
    assert patients[shown].to_numpy().tolist() == [
        [0, 0, "0", "exact", "1", "", "", "1"],
        [0, 0, "1", "exact", "0", "", "", "0"],
        [1, 1, "2", "group", "3", "3", "group", ""],
        [1, 2, "3", "group", "2", "", "", ""],
    ]
    assert patients["bits"].isna().tolist() == [False, False, True, True]


def test_a_duplicate_whose_group_leaks_is_no_leak_of_a_duplicate() -> None:
    checksums, splits = ["x", "x", "y"], ["train", "train", "test"]
    pictures, ids = group_identical_images(checksums, [None] * 3), list("012")
    ties = Ties(near_duplicate_groups(pictures, 2), np.zeros(3, np.intp))
    table = manifest.build(ids, ids, splits, ["a"], np.ones((3, 1), np.int8), checksums)
    listed = duplicates_table(table, pictures, ties, rows=range(2, 5), distance=2, dropped=[])
    assert (summary(listed)["leaks"], summary(listed)["group_leaks"]) == (0, 2)


def test_groups_are_no_duplicates_but_may_leak(patients: pd.DataFrame) -> None:
    counts = summary(patients)
    assert (counts["groups"], counts["exact"], counts["leaks"], counts["group_leaks"]) == (1, 2, 0, 1)
    assert duplicate_warnings(patients, Path("duplicates.csv"))[:2] == [
        "2 images are duplicates, in 1 groups (2 byte for byte), listed in duplicates.csv",
        "leak: 1 images of train or val share a group with a later split, '2' of train is with '3': results there look "
        "better than they are. Correct the splits, or set data.columns.split to null",
    ]


def test_summary_counts_images_by_kind() -> None:
    table = listed(CHECKSUMS, HASHES, SPLITS, TARGETS, dropped={0: 2})
    assert summary(table) == {
        "groups": 2, "exact": 2, "near": 3, "mirror": 0,
        "leaks": 2, "mirror_leaks": 0, "group_leaks": 0, "other_labels": 2, "dropped": 1,
    }  # fmt: skip


def test_without_duplicates_the_table_is_empty() -> None:
    table = listed(["a", "b"], [0, 0xFF], ["train"] * 2, TARGETS[:2])
    assert len(table) == 0
    assert set(summary(table).values()) == {0}


def test_twenty_thousand_equal_images_with_different_labels_are_not_compared_pairwise() -> None:
    count = 20_000
    labels = (np.arange(count)[:, None] >> np.arange(15)) & 1
    table = listed(["a"] * count, [7] * count, ["train"] * count, labels)
    assert table["duplicate_of"].iloc[[0, -1]].tolist() == ["00001", "00000"]
    assert table["other_labels"].iloc[[0, -1]].tolist() == ["00001", "00000"]


def test_pictures_that_are_all_near_each_other_need_little_memory() -> None:
    # As from a camera that does not move: hashes that differ in twelve bits only.
    rng = np.random.default_rng(0)
    hashes = np.unique(rng.integers(0, 2**12, 3000)).tolist()
    count = len(hashes)
    tracemalloc.start()
    table = listed([str(i) for i in range(count)], hashes, ["train"] * count, np.ones((count, 1)), distance=4)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert len(table) == count


def test_dropped_images_are_not_in_the_table() -> None:
    table = manifest.build(list("abc"), list("abc"), ["train", "train", "test"], ["x"], np.ones((3, 1)), list("123"))
    assert drop_images(table, ["b"])["image_id"].tolist() == ["a", "c"]


def test_dropping_all_images_of_a_split_is_an_error() -> None:
    table = manifest.build(list("abc"), list("abc"), ["train", "val", "test"], ["x"], np.ones((3, 1)), list("123"))
    with pytest.raises(InputError) as error:
        drop_images(table, ["a", "b"])
    assert "all images of train are duplicates of others, and none is left." in str(error.value)
    assert "all images of val are duplicates of others, and none is left." in str(error.value)


def test_duplicates_leaks_and_label_conflicts_are_warned_of() -> None:
    table = pd.DataFrame(
        [
            (0, 2, "a", "train", "exact", "b", 0, "b", "duplicate", "", 0),
            (0, 3, "b", "test", "exact", "a", 0, "", "", "", 0),
        ]
        + [(1, 4 + i, str(i), "train", "near", "9", 1, "", "", "9", 0) for i in range(4)],
        columns=[
            "group",
            "row",
            "image_id",
            "split",
            "kind",
            "duplicate_of",
            "bits",
            "leak",
            "leak_kind",
            "other_labels",
            "dropped",
        ],
    )
    duplicates = "6 images are duplicates, in 2 groups (2 byte for byte), listed in duplicates.csv"
    assert duplicate_warnings(table, Path("duplicates.csv")) == [
        duplicates,
        "leak: 1 images of train or val also appear in a later split, 'a' of train is 'b': results there look better "
        "than they are. Set data.duplicates to drop",
        "4 images have other labels than one that is the same or nearly the same picture, '0' and '9', '1' and '9', "
        "'2' and '9' and 1 more: look at both, and correct the sheet if they show the same",
    ]
    assert duplicate_warnings(table.assign(dropped=1, other_labels=""), Path("duplicates.csv")) == [duplicates]
    assert duplicate_warnings(table[:0], Path("duplicates.csv")) == []


def test_the_nearest_of_two_equal_pictures_is_the_other_one() -> None:
    pictures = group_identical_images(["a", "b", "c"], [7, 7, 7])
    table = manifest.build(
        ["0", "1", "2"], ["0", "1", "2"], ["train"] * 3, ["cat"], np.array([[1], [1], [1]]), ["a", "b", "c"]
    )
    found = duplicates_table(
        table, pictures, Ties(near_duplicate_groups(pictures, 2), None), rows=[2, 3, 4], distance=2, dropped=[]
    )
    assert found[["image_id", "kind", "duplicate_of", "bits"]].to_numpy().tolist() == [
        ["0", "near", "1", 0], ["1", "near", "0", 0], ["2", "near", "0", 0],
    ]  # fmt: skip


def test_a_mirror_image_in_a_later_split_is_a_leak_and_no_label_conflict() -> None:
    pictures = group_identical_images(list("abc"), [0b1111, 0xFF00, 0xF0000], [0xFF00, 0b1111, 0x1])
    targets = np.array([[1, 0], [0, 1], [1, 0]])
    table = duplicates_table(
        manifest.build(list("012"), list("012"), ["train", "test", "train"], ["x", "y"], targets, list("abc")),
        pictures, Ties(near_duplicate_groups(pictures, 2), None), rows=[2, 3, 4], distance=2, dropped=[],
    )  # fmt: skip
    assert table["bits"].isna().all()
    assert [list(row) for row in table.drop(columns="bits").itertuples(index=False)] == [
        [0, 0, 2, "0", "train", "mirror", "1", "1", "mirror", "", 0],
        [0, 0, 3, "1", "test", "mirror", "0", "", "", "", 0],
    ]
    assert redundant_images(pictures, ["train", "test", "train"], 2) == {}
    assert (summary(table)["mirror"], summary(table)["mirror_leaks"], summary(table)["leaks"]) == (2, 1, 0)
    assert duplicate_warnings(table, Path("duplicates.csv"))[1] == (
        "leak: 1 images of train or val are the mirror image of one in a later split, '0' of train is that of '1': "
        "results there look better than they are. Correct the splits, or set data.columns.split to null"
    )
