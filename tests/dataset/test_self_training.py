from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from counterweight.base.manifest import MISSING
from counterweight.dataset.missing_labels import Filling, Quality
from counterweight.dataset.self_training import fill_missing

Targets = NDArray[np.int8]


def fill(features: NDArray[Any], targets: Targets, *labels: str, **changes: Any) -> Filling:
    return fill_missing(features, targets, labels, **({"validation": 0.2, "seed": 0, "one_each": False} | changes))


def column(*parts: tuple[int, int]) -> Targets:
    """One label: so many rows of each value."""
    return np.concatenate([np.full((count, 1), value, np.int8) for value, count in parts])


@pytest.fixture
def noisy() -> tuple[NDArray[np.float64], Targets]:
    """200 images, two labels that the features nearly tell, a third of the cells missing."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 5))
    truth = (features[:, :2] + rng.normal(scale=0.5, size=(200, 2)) > 0.5).astype(np.int8)
    return features, np.where(rng.random((200, 2)) < 1 / 3, MISSING, truth).astype(np.int8)


def test_missing_cells_become_what_the_features_say() -> None:
    features = np.array([[0.0]] * 400 + [[1.0]] * 200 + [[0.1], [0.9]])
    filling = fill(features, column((0, 400), (1, 200), (-1, 2)), "sea")
    assert filling.targets[-2:].tolist() == [[0], [1]]
    assert filling.probabilities[-2, 0] < 0.5 < filling.probabilities[-1, 0]
    assert filling.quality == {"sea": Quality(auc=1.0, average_precision=1.0)}
    assert filling.unlearnt == []


def test_known_cells_stay_as_they_are(noisy: tuple[NDArray[np.float64], Targets]) -> None:
    features, targets = noisy
    filling = fill(features, targets, "sea", "sky")
    known = targets != MISSING
    assert (filling.targets[known] == targets[known]).all()
    assert np.isnan(filling.probabilities[known]).all()
    assert set(filling.targets[~known].tolist()) == {0, 1}


def test_the_arrays_given_are_left_as_they_were(noisy: tuple[NDArray[np.float64], Targets]) -> None:
    features, targets = noisy[0].copy(), noisy[1].copy()
    fill(features, targets, "sea", "sky")
    assert (features == noisy[0]).all()
    assert (targets == noisy[1]).all()


def test_the_same_seed_fills_the_same(noisy: tuple[NDArray[np.float64], Targets]) -> None:
    first, second, other = (fill(*noisy, "sea", "sky", seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    assert first.quality == second.quality
    assert first.quality != other.quality


def test_each_label_is_filled_on_its_own(noisy: tuple[NDArray[np.float64], Targets]) -> None:
    features, targets = noisy
    both, one = fill(features, targets, "sea", "sky"), fill(features, targets[:, 1:], "sky")
    np.testing.assert_array_equal(both.targets[:, 1:], one.targets)
    assert both.quality["sky"] == one.quality["sky"]


def test_the_threshold_is_the_one_with_the_best_f1_on_the_part_held_out() -> None:
    # One in ten has the label, and the feature says little: at 0.5 no cell would be 1.
    features = np.array([[0.0]] * 90 + [[0.0]] * 5 + [[1.0]] * 5 + [[1.0], [0.0]] + [[1.0]] * 10)
    targets = column((0, 90), (1, 10), (-1, 2), (0, 10))
    filling = fill(features, targets, "sea", validation=0.5)
    assert filling.probabilities[100, 0] < 0.5
    assert filling.targets[100:102].tolist() == [[1], [0]]


@pytest.mark.parametrize("ones", [0, 1, 2, 3])
def test_a_label_with_fewer_than_two_of_a_value_in_either_part_is_left_missing(ones: int) -> None:
    features = np.arange(24.0)[:, None]
    targets = column((0, 20 - ones), (1, ones), (-1, 4))
    filling = fill(features, targets, "sea", validation=0.5)
    assert (filling.targets.tolist(), filling.unlearnt, filling.quality) == (targets.tolist(), ["sea"], {})


def test_two_of_each_value_in_both_parts_are_enough() -> None:
    filling = fill(
        np.repeat([[0.0], [1.0], [1.0]], [16, 4, 4], axis=0), column((0, 16), (1, 4), (-1, 4)), "sea", validation=0.5
    )
    assert (filling.unlearnt, filling.targets[-4:].tolist()) == ([], [[1]] * 4)


def test_a_label_without_any_known_cell_is_left_missing() -> None:
    assert fill(np.ones((5, 1)), column((-1, 5)), "sea").unlearnt == ["sea"]


def test_a_label_without_missing_cells_is_not_judged() -> None:
    targets = np.hstack([column((0, 20), (1, 20)), column((0, 20), (1, 18), (-1, 2))])
    filling = fill(np.repeat([[0.0], [1.0]], 20, axis=0), targets, "sea", "sky")
    assert list(filling.quality) == ["sky"]


def three_classes(*counts: int, missing: int) -> Targets:
    known = np.repeat(np.eye(3, dtype=np.int8), counts, axis=0)
    return np.concatenate([known, np.full((missing, 3), MISSING, np.int8)])


def test_of_one_class_an_image_a_row_gets_its_likeliest_class() -> None:
    features = np.repeat(np.eye(3), [20, 20, 20], axis=0)
    filling = fill(np.vstack([features, np.eye(3)]), three_classes(20, 20, 20, missing=3), "a", "b", "c", one_each=True)
    assert filling.targets[-3:].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert filling.probabilities[-3:].sum(axis=1).tolist() == pytest.approx([1, 1, 1])
    assert filling.quality == {name: Quality(1.0, 1.0) for name in "abc"}


def test_a_class_with_too_few_images_is_given_to_none() -> None:
    features = np.vstack([np.repeat(np.eye(3), [20, 20, 3], axis=0), np.eye(3)])
    filling = fill(features, three_classes(20, 20, 3, missing=3), "a", "b", "c", one_each=True)
    assert filling.unlearnt == ["c"]
    assert filling.targets[-3:-1].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert filling.targets[-1, 2] == 0
    assert filling.targets[-1].sum() == 1
    assert list(filling.quality) == ["a", "b"]


def test_with_one_class_alone_rows_are_left_missing() -> None:
    targets = three_classes(20, 1, 0, missing=2)
    filling = fill(np.ones((23, 2)), targets, "a", "b", "c", one_each=True)
    assert (filling.targets.tolist(), filling.unlearnt) == (targets.tolist(), ["a", "b", "c"])


def test_rows_that_all_have_their_class_stay_as_they_are() -> None:
    targets = three_classes(2, 2, 2, missing=0)
    filling = fill(np.ones((6, 2)), targets, "a", "b", "c", one_each=True)
    assert (filling.targets.tolist(), filling.unlearnt, filling.quality) == (targets.tolist(), [], {})
