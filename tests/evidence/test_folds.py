import numpy as np
import pandas as pd
import pytest

from counterweight.base.errors import InputError
from counterweight.evidence.folds import duplicate_groups, repeated_folds

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


def test_duplicates_are_a_group_and_every_other_image_is_its_own() -> None:
    duplicates = pd.DataFrame({"image_id": ["b", "d", "0"], "group": [0, 0, 1]})
    assert duplicate_groups(["a", "b", "c", "d", "0"], duplicates).tolist() == [0, 1, 2, 1, 3]


def test_an_image_named_like_a_group_does_not_join_it() -> None:
    duplicates = pd.DataFrame({"image_id": ["b", "d"], "group": [7, 7]})
    assert duplicate_groups(["7", "b", "d"], duplicates).tolist() == [0, 1, 1]


def test_too_few_images_for_the_folds_are_an_error() -> None:
    with pytest.raises(InputError, match=r"probe\.folds is 5, and 4 different train images are too few"):
        repeated_folds(TARGETS[:8], np.arange(8) // 2, n_folds=5, n_repeats=1, seed=0)
