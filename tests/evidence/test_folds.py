import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from counterweight.base.errors import InputError
from counterweight.evidence.folds import corrected_difference, draw_sample, holm, image_groups, repeated_folds

# Ten images with the label a, five of them also with the rare label b, and ten with neither.
TARGETS = np.array([[1, 1]] * 5 + [[1, 0]] * 5 + [[0, 0]] * 10)


def test_each_label_keeps_its_share_in_each_fold() -> None:
    folds = repeated_folds(TARGETS, np.arange(20), n_folds=5, n_repeats=2, seed=0)
    for of_repeat in folds:
        assert [TARGETS[of_repeat == fold].sum(axis=0).tolist() for fold in range(5)] == [[2, 1]] * 5


def test_repeats_differ_and_the_seed_fixes_them() -> None:
    folds = repeated_folds(TARGETS, np.arange(20), n_folds=5, n_repeats=2, seed=0)
    assert (folds[0] != folds[1]).any()
    np.testing.assert_array_equal(folds, repeated_folds(TARGETS, np.arange(20), n_folds=5, n_repeats=2, seed=0))


def test_a_group_is_in_one_fold() -> None:
    groups = np.arange(20) // 2
    (folds,) = repeated_folds(TARGETS, groups, n_folds=5, n_repeats=1, seed=0)
    assert all(len(set(folds[groups == group])) == 1 for group in range(10))


def test_duplicates_and_tied_images_are_groups_and_every_other_image_is_its_own() -> None:
    duplicates = pd.DataFrame({"image_id": ["b", "d", "0"], "tied": [0, 0, 0], "group": [0, 0, 1]})
    tied, alike = image_groups(["a", "b", "c", "d", "0"], duplicates)
    assert (tied.tolist(), alike.tolist()) == ([0, 1, 2, 1, 1], [0, 1, 2, 1, 3])


def test_an_image_named_like_a_group_does_not_join_it() -> None:
    duplicates = pd.DataFrame({"image_id": ["b", "d"], "tied": [7, 7], "group": [7, 7]})
    assert image_groups(["7", "b", "d"], duplicates)[1].tolist() == [0, 1, 1]


def test_too_few_images_for_the_folds_are_an_error() -> None:
    with pytest.raises(InputError, match=r"probe\.folds is 5, and 4 different images or groups are too few"):
        repeated_folds(TARGETS[:8], np.arange(8) // 2, n_folds=5, n_repeats=1, seed=0)


def test_the_variance_is_that_of_nadeau_and_bengio() -> None:
    differences = np.array([0.02, 0.04, 0.03, 0.05, 0.01])
    result = corrected_difference(differences, n_folds=5)
    error = np.sqrt((1 / 5 + 1 / 4) * differences.var(ddof=1))
    half = stats.t.ppf(0.975, 4) * error
    assert (result.value, result.low, result.high) == pytest.approx((0.03, 0.03 - half, 0.03 + half))
    assert result.p_value == pytest.approx(2 * stats.t.sf(0.03 / error, 4))


def test_an_interval_clear_of_zero_has_a_p_value_below_five_percent() -> None:
    result = corrected_difference(np.array([0.03, 0.04, 0.05, 0.04, 0.04]), n_folds=5)
    assert result.low > 0
    assert result.p_value < 0.05


def test_equal_results_are_no_difference() -> None:
    result = corrected_difference(np.zeros(10), n_folds=5)
    assert (result.value, result.low, result.high, result.p_value) == (0, 0, 0, 1)


def test_a_null_difference_is_found_in_about_one_of_twenty_data_sets() -> None:
    """Two equally good classifiers, whose scores differ by chance: the plain t-test would find differences in 15 %."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(400):
        y_true = rng.random(100) < 0.5
        gain = rng.choice([-1, 0, 1], size=100, p=[0.2, 0.6, 0.2]) + 0 * y_true
        parts = [gain[order].reshape(5, 20).mean(axis=1) for order in (rng.permutation(100) for _ in range(4))]
        found += corrected_difference(np.concatenate(parts), n_folds=5).p_value < 0.05
    assert found / 400 < 0.07


def test_holm_multiplies_the_smallest_by_all_and_never_decreases() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_undefined_p_values_stay_so_and_do_not_count() -> None:
    assert holm([np.nan, 0.01, 0.04]) == pytest.approx([np.nan, 0.02, 0.04], nan_ok=True)


def test_few_images_and_labels_are_all_chosen() -> None:
    rows, columns = draw_sample(
        np.eye(3, dtype=int), "multilabel", max_images=3, max_labels=3, labels_at_full_size=20, seed=0
    )
    assert (rows.tolist(), columns.tolist()) == ([0, 1, 2], [0, 1, 2])


def test_of_many_images_some_are_chosen_at_random() -> None:
    targets = np.zeros((50, 2), int)
    chosen = [draw_sample(targets, "multilabel", 10, 5, 20, seed)[0].tolist() for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert all(sorted(set(rows)) == rows and len(rows) == 10 for rows in chosen)


def test_of_more_labels_fewer_images_are_chosen_so_that_fitting_takes_as_long() -> None:
    targets = np.ones((9_000, 80), int)
    assert [len(draw_sample(targets[:, :n], "multilabel", 8_000, 80, 20, 0)[0]) for n in (20, 40, 80)] == [
        8_000, 4_000, 2_000,
    ]  # fmt: skip


def test_however_many_labels_there_are_a_thousand_images_are_chosen() -> None:
    assert len(draw_sample(np.ones((2_000, 500), int), "multilabel", 8_000, 500, 20, 0)[0]) == 1_000


def test_labels_that_are_too_rare_in_the_sample_are_not_judged() -> None:
    rows, columns = draw_sample(many_labels(), "multilabel", 500, 3, 2, seed=0)
    assert columns.tolist() == [0, 2, 4]  # The sixth has 15 images, so some five of these.
    assert len(rows) == 500


def test_of_equally_rare_labels_as_many_are_judged_as_have_enough_images() -> None:
    targets = np.repeat(np.eye(200, dtype=int), 60, axis=0)  # 12,000 images.
    rows, columns = draw_sample(targets, "multilabel", 6_000, 100, 20, seed=0)
    assert (len(rows), len(columns)) == (2_000, 60)  # Ten images of each can be expected.


def test_of_equally_rare_classes_as_many_are_judged_as_may_be() -> None:
    targets = np.repeat(np.eye(200, dtype=int), 60, axis=0)
    rows, columns = draw_sample(targets, "multiclass", 6_000, 100, 20, seed=0)
    assert (len(rows), len(columns)) == (1_200, 100)


def many_labels() -> NDArray[np.intp]:
    """A thousand images with one of seven labels each: 500, 300, 100, 50, 30, 15 and 5 images."""
    return np.repeat(np.eye(7, dtype=np.intp), [500, 300, 100, 50, 30, 15, 5], axis=0)


def test_of_many_labels_some_are_chosen_from_the_commonest_to_the_rarest_that_can_be_judged() -> None:
    rows, columns = draw_sample(
        many_labels(), "multilabel", max_images=2_000, max_labels=3, labels_at_full_size=20, seed=0
    )
    assert columns.tolist() == [0, 2, 5]
    assert len(rows) == 1_000


def test_with_one_label_per_image_those_of_other_classes_are_left_out() -> None:
    rows, columns = draw_sample(
        many_labels(), "multiclass", max_images=2_000, max_labels=3, labels_at_full_size=20, seed=0
    )
    assert (many_labels()[np.ix_(rows, columns)].sum(axis=1) == 1).all()
    assert len(rows) == 500 + 100 + 15
