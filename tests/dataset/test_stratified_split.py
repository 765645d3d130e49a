import numpy as np
import pytest

from counterweight.dataset.stratified_split import stratified_sample
from tests.dataset.targets import Targets, one_label_each


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


def test_one_row_is_chosen_of_ten_at_a_tenth_and_two_at_a_fifth() -> None:
    assert [len(stratified_sample(one_label_each(10), fraction, 0)) for fraction in (0.01, 0.1, 0.2)] == [1, 1, 2]
