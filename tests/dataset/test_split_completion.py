from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterweight.base import manifest
from counterweight.base.errors import InputError
from counterweight.base.outputs import write_table
from counterweight.dataset.split_completion import SplitConfig, Ties, complete_splits, kept_table, read_kept
from tests.dataset.targets import Targets, one_label_each


def test_without_splits_test_and_validation_are_drawn() -> None:
    targets = one_label_each(60, 40)
    parts = np.array(complete_splits(None, targets, SplitConfig(0.2, 0.25, 42)))
    assert {part: targets[parts == part].sum(axis=0).tolist() for part in ("train", "val", "test")} == {
        "train": [36, 24],
        "val": [12, 8],
        "test": [12, 8],
    }


def test_without_val_rows_validation_is_drawn_from_train_only() -> None:
    splits = ["test", "train"] * 20
    parts = complete_splits(splits, one_label_each(20, 20), SplitConfig(0.5, 0.25, 42))
    assert parts[::2] == ["test"] * 20
    assert sorted(parts[1::2]) == ["train"] * 15 + ["val"] * 5


def test_a_sheet_with_all_three_splits_is_not_changed() -> None:
    splits = ["train", "val", "test", "train"]
    assert complete_splits(splits, one_label_each(2, 2), SplitConfig(0.2, 0.5, 42)) == splits


def test_the_same_seed_gives_the_same_splits(many_labels: Targets) -> None:
    parts = [complete_splits(None, many_labels, SplitConfig(0.2, 0.15, 3)) for _ in range(2)]
    assert parts[0] == parts[1]


def test_two_train_rows_are_enough() -> None:
    parts = complete_splits(["train", "test", "train"], one_label_each(3), SplitConfig(0.2, 0.15, 42))
    assert (sorted(parts), parts[1]) == (["test", "train", "val"], "test")


@pytest.mark.parametrize(("splits", "train_rows"), [(["train", "test"], 1), (["test", "test"], 0)])
def test_too_few_train_rows_are_an_error(splits: list[str], train_rows: int) -> None:
    with pytest.raises(InputError) as error:
        complete_splits(splits, one_label_each(2), SplitConfig(0.2, 0.15, 42))
    assert str(error.value) == (
        f"the sheet has {train_rows} train rows; at least 2 are needed. Add rows whose split is train."
    )


@pytest.mark.parametrize("rows", [1, 2])
def test_without_splits_three_rows_are_needed(rows: int) -> None:
    with pytest.raises(InputError, match="the sheet has"):
        complete_splits(None, one_label_each(rows), SplitConfig(0.2, 0.15, 42))


def test_a_sheet_without_test_rows_is_an_error() -> None:
    with pytest.raises(InputError) as error:
        complete_splits(["train"] * 10, one_label_each(10), SplitConfig(0.2, 0.15, 42))
    assert str(error.value) == "no row is in test. Give at least one row the split 'test'."


def test_a_sheet_with_val_rows_and_no_train_rows_is_an_error() -> None:
    with pytest.raises(InputError) as error:
        complete_splits(["val", "test"], one_label_each(2), SplitConfig(0.2, 0.15, 42))
    assert str(error.value) == "no row is in train. Give at least one row the split 'train'."


def test_the_arguments_are_not_changed() -> None:
    splits = ["train"] * 8 + ["test"] * 2
    complete_splits(splits, one_label_each(10), SplitConfig(0.2, 0.25, 42))
    assert splits == ["train"] * 8 + ["test"] * 2


def test_images_of_a_group_go_where_the_first_one_goes(many_labels: Targets) -> None:
    groups = np.arange(2000) // 4
    parts = np.array(complete_splits(None, many_labels, SplitConfig(0.2, 0.15, 3), Ties(groups, None)))
    assert (parts.reshape(500, 4) == parts.reshape(500, 4)[:, :1]).all()
    assert (parts == "test").sum() == pytest.approx(400, rel=0.2)


def test_groups_of_one_image_change_nothing(many_labels: Targets) -> None:
    alone = complete_splits(None, many_labels, SplitConfig(0.2, 0.15, 3))
    assert complete_splits(None, many_labels, SplitConfig(0.2, 0.15, 3), Ties(np.arange(2000), None)) == alone


def test_a_group_of_all_images_is_split_up() -> None:
    parts = complete_splits(None, one_label_each(5, 5), SplitConfig(0.2, 0.25, 3), Ties(np.zeros(10, np.intp), None))
    assert set(parts) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("size", "group", "is_together"),
    [
        (20, [0, 25], True),  # Two images always are.
        (20, [0, 25, 26], False),  # Three are more than a tenth of 20.
        (30, [0, 35, 36], True),  # Three are a tenth of 30.
        (30, [0, 35, 36, 37], False),
    ],
)
def test_near_duplicates_are_kept_together_up_to_a_tenth_of_the_sample(
    size: int, group: list[int], is_together: bool
) -> None:
    duplicates = np.arange(40)
    duplicates[group] = 0
    units = Ties(duplicates, None).units(size)
    assert len(set(units[group])) == (1 if is_together else len(group))
    assert len(set(units)) == 40 - (len(group) - 1) * is_together


