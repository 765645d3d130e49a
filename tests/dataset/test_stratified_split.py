import numpy as np
import pytest
from numpy.typing import NDArray

from counterweight.base.errors import InputError
from counterweight.dataset.stratified_split import _keep_groups_together, complete_splits, stratified_sample

Targets = NDArray[np.int8]


def one_label_each(*counts: int) -> Targets:
    return np.repeat(np.eye(len(counts), dtype=np.int8), counts, axis=0)


@pytest.fixture
def many_labels() -> Targets:
    """Five independent labels on 5 % to 50 % of 2,000 images."""
    return (np.random.default_rng(0).random((2000, 5)) < [0.05, 0.1, 0.2, 0.4, 0.5]).astype(np.int8)


def test_every_label_keeps_its_share() -> None:
    targets = one_label_each(40, 30, 20, 10)
    assert targets[stratified_sample(targets, 0.2, seed=42)].sum(axis=0).tolist() == [8, 6, 4, 2]


def test_every_label_nearly_keeps_its_share_if_images_have_several(many_labels: Targets) -> None:
    chosen = many_labels[stratified_sample(many_labels, 0.15, seed=42)]
    shares = chosen.sum(axis=0) / many_labels.sum(axis=0)
    assert shares.tolist() == pytest.approx([0.15] * 5, abs=0.01)


def test_the_sample_has_nearly_the_requested_size(many_labels: Targets) -> None:
    assert len(stratified_sample(many_labels, 0.15, seed=42)) == pytest.approx(300, rel=0.05)


def test_images_without_any_label_keep_their_share() -> None:
    targets = np.repeat(np.array([[1, 0], [0, 1], [0, 0]], np.int8), [20, 20, 60], axis=0)
    chosen = targets[stratified_sample(targets, 0.1, seed=42)]
    assert ((chosen.sum(axis=1) == 0).sum(), *chosen.sum(axis=0)) == (6, 2, 2)


def test_a_single_label_column_keeps_its_share() -> None:
    targets = np.repeat(np.array([[1], [0]], np.int8), [10, 90], axis=0)
    chosen = targets[stratified_sample(targets, 0.2, seed=42)]
    assert (len(chosen), chosen.sum()) == (20, 2)


def test_images_without_any_label_at_all_are_split_too() -> None:
    chosen = stratified_sample(np.zeros((100, 2), np.int8), 0.2, seed=42)
    assert len(chosen) == 20


def test_chosen_rows_are_unique_and_ascending(many_labels: Targets) -> None:
    chosen = stratified_sample(many_labels, 0.3, seed=42)
    assert (np.diff(chosen) > 0).all()


def test_the_same_seed_chooses_the_same_rows(many_labels: Targets) -> None:
    assert stratified_sample(many_labels, 0.2, seed=7).tolist() == stratified_sample(many_labels, 0.2, seed=7).tolist()


def test_another_seed_chooses_other_rows(many_labels: Targets) -> None:
    assert stratified_sample(many_labels, 0.2, seed=7).tolist() != stratified_sample(many_labels, 0.2, seed=8).tolist()


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("rows", [2, 3, 5])
def test_at_least_one_row_is_chosen_and_one_is_left(rows: int, fraction: float) -> None:
    for seed in range(10):
        assert 1 <= len(stratified_sample(np.ones((rows, 2), np.int8), fraction, seed)) <= rows - 1


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_no_part_is_empty_if_every_image_has_its_own_label(fraction: float) -> None:
    assert 1 <= len(stratified_sample(one_label_each(1, 1, 1), fraction, seed=42)) <= 2


def test_without_splits_test_and_validation_are_drawn() -> None:
    targets = one_label_each(60, 40)
    parts = np.array(complete_splits(None, targets, test=0.2, validation=0.25, seed=42))
    assert {part: targets[parts == part].sum(axis=0).tolist() for part in ("train", "val", "test")} == {
        "train": [36, 24],
        "val": [12, 8],
        "test": [12, 8],
    }


