import numpy as np
import pytest
from sklearn.metrics import f1_score

from counterweight.evidence.bootstrap import Interval, macro_f1_intervals, verdict


def drawn(seed: int, images: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, what an arm gives that is right in nine cells of ten, and what one gives that is right in seven."""
    random = np.random.default_rng(seed)
    targets = (random.random((images, 3)) < (0.5, 0.3, 0.2)).astype(np.int8)
    good, poor = (targets.astype(bool) ^ (random.random(targets.shape) < wrong) for wrong in (0.1, 0.3))
    return targets, good, poor


def test_values_are_macro_f1_of_the_images_as_they_are() -> None:
    targets, good, poor = drawn(0)
    original, balanced, difference = macro_f1_intervals(targets, poor, good, repeats=100, seed=0)
    expected = [f1_score(targets, given, average="macro") for given in (poor, good)]
    assert [original.value, balanced.value] == pytest.approx(expected)
    assert difference.value == pytest.approx(expected[1] - expected[0])


def test_interval_is_that_of_a_bootstrap_image_by_image() -> None:
    targets, good, poor = drawn(1, images=60)
    random = np.random.default_rng(5)
    by_hand = []
    for _ in range(2_000):
        rows = random.integers(0, 60, 60)
        by_hand.append(f1_score(targets[rows], good[rows], average="macro", zero_division=0))
    found = macro_f1_intervals(targets, poor, good, repeats=4_000, seed=0)[1]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(by_hand, [2.5, 97.5])), abs=0.01)


def test_arms_are_compared_on_the_same_draws() -> None:
    targets, good, _ = drawn(2)
    assert macro_f1_intervals(targets, good, good, repeats=100, seed=0)[2] == Interval(0.0, 0.0, 0.0)


def test_cell_that_is_not_known_counts_for_neither_arm() -> None:
    targets = np.array([[1, 0], [0, 1], [-1, 1]])
    right, wrong = targets == 1, targets == 1
    wrong[2, 0] = True
    assert macro_f1_intervals(targets, right, wrong, repeats=100, seed=0)[0].value == 1
    assert macro_f1_intervals(targets, right, wrong, repeats=100, seed=0)[1].value == 1


def test_same_seed_gives_the_same_intervals() -> None:
    first, second = (macro_f1_intervals(*drawn(3), repeats=150, seed=7) for _ in range(2))
    assert first == second
    assert first != macro_f1_intervals(*drawn(3), repeats=150, seed=8)


def test_difference_that_is_no_chance_is_called_help_or_harm() -> None:
    targets, good, poor = drawn(4, images=400)
    assert verdict(macro_f1_intervals(targets, poor, good, repeats=500, seed=0)[2], 400).startswith("The copies helped")
    assert verdict(macro_f1_intervals(targets, good, poor, repeats=500, seed=0)[2], 400).startswith(
        "The copies did harm"
    )


def test_difference_that_may_be_chance_is_called_so() -> None:
    targets, good, _ = drawn(5, images=30)
    other = good.copy()
    other[0] = ~other[0]
    said = verdict(macro_f1_intervals(targets, good, other, repeats=500, seed=0)[2], 30)
    assert said.startswith("It cannot be told from 30 test images")


def test_arm_that_is_better_on_no_image_is_not_called_so() -> None:
    """Where labels of one image each pull the draws apart from the value, the two must agree."""
    assert verdict(Interval(-0.067, 0.022, 0.05), 200).startswith("It cannot be told")
    assert verdict(Interval(0.067, -0.05, -0.022), 200).startswith("It cannot be told")


def test_an_interval_that_is_right_in_95_of_100_cases_says_so() -> None:
    """Of 200 datasets from one source, the interval holds the source's own value in about 95 of 100."""
    targets, good, _ = drawn(100, images=40_000)
    true = f1_score(targets, good, average="macro")
    held = 0
    for seed in range(200):
        some = drawn(seed, images=150)
        found = macro_f1_intervals(some[0], some[2], some[1], repeats=200, seed=0)[1]
        held += found.low <= true <= found.high
    assert 180 <= held <= 198
