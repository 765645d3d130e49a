from typing import Any

import numpy as np
import pytest

from counterweight.augmentation import undersampling
from counterweight.augmentation.allocation import AllocationConfig
from counterweight.augmentation.strategies import TrainImages
from counterweight.augmentation.undersampling import UndersamplingConfig, plan_balance, redundant_images

# Six cats on a line, two of them almost alike and two a little less so, and two dogs far from them.
IDS = ["a", "b", "c", "d", "e", "f", "x", "y"]
FEATURES = np.array([[0], [0.1], [2], [2.3], [5], [9], [50], [60]], dtype=np.float32)
CATS, DOGS, BCD = IDS[:6], IDS[6:], ["b", "c", "d"]


def left_out(members: dict[str, list[str]], size: int, **changes: Any) -> list[str]:
    options = {"features": FEATURES, "weights": np.ones(len(IDS)), "seed": 0} | changes
    return redundant_images(members, size, IDS, **options)


def test_one_of_the_two_most_similar_images_goes_then_one_of_the_next_two() -> None:
    assert left_out({"cat": CATS}, 5) == ["b"]
    assert left_out({"cat": CATS}, 4) == ["b", "d"]


def test_images_whose_neighbor_has_gone_are_compared_with_the_rest() -> None:
    assert left_out({"cat": CATS}, 3) == ["b", "c", "d"]  # a, c, e and f are left then, and c is nearest to a.
    assert left_out({"cat": CATS}, 1) == ["b", "c", "d", "e", "f"]


def test_of_two_similar_images_that_of_the_lower_weight_goes() -> None:
    weights = np.array([1, 2, 1, 1, 1, 1, 1, 1], dtype=float)
    assert left_out({"cat": CATS}, 5, weights=weights) == ["a"]


def test_small_groups_lose_nothing() -> None:
    assert left_out({"cat": CATS, "dog": DOGS}, 4) == ["b", "d"]
    assert left_out({"cat": CATS, "dog": DOGS}, 6) == []


def test_an_image_stays_if_a_group_of_it_would_become_too_small() -> None:
    members = {"cat": CATS, "indoors": ["a", "b"]}
    assert left_out(members, 4) == ["c", "d"]  # Not one of a and b, which are most similar.


def test_a_group_stays_too_large_if_all_its_images_are_needed_elsewhere() -> None:
    assert left_out({"cat": CATS, "a pair": ["a", "b"], "another": ["c", "d"], "third": ["e", "f"]}, 2) == []


@pytest.mark.parametrize("neighbors", [1, 2, 16])
def test_neighbors_are_searched_again_when_all_that_were_found_have_gone(
    neighbors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undersampling, "_NEIGHBORS", neighbors)
    assert [left_out({"cat": CATS}, size) for size in (3, 2, 1)] == [BCD, [*BCD, "f"], [*BCD, "e", "f"]]


def test_large_groups_are_searched_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undersampling, "_BLOCK", 3)
    first = left_out({"cat": CATS}, 2)
    assert len(first) == 4
    assert left_out({"cat": CATS}, 2) == first


@pytest.fixture
def train() -> TrainImages:
    targets = np.array([[1, 0]] * 6 + [[0, 1]] * 2)
    return TrainImages(IDS, [0] * 6 + [1] * 2, targets, ["cat", "dog"])


def balance(
    train: TrainImages, target: float, *, fills: bool, strategy: str = "classes"
) -> tuple[list[str], list[str]]:
    """Images that are left out, and sources of copies."""
    copying = AllocationConfig(1.0, fill_smallest=None, max_per_image=None, seed=0)
    leaving_out = UndersamplingConfig(target, fills=fills, seed=0)
    plan, out = plan_balance(strategy, train, FEATURES, copying, leaving_out)
    return out, sorted(copy.source_id for copy in plan.next_copies({}, set()))


@pytest.mark.parametrize("strategy", ["clusters", "classes", "labels", "clusters_labels"])
def test_undersampling_alone_makes_no_copies(train: TrainImages, strategy: str) -> None:
    assert balance(train, 4, fills=False, strategy=strategy) == (["b", "d"], [])


def test_the_target_is_a_number_a_fraction_of_the_largest_or_the_smallest_group(train: TrainImages) -> None:
    assert balance(train, 0.5, fills=False)[0] == ["b", "c", "d"]
    assert len(balance(train, 0.0, fills=False)[0]) == 4


def test_both_fills_the_small_groups_to_the_size_that_the_large_ones_are_left_with(train: TrainImages) -> None:
    assert balance(train, 4, fills=True) == (["b", "d"], ["x", "y"])
    assert balance(train, 0.5, fills=True) == (["b", "c", "d"], ["x"])


def test_images_that_are_left_out_are_not_copied() -> None:
    targets = np.array([[1, 0]] * 4 + [[0, 1]] * 4)
    train = TrainImages(IDS, [0] * 4 + [1] * 4, targets, ["cat", "dog"])
    out, sources = balance(train, 3, fills=True)
    assert not set(out) & set(sources)


def test_without_any_label_nothing_is_left_out() -> None:
    train = TrainImages(IDS, [0] * 8, np.zeros((8, 2), dtype=int), ["cat", "dog"])
    assert balance(train, 0.5, fills=True, strategy="labels") == ([], [])


def test_without_limits_nothing_is_left_out_and_groups_are_filled(train: TrainImages) -> None:
    copying = AllocationConfig(1.0, fill_smallest=None, max_per_image=None, seed=0)
    plan, out = plan_balance("classes", train, FEATURES, copying, None)
    assert (out, len(plan.next_copies({}, set()))) == ([], 4)


@pytest.mark.parametrize(
    ("resampling", "target", "expected"),
    [
        ("over", "majority", None),
        ("under", "minority", UndersamplingConfig(0.0, fills=False, seed=7)),
        ("under", 0.5, UndersamplingConfig(0.5, fills=False, seed=7)),
        ("both", 500, UndersamplingConfig(500, fills=True, seed=7)),
    ],
)
def test_params_say_how_groups_are_reduced(resampling: str, target: Any, expected: UndersamplingConfig | None) -> None:
    augment = {"resampling": resampling, "target": target, "seed": 7}
    assert UndersamplingConfig.from_params(augment) == expected