def test_without_val_rows_validation_is_drawn_from_train_only() -> None:
    splits = ["test", "train"] * 20
    parts = complete_splits(splits, one_label_each(20, 20), test=0.5, validation=0.25, seed=42)
    assert parts[::2] == ["test"] * 20
    assert sorted(parts[1::2]) == ["train"] * 15 + ["val"] * 5


def test_a_sheet_with_all_three_splits_is_not_changed() -> None:
    splits = ["train", "val", "test", "train"]
    assert complete_splits(splits, one_label_each(2, 2), test=0.2, validation=0.5, seed=42) == splits


def test_the_same_seed_gives_the_same_splits(many_labels: Targets) -> None:
    parts = [complete_splits(None, many_labels, test=0.2, validation=0.15, seed=3) for _ in range(2)]
    assert parts[0] == parts[1]


def test_two_train_rows_are_enough() -> None:
    parts = complete_splits(["train", "test", "train"], one_label_each(3), test=0.2, validation=0.15, seed=42)
    assert (sorted(parts), parts[1]) == (["test", "train", "val"], "test")


@pytest.mark.parametrize(("splits", "train_rows"), [(["train", "test"], 1), (["test", "test"], 0)])
def test_too_few_train_rows_are_an_error(splits: list[str], train_rows: int) -> None:
    with pytest.raises(InputError) as error:
        complete_splits(splits, one_label_each(2), test=0.2, validation=0.15, seed=42)
    assert str(error.value) == (
        f"the sheet has {train_rows} train rows; at least 2 are needed. Add rows whose split is train."
    )


@pytest.mark.parametrize("rows", [1, 2])
def test_without_splits_three_rows_are_needed(rows: int) -> None:
    with pytest.raises(InputError, match="the sheet has"):
        complete_splits(None, one_label_each(rows), test=0.2, validation=0.15, seed=42)


def test_a_sheet_without_test_rows_is_an_error() -> None:
    with pytest.raises(InputError) as error:
        complete_splits(["train"] * 10, one_label_each(10), test=0.2, validation=0.15, seed=42)
    assert str(error.value) == "no row is in test. Give at least one row the split 'test'."


def test_a_sheet_with_val_rows_and_no_train_rows_is_an_error() -> None:
    with pytest.raises(InputError) as error:
        complete_splits(["val", "test"], one_label_each(2), test=0.2, validation=0.15, seed=42)
    assert str(error.value) == "no row is in train. Give at least one row the split 'train'."


def test_the_arguments_are_not_changed() -> None:
    splits = ["train"] * 8 + ["test"] * 2
    complete_splits(splits, one_label_each(10), test=0.2, validation=0.25, seed=42)
    assert splits == ["train"] * 8 + ["test"] * 2


@pytest.mark.parametrize(
    ("counts", "fraction", "chosen"),
    [
        ([50, 30, 20], 0.1, [5, 3, 2]),
        ([960, 40], 0.15, [144, 6]),
        ([40, 33, 27], 0.1, [4, 3, 3]),  # shares 4, 3.3 and 2.7: the largest remainder gets the rest
        ([98, 1, 1], 0.2, [20, 0, 0]),
        ([4, 1], 0.4, [2, 0]),
        ([10, 2], 0.9, [9, 1]),  # one image of each class is left
    ],
)
def test_classes_keep_their_share_exactly(counts: list[int], fraction: float, chosen: list[int]) -> None:
    targets = one_label_each(*counts)
    for seed in range(5):
        assert targets[stratified_sample(targets, fraction, seed)].sum(axis=0).tolist() == chosen


def test_the_remaining_image_may_come_from_any_of_equal_classes() -> None:
    targets = one_label_each(5, 5)
    assert {tuple(targets[stratified_sample(targets, 0.3, seed)].sum(axis=0).tolist()) for seed in range(20)} == {
        (2, 1),
        (1, 2),
    }