def test_groups_of_the_users_are_never_divided_and_take_near_duplicates_with_them() -> None:
    patients = np.array([0, 0, 0, 0, 1, 1, 2, 3])
    near = np.array([0, 1, 2, 3, 4, 5, 5, 6])  # An image of patient 1 is nearly one of patient 2.
    assert Ties(near, patients).units(1).tolist() == [0, 0, 0, 0, 1, 1, 1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_a_patient_is_in_one_split(seed: int, many_labels: Targets) -> None:
    patients = np.random.default_rng(seed).integers(0, 40, len(many_labels))
    ties = Ties(np.arange(len(many_labels)), patients)
    parts = np.array(complete_splits(None, many_labels, SplitConfig(0.2, 0.15, seed), ties))
    assert {len(set(parts[patients == patient])) for patient in range(40)} == {1}
    sizes = {part: int((parts == part).sum()) for part in ("test", "val")}
    assert sizes == {"test": pytest.approx(400, rel=0.3), "val": pytest.approx(240, rel=0.4)}


def test_one_group_of_all_images_is_an_error() -> None:
    ties = Ties(np.arange(10), np.zeros(10, np.intp))
    with pytest.raises(InputError, match="all images are in one group"):
        complete_splits(None, one_label_each(10), SplitConfig(0.2, 0.25, 0), ties)


def test_images_that_were_dealt_out_stay_and_new_ones_fill_up_the_fractions(many_labels: Targets) -> None:
    config = SplitConfig(0.2, 0.15, 3)
    before = complete_splits(None, many_labels[:1000], config)
    after = complete_splits(None, many_labels, config, kept=[*before, *[""] * 1000])
    assert after[:1000] == before
    assert [after.count(part) for part in ("test", "val")] == pytest.approx([400, 240], rel=0.03)
    added = many_labels[1000:][np.array(after[1000:]) == "test"]
    assert (added.mean(axis=0) / many_labels[1000:].mean(axis=0)).tolist() == pytest.approx([1.0] * 5, abs=0.15)


def test_images_that_were_dealt_out_stay_when_others_are_removed(many_labels: Targets) -> None:
    config = SplitConfig(0.2, 0.15, 3)
    before = complete_splits(None, many_labels, config)
    is_left = np.array([part != "train" or i % 3 == 0 for i, part in enumerate(before)])
    kept = [part for part, left in zip(before, is_left, strict=True) if left]
    assert complete_splits(None, many_labels[is_left], config, kept=kept) == kept


@pytest.mark.parametrize("patients", [True, False])
def test_one_new_group_can_be_added(patients: bool) -> None:
    targets, config = one_label_each(600, 410), SplitConfig(0.2, 0.15, 0)
    old = np.arange(1000) // 10
    groups = np.concatenate([old, np.full(10, 100)])
    ties = (
        Ties(np.arange(1010), groups) if patients else Ties(np.concatenate([np.arange(1000), np.full(10, 1000)]), None)
    )
    before = complete_splits(None, targets[:1000], config, Ties(np.arange(1000), old))
    after = complete_splits(None, targets, config, ties, [*before, *[""] * 10])
    assert after[:1000] == before
    assert len(set(after[1000:])) == 1 or not patients


def test_a_split_that_has_lost_its_images_does_not_get_all_new_ones() -> None:
    kept = [*["train"] * 50, *[""] * 60]
    parts = complete_splits(None, one_label_each(50, 60), SplitConfig(0.9, 0.1, 0), kept=kept)
    assert 0 < parts[50:].count("test") <= 30


@pytest.mark.parametrize("part", ["train", "test"])
def test_images_that_were_all_in_one_split_are_dealt_anew(part: str) -> None:
    config = SplitConfig(0.2, 0.15, 0)
    assert complete_splits(None, one_label_each(30, 20), config, kept=[part] * 50) == complete_splits(
        None, one_label_each(30, 20), config
    )


def test_validation_is_dealt_anew_when_none_of_it_is_left() -> None:
    kept = [*["train"] * 40, *["test"] * 10]
    parts = complete_splits(None, one_label_each(50), SplitConfig(0.2, 0.25, 0), kept=kept)
    assert parts[40:] == ["test"] * 10
    assert [parts[:40].count(part) for part in ("train", "val")] == [30, 10]


@pytest.mark.parametrize("n_new", [1, 2, 3])
def test_a_few_new_images_change_no_split(n_new: int) -> None:
    config = SplitConfig(0.2, 0.25, 0)
    before = complete_splits(None, one_label_each(60, 40), config)
    after = complete_splits(None, one_label_each(60, 40 + n_new), config, kept=[*before, *[""] * n_new])
    assert after[:100] == before


def test_a_new_image_goes_where_the_others_of_its_group_went() -> None:
    kept = ["train", "train", "val", "test", "train", "train", "", "", ""]
    ties = Ties(np.array([0, 1, 2, 3, 4, 5, 6, 7, 2]), np.array([0, 1, 2, 3, 4, 5, 3, 0, 8]))
    parts = complete_splits(None, one_label_each(9), SplitConfig(0.2, 0.2, 0), ties, kept)
    assert parts == [*kept[:6], "test", "train", "val"]


def test_validation_that_was_dealt_out_of_the_users_train_images_stays() -> None:
    splits, kept = ["test", *["train"] * 10], ["test", "val", *["train"] * 8, ""]
    parts = complete_splits(splits, one_label_each(11), SplitConfig(0.2, 0.1, 0), kept=kept)
    assert parts == ["test", "val", *["train"] * 9]


def kept(folder: Path, image_ids: str, checksums: str, config: SplitConfig) -> list[str]:
    return read_kept(folder / "splits.csv", image_ids.split(), checksums.split(), config)


def test_splits_are_remembered_by_id_and_by_checksum_of_a_renamed_image(tmp_path: Path) -> None:
    config = SplitConfig(0.2, 0.15, 42)
    assert kept(tmp_path, "a b", "1 2", config) == ["", ""]
    targets = np.ones((4, 1), np.int8)
    table = manifest.build(
        list("abcd"), list("abcd"), ["train", "test", "val", "train"], ["sea"], targets, list("1234")
    )
    write_table(kept_table(table, None, config), tmp_path / "splits.csv")
    assert kept(tmp_path, "a b c d", "1 9 3 4", config) == ["train", "test", "val", "train"]  # b was edited.
    assert kept(tmp_path, "a e f", "1 2 5", config) == ["train", "test", ""]  # b is e now.
    assert kept(tmp_path, "a b g", "1 2 2", config) == ["train", "test", ""]  # A copy of b is new.


def test_images_that_are_numbered_anew_are_known_by_their_checksums(tmp_path: Path) -> None:
    config = SplitConfig(0.2, 0.15, 42)
    splits, targets = ["train", "test", "val", "train"], np.ones((4, 1), np.int8)
    table = manifest.build(list("0123"), list("0123"), splits, ["sea"], targets, list("abcd"))
    write_table(kept_table(table, None, config), tmp_path / "splits.csv")
    assert kept(tmp_path, "0 1 2", "b c d", config) == ["test", "val", "train"]


def test_other_images_with_the_same_ids_are_new(tmp_path: Path) -> None:
    config = SplitConfig(0.2, 0.15, 42)
    table = manifest.build(list("01"), list("01"), ["train", "test"], ["sea"], np.ones((2, 1), np.int8), list("ab"))
    write_table(kept_table(table, None, config), tmp_path / "splits.csv")
    assert kept(tmp_path, "0 1", "x y", config) == ["", ""]


def test_splits_are_dealt_anew_with_other_params(tmp_path: Path) -> None:
    table = manifest.build(["a"], ["a"], ["train"], ["sea"], np.ones((1, 1), np.int8), ["1"])
    write_table(kept_table(table, None, SplitConfig(0.2, 0.15, 42)), tmp_path / "splits.csv")
    changes: list[dict[str, Any]] = [
        {"test": 0.3},
        {"validation": 0.2},
        {"seed": 1},
        {"split": "set"},
        {"group": "patient"},
    ]
    for change in changes:
        assert kept(tmp_path, "a", "1", replace(SplitConfig(0.2, 0.15, 42), **change)) == [""]


def test_splits_of_the_sheet_are_not_remembered() -> None:
    table = manifest.build(
        list("abc"), list("abc"), ["train", "test", "val"], ["sea"], np.ones((3, 1), np.int8), list("123")
    )
    config = SplitConfig(0.2, 0.15, 42)
    assert kept_table(table, ["train", "test", "val"], config).empty
    assert len(kept_table(table, ["train", "test", "train"], config)) == 3


def test_three_rows_without_splits_are_one_of_each() -> None:
    assert sorted(complete_splits(None, one_label_each(3), SplitConfig(0.2, 0.15, 42))) == [
        "test",
        "train",
        "val",
    ]


def test_one_row_of_each_split_is_enough() -> None:
    splits = ["test", "train", "val"]
    assert complete_splits(splits, one_label_each(3), SplitConfig(0.2, 0.15, 42)) == splits
