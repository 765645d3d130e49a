import numpy as np
import pytest
from numpy.typing import NDArray

from counterweight.base.errors import InputError
from counterweight.dataset.stratified_split import carve, complete_splits

Targets = NDArray[np.int8]


def one_label_each(*counts: int) -> Targets:
    return np.repeat(np.eye(len(counts), dtype=np.int8), counts, axis=0)


@pytest.fixture
def many_labels() -> Targets:
    """Five labels, of a twentieth to a half of 2,000 images, that come together by chance."""
    return (np.random.default_rng(0).random((2000, 5)) < [0.05, 0.1, 0.2, 0.4, 0.5]).astype(np.int8)


def test_every_label_keeps_its_share() -> None:
    targets = one_label_each(40, 30, 20, 10)
    assert targets[carve(targets, 0.2, seed=42)].sum(axis=0).tolist() == [8, 6, 4, 2]


def test_every_label_nearly_keeps_its_share_where_images_have_several(many_labels: Targets) -> None:
    chosen = many_labels[carve(many_labels, 0.15, seed=42)]
    shares = chosen.sum(axis=0) / many_labels.sum(axis=0)
    assert shares.tolist() == pytest.approx([0.15] * 5, abs=0.01)


def test_the_part_has_nearly_the_size_wanted(many_labels: Targets) -> None:
    assert len(carve(many_labels, 0.15, seed=42)) == pytest.approx(300, rel=0.05)


def test_images_without_any_label_keep_their_share() -> None:
    targets = np.repeat(np.array([[1, 0], [0, 1], [0, 0]], np.int8), [20, 20, 60], axis=0)
    chosen = targets[carve(targets, 0.1, seed=42)]
    assert ((chosen.sum(axis=1) == 0).sum(), *chosen.sum(axis=0)) == (6, 2, 2)


def test_a_single_label_column_keeps_its_share() -> None:
    targets = np.repeat(np.array([[1], [0]], np.int8), [10, 90], axis=0)
    chosen = targets[carve(targets, 0.2, seed=42)]
    assert (len(chosen), chosen.sum()) == (20, 2)


def test_images_that_all_have_no_label_are_split_too() -> None:
    chosen = carve(np.zeros((100, 2), np.int8), 0.2, seed=42)
    assert len(chosen) == 20


def test_rows_are_chosen_once_and_in_their_order(many_labels: Targets) -> None:
    chosen = carve(many_labels, 0.3, seed=42)
    assert (np.diff(chosen) > 0).all()


def test_the_same_seed_chooses_the_same_rows(many_labels: Targets) -> None:
    assert carve(many_labels, 0.2, seed=7).tolist() == carve(many_labels, 0.2, seed=7).tolist()


def test_another_seed_chooses_other_rows(many_labels: Targets) -> None:
    assert carve(many_labels, 0.2, seed=7).tolist() != carve(many_labels, 0.2, seed=8).tolist()


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("rows", [2, 3, 5])
def test_at_least_one_row_is_chosen_and_one_is_left(rows: int, fraction: float) -> None:
    for seed in range(10):
        assert 1 <= len(carve(np.ones((rows, 2), np.int8), fraction, seed)) <= rows - 1


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_no_part_is_empty_though_every_image_has_a_label_of_its_own(fraction: float) -> None:
    assert 1 <= len(carve(one_label_each(1, 1, 1), fraction, seed=42)) <= 2


def test_without_a_split_test_and_validation_are_made() -> None:
    targets = one_label_each(60, 40)
    parts = np.array(complete_splits(None, targets, test=0.2, validation=0.25, seed=42))
    assert {part: targets[parts == part].sum(axis=0).tolist() for part in ("train", "val", "test")} == {
        "train": [36, 24],
        "val": [12, 8],
        "test": [12, 8],
    }


def test_without_val_rows_validation_is_carved_from_train_alone() -> None:
    given = ["test", "train"] * 20
    parts = complete_splits(given, one_label_each(20, 20), test=0.5, validation=0.25, seed=42)
    assert parts[::2] == ["test"] * 20
    assert sorted(parts[1::2]) == ["train"] * 15 + ["val"] * 5


def test_a_sheet_with_all_three_parts_stays_as_it_is() -> None:
    given = ["train", "val", "test", "train"]
    assert complete_splits(given, one_label_each(2, 2), test=0.2, validation=0.5, seed=42) == given


def test_the_same_seed_gives_the_same_parts(many_labels: Targets) -> None:
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
def test_without_a_split_three_rows_are_needed(rows: int) -> None:
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


def test_the_splits_given_are_left_as_they_were() -> None:
    given = ["train"] * 8 + ["test"] * 2
    complete_splits(given, one_label_each(10), test=0.2, validation=0.25, seed=42)
    assert given == ["train"] * 8 + ["test"] * 2


@pytest.mark.parametrize(
    ("counts", "fraction", "chosen"),
    [
        ([50, 30, 20], 0.1, [5, 3, 2]),
        ([960, 40], 0.15, [144, 6]),
        ([40, 33, 27], 0.1, [4, 3, 3]),  # shares 4, 3.3 and 2.7: the one left over goes to the largest remainder
        ([98, 1, 1], 0.2, [20, 0, 0]),
        ([4, 1], 0.4, [2, 0]),
        ([10, 2], 0.9, [9, 1]),  # one image of each class stays behind
    ],
)
def test_classes_keep_their_share_to_the_image(counts: list[int], fraction: float, chosen: list[int]) -> None:
    targets = one_label_each(*counts)
    for seed in range(5):
        assert targets[carve(targets, fraction, seed)].sum(axis=0).tolist() == chosen


def test_any_of_equal_classes_may_give_the_image_left_over() -> None:
    targets = one_label_each(5, 5)
    assert {tuple(targets[carve(targets, 0.3, seed)].sum(axis=0).tolist()) for seed in range(20)} == {(2, 1), (1, 2)}


def test_a_missing_label_counts_as_one_that_is_not_there(many_labels: Targets) -> None:
    missing = np.where(many_labels == 1, 1, -np.random.default_rng(1).integers(0, 2, many_labels.shape)).astype(np.int8)
    assert carve(missing, 0.2, seed=7).tolist() == carve(many_labels, 0.2, seed=7).tolist()


def test_rows_whose_class_is_missing_keep_their_share() -> None:
    targets = np.repeat(np.array([[1, 0], [0, 1], [-1, -1]], np.int8), [40, 40, 20], axis=0)
    chosen = targets[carve(targets, 0.1, seed=42)]
    assert ((chosen == 1).sum(axis=0).tolist(), int((chosen == -1).all(axis=1).sum())) == ([4, 4], 2)


def test_images_of_a_group_go_where_the_first_goes(many_labels: Targets) -> None:
    groups = np.arange(2000) // 4
    parts = np.array(complete_splits(None, many_labels, test=0.2, validation=0.15, seed=3, groups=groups))
    assert (parts.reshape(500, 4) == parts.reshape(500, 4)[:, :1]).all()
    assert (parts == "test").sum() == pytest.approx(400, rel=0.2)


def test_groups_change_nothing_else(many_labels: Targets) -> None:
    alone = complete_splits(None, many_labels, test=0.2, validation=0.15, seed=3)
    assert complete_splits(None, many_labels, test=0.2, validation=0.15, seed=3, groups=np.arange(2000)) == alone


def test_where_all_images_are_one_group_it_is_torn() -> None:
    parts = complete_splits(None, one_label_each(5, 5), test=0.2, validation=0.25, seed=3, groups=np.zeros(10, np.intp))
    assert set(parts) == {"train", "val", "test"}