def test_a_missing_label_counts_as_absent(many_labels: Targets) -> None:
    missing = np.where(many_labels == 1, 1, -np.random.default_rng(1).integers(0, 2, many_labels.shape)).astype(np.int8)
    assert stratified_sample(missing, 0.2, seed=7).tolist() == stratified_sample(many_labels, 0.2, seed=7).tolist()


def test_rows_whose_class_is_missing_keep_their_share() -> None:
    targets = np.repeat(np.array([[1, 0], [0, 1], [-1, -1]], np.int8), [40, 40, 20], axis=0)
    chosen = targets[stratified_sample(targets, 0.1, seed=42)]
    assert ((chosen == 1).sum(axis=0).tolist(), int((chosen == -1).all(axis=1).sum())) == ([4, 4], 2)


def test_images_of_a_group_go_where_the_first_one_goes(many_labels: Targets) -> None:
    groups = np.arange(2000) // 4
    parts = np.array(complete_splits(None, many_labels, test=0.2, validation=0.15, seed=3, groups=groups))
    assert (parts.reshape(500, 4) == parts.reshape(500, 4)[:, :1]).all()
    assert (parts == "test").sum() == pytest.approx(400, rel=0.2)


def test_groups_of_one_image_change_nothing(many_labels: Targets) -> None:
    alone = complete_splits(None, many_labels, test=0.2, validation=0.15, seed=3)
    assert complete_splits(None, many_labels, test=0.2, validation=0.15, seed=3, groups=np.arange(2000)) == alone


def test_a_group_of_all_images_is_split_up() -> None:
    parts = complete_splits(None, one_label_each(5, 5), test=0.2, validation=0.25, seed=3, groups=np.zeros(10, np.intp))
    assert set(parts) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("chosen", "group", "kept_together"),
    [
        (20, [0, 25], True),  # Two images always are.
        (20, [0, 25, 26], False),  # Three are more than a tenth of 20.
        (30, [0, 35, 36], True),  # Three are a tenth of 30.
        (30, [0, 35, 36, 37], False),
    ],
)
def test_a_group_is_kept_together_up_to_a_tenth_of_the_sample(
    chosen: int, group: list[int], kept_together: bool
) -> None:
    groups = np.arange(40)
    groups[group] = 0
    found = _keep_groups_together(np.arange(chosen), groups)
    assert found.tolist() == [*range(chosen), *(group[1:] if kept_together else [])]


def test_a_group_whose_first_image_is_not_chosen_is_not_chosen() -> None:
    groups = np.arange(40)
    groups[[5, 30]] = 5
    assert _keep_groups_together(np.arange(20, 40), groups).tolist() == [*range(20, 30), *range(31, 40)]


@pytest.mark.parametrize("chosen", [[0], [0, 1, 2]])
def test_a_sample_that_groups_would_make_empty_or_whole_stays_as_it_was(chosen: list[int]) -> None:
    rows = np.array(chosen)
    groups = np.array([0, 0, 0, 0]) if len(chosen) == 3 else np.array([1, 0, 0, 0])
    assert _keep_groups_together(rows, groups).tolist() == chosen


def test_three_rows_without_splits_are_one_of_each() -> None:
    assert sorted(complete_splits(None, one_label_each(3), test=0.2, validation=0.15, seed=42)) == [
        "test",
        "train",
        "val",
    ]


def test_one_row_of_each_split_is_enough() -> None:
    splits = ["test", "train", "val"]
    assert complete_splits(splits, one_label_each(3), test=0.2, validation=0.15, seed=42) == splits


def test_one_row_is_chosen_of_ten_at_a_tenth_and_two_at_a_fifth() -> None:
    assert [len(stratified_sample(one_label_each(10), fraction, 0)) for fraction in (0.01, 0.1, 0.2)] == [1, 1, 2]
