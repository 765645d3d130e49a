from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from counterweight.base.manifest import MISSING
from counterweight.dataset.missing_labels import Imputation
from counterweight.dataset.self_training import impute_missing

Targets = NDArray[np.int8]


def impute(features: NDArray[Any], targets: Targets, *labels: str, **changes: Any) -> Imputation:
    return impute_missing(
        features, targets, labels, **({"validation": 0.2, "seed": 0, "single_label": False} | changes)
    )


def column(*parts: tuple[int, int]) -> Targets:
    """Targets of one label, from (value, number of rows) pairs."""
    return np.concatenate([np.full((count, 1), value, np.int8) for value, count in parts])


@pytest.fixture
def noisy() -> tuple[NDArray[np.float64], Targets]:
    """Features of 200 images, and two labels that they nearly determine, a third of the cells missing."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 5))
    truth = (features[:, :2] + rng.normal(scale=0.5, size=(200, 2)) > 0.5).astype(np.int8)
    return features, np.where(rng.random((200, 2)) < 1 / 3, MISSING, truth).astype(np.int8)


def test_missing_cells_are_predicted_from_the_features() -> None:
    features = np.array([[0.0]] * 400 + [[1.0]] * 200 + [[0.1], [0.9]])
    result = impute(features, column((0, 400), (1, 200), (-1, 2)), "sea")
    assert result.targets[-2:].tolist() == [[0], [1]]
    assert result.probabilities[-2, 0] < 0.5 < result.probabilities[-1, 0]
    assert result.held_out == {"sea": {"auc": 1.0, "average_precision": 1.0}}
    assert result.untrainable == []


def test_known_cells_are_not_changed(noisy: tuple[NDArray[np.float64], Targets]) -> None:
    features, targets = noisy
    result = impute(features, targets, "sea", "sky")
    known = targets != MISSING
    assert (result.targets[known] == targets[known]).all()
    assert np.isnan(result.probabilities[known]).all()
    assert set(result.targets[~known].tolist()) == {0, 1}


def test_the_arguments_are_not_changed(noisy: tuple[NDArray[np.float64], Targets]) -> None:
    features, targets = noisy[0].copy(), noisy[1].copy()
    impute(features, targets, "sea", "sky")
    assert (features == noisy[0]).all()
    assert (targets == noisy[1]).all()


def test_the_same_seed_gives_the_same_result(noisy: tuple[NDArray[np.float64], Targets]) -> None:
    first, second, other = (impute(*noisy, "sea", "sky", seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    assert first.held_out == second.held_out
    assert first.held_out != other.held_out


def test_labels_are_imputed_independently(noisy: tuple[NDArray[np.float64], Targets]) -> None:
    features, targets = noisy
    both, single = impute(features, targets, "sea", "sky"), impute(features, targets[:, 1:], "sky")
    np.testing.assert_array_equal(both.targets[:, 1:], single.targets)
    assert both.held_out["sky"] == single.held_out["sky"]


def test_the_threshold_has_the_best_f1_on_held_out_cells() -> None:
    # One in ten images has the label, and the feature is weak: at a threshold of 0.5 no cell would be 1.
    features = np.array([[0.0]] * 90 + [[0.0]] * 5 + [[1.0]] * 5 + [[1.0], [0.0]] + [[1.0]] * 10)
    targets = column((0, 90), (1, 10), (-1, 2), (0, 10))
    result = impute(features, targets, "sea", validation=0.5)
    assert result.probabilities[100, 0] < 0.5
    assert result.targets[100:102].tolist() == [[1], [0]]


@pytest.mark.parametrize("ones", [0, 1, 2, 3])
def test_a_label_with_fewer_than_two_cells_of_a_value_in_either_part_is_left_missing(ones: int) -> None:
    features = np.arange(24.0)[:, None]
    targets = column((0, 20 - ones), (1, ones), (-1, 4))
    result = impute(features, targets, "sea", validation=0.5)
    assert (result.targets.tolist(), result.untrainable, result.held_out) == (targets.tolist(), ["sea"], {})


def test_two_cells_of_each_value_in_both_parts_are_enough() -> None:
    result = impute(
        np.repeat([[0.0], [1.0], [1.0]], [16, 4, 4], axis=0), column((0, 16), (1, 4), (-1, 4)), "sea", validation=0.5
    )
    assert (result.untrainable, result.targets[-4:].tolist()) == ([], [[1]] * 4)


def test_a_label_without_any_known_cell_is_left_missing() -> None:
    assert impute(np.ones((5, 1)), column((-1, 5)), "sea").untrainable == ["sea"]


def test_a_label_without_missing_cells_has_no_scores() -> None:
    targets = np.hstack([column((0, 20), (1, 20)), column((0, 20), (1, 18), (-1, 2))])
    result = impute(np.repeat([[0.0], [1.0]], 20, axis=0), targets, "sea", "sky")
    assert list(result.held_out) == ["sky"]


def three_classes(*counts: int, missing: int) -> Targets:
    known = np.repeat(np.eye(3, dtype=np.int8), counts, axis=0)
    return np.concatenate([known, np.full((missing, 3), MISSING, np.int8)])


def test_a_multiclass_row_gets_its_most_likely_class() -> None:
    features = np.repeat(np.eye(3), [20, 20, 20], axis=0)
    result = impute(
        np.vstack([features, np.eye(3)]), three_classes(20, 20, 20, missing=3), "a", "b", "c", single_label=True
    )
    assert result.targets[-3:].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert result.probabilities[-3:].sum(axis=1).tolist() == pytest.approx([1, 1, 1])
    assert result.held_out == {name: {"auc": 1.0, "average_precision": 1.0} for name in "abc"}


def test_a_class_with_too_few_images_is_never_predicted() -> None:
    features = np.vstack([np.repeat(np.eye(3), [20, 20, 3], axis=0), np.eye(3)])
    result = impute(features, three_classes(20, 20, 3, missing=3), "a", "b", "c", single_label=True)
    assert result.untrainable == ["c"]
    assert result.targets[-3:-1].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert result.targets[-1, 2] == 0
    assert result.targets[-1].sum() == 1
    assert list(result.held_out) == ["a", "b"]


def test_with_a_single_trainable_class_rows_are_left_missing() -> None:
    targets = three_classes(20, 1, 0, missing=2)
    result = impute(np.ones((23, 2)), targets, "a", "b", "c", single_label=True)
    assert (result.targets.tolist(), result.untrainable) == (targets.tolist(), ["a", "b", "c"])


def test_rows_without_missing_classes_are_not_changed() -> None:
    targets = three_classes(2, 2, 2, missing=0)
    result = impute(np.ones((6, 2)), targets, "a", "b", "c", single_label=True)
    assert (result.targets.tolist(), result.untrainable, result.held_out) == (targets.tolist(), [], {})
