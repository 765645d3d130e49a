from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import t
from sklearn.metrics import f1_score

from counterweight.metrics import bootstrap
from counterweight.metrics.bootstrap import Interval, Spread, macro_f1_intervals, power_sentence, verdict


def sample_arms(seed: int, images: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, and the predictions, under one seed, of an arm with 90 % of cells correct and of one with 70 %."""
    rng = np.random.default_rng(seed)
    y_true = (rng.random((images, 3)) < (0.5, 0.3, 0.2)).astype(np.int8)
    good, poor = (y_true.astype(bool) ^ (rng.random(y_true.shape) < wrong) for wrong in (0.1, 0.3))
    return y_true, good[None], poor[None]


def seeds_of_quality(y_true: np.ndarray, wrong: tuple[float, ...], seed: int) -> np.ndarray:
    """Predictions of an arm whose seeds get these fractions of the cells wrong, in the same order of cells."""
    difficulty = np.random.default_rng(seed).random(y_true.shape)
    return np.stack([y_true.astype(bool) ^ (difficulty < each) for each in wrong])


def width(interval: Interval) -> float:
    return interval.high - interval.low


def test_values_are_macro_f1_on_all_images() -> None:
    y_true, good, poor = sample_arms(0)
    baseline, arm, difference = macro_f1_intervals(y_true, poor, good, n_samples=100, seed=0)
    expected = [f1_score(y_true, y_pred[0], average="macro") for y_pred in (poor, good)]
    assert [baseline.value, arm.value] == pytest.approx(expected)
    assert difference.value == pytest.approx(expected[1] - expected[0], abs=1e-3)


def test_values_are_means_over_the_seeds() -> None:
    y_true = np.array([[1], [1], [0], [0]])
    right, nothing, everything = y_true == 1, np.zeros((4, 1), bool), np.ones((4, 1), bool)
    baseline, arm, difference = macro_f1_intervals(
        y_true, np.stack([nothing, everything]), np.stack([right, everything]), n_samples=50, seed=0
    )
    assert (baseline.value, arm.value) == (pytest.approx((0 + 2 / 3) / 2), pytest.approx((1 + 2 / 3) / 2))
    assert difference.value == 0.5


def test_one_seed_gives_the_percentiles_of_f1_on_repeated_images() -> None:
    y_true, good, poor = sample_arms(6, images=40)
    drawn = np.random.default_rng(3).integers(40, size=(230, 40))
    by_hand = np.array(
        [
            [
                f1_score(y_true[rows], arm[0, rows], average=None)[y_true[rows].any(axis=0)].mean()
                for arm in (poor, good)
            ]
            for rows in drawn
        ]
    )
    expected = [by_hand[:, 0], by_hand[:, 1], by_hand[:, 1] - by_hand[:, 0]]
    for interval, values in zip(macro_f1_intervals(y_true, poor, good, n_samples=230, seed=3), expected, strict=True):
        assert (interval.low, interval.high) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])), abs=1e-12)


def test_seeds_that_agree_give_the_interval_of_one_seed() -> None:
    y_true, good, poor = sample_arms(2)
    one = macro_f1_intervals(y_true, poor, good, n_samples=200, seed=0)
    three = macro_f1_intervals(y_true, poor.repeat(3, axis=0), good.repeat(3, axis=0), n_samples=200, seed=0)
    for each, alone in zip(three, one, strict=True):
        assert (each.value, each.low, each.high) == pytest.approx((alone.value, alone.low, alone.high), abs=1e-12)


def test_the_same_effect_of_the_seed_in_both_arms_leaves_the_interval_of_the_difference_unchanged() -> None:
    """The seeds change label 0 alone, in both arms alike; the arms differ in label 1 alone."""
    y_true, good, poor = sample_arms(3)
    by_seed = seeds_of_quality(y_true, (0.05, 0.2, 0.4), seed=0)
    baseline, arm = by_seed.copy(), by_seed.copy()
    baseline[..., 1:], arm[..., 1:] = poor[..., 1:], good[..., 1:]
    together = macro_f1_intervals(y_true, baseline, arm, n_samples=200, seed=0)
    alone = macro_f1_intervals(y_true, baseline[:1], arm[:1], n_samples=200, seed=0)
    assert (together[2].low, together[2].high) == pytest.approx((alone[2].low, alone[2].high), abs=1e-12)
    assert together[2].spread.seeds == pytest.approx(0, abs=1e-12)
    assert width(together[0]) > 1.5 * width(alone[0])


def test_seeds_belong_together_in_their_order() -> None:
    y_true, _, _ = sample_arms(4)
    arm = seeds_of_quality(y_true, (0.05, 0.2, 0.4), seed=0)
    paired, crossed = (
        macro_f1_intervals(y_true, arm[order], arm, n_samples=200, seed=0)[2] for order in ([0, 1, 2], [1, 2, 0])
    )
    assert (paired.low, paired.high) == (0, 0)
    assert width(crossed) > 0.5


def test_an_interval_is_wider_the_more_the_seeds_disagree() -> None:
    y_true, _, _ = sample_arms(5)
    widths = [
        width(macro_f1_intervals(y_true, *[seeds_of_quality(y_true, wrong, seed=0)] * 2, n_samples=400, seed=0)[1])
        for wrong in ((0.2, 0.2, 0.2), (0.19, 0.2, 0.21), (0.15, 0.2, 0.25), (0.1, 0.2, 0.3))
    ]
    assert all(narrow < wide for narrow, wide in pairwise(widths))


def test_without_noise_of_the_images_the_interval_is_close_to_that_of_the_t_test() -> None:
    """All images are alike, so that only the seeds differ: five of them, whose F1 is 1, 1, 0.5, 0.5 and 0."""
    y_true = np.ones((300, 2), np.int8)
    f1 = np.array([1.0, 1.0, 0.5, 0.5, 0.0])
    columns = np.array([[True, True], [True, True], [True, False], [True, False], [False, False]])
    y_pred = np.broadcast_to(columns[:, None], (5, 300, 2))
    interval = macro_f1_intervals(y_true, y_pred, y_pred, n_samples=4_000, seed=0)[0]
    half = t.ppf(0.975, 4) * f1.std(ddof=1) / np.sqrt(5)
    assert interval.value == pytest.approx(0.6)
    assert width(interval) / 2 == pytest.approx(half, rel=0.1)
    nothing = pytest.approx(0, abs=1e-12)
    assert interval.spread == Spread(nothing, pytest.approx(f1.var(ddof=1) / 5), nothing)


def test_the_spread_tells_noise_of_the_images_from_that_of_the_seeds() -> None:
    y_true, good, _ = sample_arms(6, images=1_000)
    noisy = seeds_of_quality(y_true, (0.1, 0.2, 0.3), seed=0)
    same, different = (
        macro_f1_intervals(y_true, arm, arm, n_samples=200, seed=0)[0].spread for arm in (good.repeat(3, axis=0), noisy)
    )
    assert same == Spread(pytest.approx(same.images), pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12))
    assert different.seeds > 10 * different.images > 0
    assert different.both > 0


def test_one_seed_says_nothing_of_the_spread_of_seeds() -> None:
    spread = macro_f1_intervals(*sample_arms(6), n_samples=100, seed=0)[2].spread
    assert spread == Spread(spread.images, 0.0, 0.0)
    assert spread.images > 0


def test_arms_are_compared_on_the_same_samples() -> None:
    y_true, good, _ = sample_arms(2)
    assert macro_f1_intervals(y_true, good, good, n_samples=100, seed=0)[2] == Interval(0.0, 0.0, 0.0)


def test_unknown_cells_count_for_neither_arm() -> None:
    y_true = np.array([[1, 0], [0, 1], [-1, 1]])
    right, wrong = (y_true == 1)[None], (y_true == 1)[None]
    wrong[0, 2, 0] = True
    baseline, arm, _ = macro_f1_intervals(y_true, right, wrong, n_samples=100, seed=0)
    assert (baseline.value, arm.value) == (1, 1)


@pytest.mark.parametrize("n_seeds", [1, 3])
def test_same_seed_gives_the_same_intervals(n_seeds: int) -> None:
    y_true, good, _ = sample_arms(3)
    arm = seeds_of_quality(y_true, (0.1, 0.2, 0.3)[:n_seeds], seed=0)
    baseline = good.repeat(n_seeds, axis=0)
    first, second = (macro_f1_intervals(y_true, baseline, arm, n_samples=150, seed=7) for _ in range(2))
    assert first == second
    assert first != macro_f1_intervals(y_true, baseline, arm, n_samples=150, seed=8)


def test_difference_is_arm_minus_baseline() -> None:
    y_true = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    right, nothing = (y_true == 1)[None], np.zeros((1, 4, 2), np.bool_)
    values = [each.value for each in macro_f1_intervals(y_true, nothing, right, n_samples=5, seed=0)]
    assert values == [0.0, 1.0, 1.0]


def test_interval_covers_the_true_value_in_about_95_percent_of_datasets() -> None:
    y_true, good, _ = sample_arms(100, images=40_000)
    true = f1_score(y_true, good[0], average="macro")
    covered = 0
    for seed in range(200):
        some = sample_arms(seed, images=150)
        interval = macro_f1_intervals(some[0], some[2], some[1], n_samples=200, seed=0)[1]
        covered += interval.low <= true <= interval.high
    assert 180 <= covered <= 198


@pytest.mark.parametrize(("n_images", "sizes"), [(7, [1, 100, 100, 50]), (1_000_000, [1, 2, 2, 1])])
def test_there_are_as_many_samples_as_asked_for_in_chunks_that_bound_the_memory(
    n_images: int, sizes: list[int]
) -> None:
    """Beside all images once."""
    n_samples = sum(sizes) - 1
    weights = bootstrap._image_weights(n_images, n_samples, seed=0)
    assert [len(chunk) for chunk in weights if (chunk.sum(axis=1) == n_images).all()] == sizes


def test_a_sample_without_images_of_a_label_leaves_the_label_out() -> None:
    y_true = np.array([[1, 1], [1, 0], [0, 0]])
    y_pred = np.array([[True, True], [True, True], [False, False]])
    weights = np.array([[1.0, 1, 1], [0, 2, 1]])
    assert bootstrap._macro_f1(y_true, y_pred, weights).tolist() == [(1 + 2 / 3) / 2, 1.0]


def test_a_sample_without_images_of_any_label_is_left_out() -> None:
    """One of four images has the label, so that three samples in ten lack it."""
    y_true = np.array([[1], [0], [0], [0]])
    right, everything = (y_true == 1)[None], np.ones((1, 4, 1), np.bool_)
    baseline, arm, _ = macro_f1_intervals(y_true, everything, right, n_samples=200, seed=0)
    assert (arm.low, arm.value, arm.high) == (1, 1, 1)
    assert (baseline.low, baseline.value) == (pytest.approx(0.4), pytest.approx(0.4))


def test_a_label_that_no_image_has_counts_as_0_as_in_scikit_learn() -> None:
    y_true, y_pred = np.array([[1, 0], [1, 0]]), np.array([[[True, False], [True, False]]])
    value = macro_f1_intervals(y_true, y_pred, y_pred, n_samples=5, seed=0)[0].value
    assert value == f1_score(y_true, y_pred[0], average="macro", zero_division=0) == 0.5


def test_the_difference_is_that_of_the_numbers_beside_it() -> None:
    y_true, good, poor = sample_arms(1)
    baseline, arm, difference = macro_f1_intervals(y_true, poor, good, n_samples=100, seed=0)
    assert f"{difference.value:.3f}" == f"{round(arm.value, 3) - round(baseline.value, 3):.3f}"


def test_verdict_on_a_significant_difference_is_help_or_harm() -> None:
    y_true, good, poor = sample_arms(4, images=400)
    better, worse = (
        verdict(macro_f1_intervals(y_true, *arms, n_samples=500, seed=0)[2], 400, 1, "copies")
        for arms in ((poor, good), (good, poor))
    )
    assert better.startswith("The copies helped on these 400 test images: macro F1 +")
    assert worse.startswith("The copies did harm on these 400 test images: macro F1 -")


def test_verdict_on_a_difference_within_chance_is_inconclusive() -> None:
    y_true, good, _ = sample_arms(5, images=30)
    other = good.copy()
    other[0, 0] = ~other[0, 0]
    sentence = verdict(macro_f1_intervals(y_true, good, other, n_samples=500, seed=0)[2], 30, 1, "copies")
    assert sentence.startswith("Inconclusive whether the copies helped on these 30 test images: macro F1 ")


def test_verdict_needs_the_value_and_the_interval_to_agree() -> None:
    # Labels with few images are absent from some bootstrap samples, so that the interval may not hold the value.
    assert verdict(Interval(-0.067, 0.022, 0.05), 200, 1, "copies").startswith("Inconclusive")
    assert verdict(Interval(0.067, -0.05, -0.022), 200, 1, "copies").startswith("Inconclusive")


UNCLEAR = "Inconclusive whether the copies helped on these 7 test images: macro F1"


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        (
            Interval(0.05, 0.01, 0.09),
            "The copies helped on these 7 test images: macro F1 +0.050 (95 % CI +0.010 to +0.090).",
        ),
        (
            Interval(-0.05, -0.09, -0.01),
            "The copies did harm on these 7 test images: macro F1 -0.050 (95 % CI -0.090 to -0.010).",
        ),
        (
            Interval(0.05, 0.0, 0.09),
            f"{UNCLEAR} +0.050 (95 % CI +0.000 to +0.090).",
        ),
        (
            Interval(-0.05, -0.09, 0.0),
            f"{UNCLEAR} -0.050 (95 % CI -0.090 to +0.000).",
        ),
        (
            Interval(0.0, 0.0, 0.0),
            f"{UNCLEAR} +0.000 (95 % CI +0.000 to +0.000).",
        ),
        (
            Interval(-0.0001, -0.02, 0.02),
            f"{UNCLEAR} +0.000 (95 % CI -0.020 to +0.020).",
        ),
    ],
)
def test_verdict_is_a_sentence_with_the_interval(difference: Interval, sentence: str) -> None:
    assert verdict(difference, 7, 1, "copies") == sentence


@pytest.mark.parametrize(
    ("arm", "subject"),
    [
        ("copies", "The copies"),
        ("weights", "The weighting"),
        ("copies+weights", "The copies and the weighting"),
        ("focal loss", "The arm focal loss"),
        ("copies+mixup", "The arm copies+mixup"),
    ],
)
def test_verdict_names_the_arm_and_several_seeds(arm: str, subject: str) -> None:
    said = " on these 7 test images and 3 seeds: macro F1 "
    better, worse = verdict(Interval(0.05, 0.01, 0.09), 7, 3, arm), verdict(Interval(-0.05, -0.09, -0.01), 7, 3, arm)
    assert better == f"{subject} helped{said}+0.050 (95 % CI +0.010 to +0.090)."
    assert worse == f"{subject} did harm{said}-0.050 (95 % CI -0.090 to -0.010)."
    unclear = verdict(Interval(-0.004, -0.048, 0.043), 7, 3, arm)
    assert (
        unclear
        == f"Inconclusive whether {subject.replace('The', 'the')} helped{said}-0.004 (95 % CI -0.048 to +0.043)."
    )


@pytest.mark.parametrize(
    ("spread", "seeds", "needed"),
    [
        (Spread(0.0004, 0.0, 0.0), 1, "here, you would need about 770 test images."),
        (Spread(0.0004, 0.0, 0.0), 3, "here, you would need about 770 test images; more seeds alone would not do."),
        (Spread(0.0, 0.0004, 0.0), 3, "here, you would need about 15 seeds; more test images alone would not do."),
        (Spread(0.0, 0.0, 0.0004), 5, "here, you would need about 1,800 test images, or 40 seeds."),
        (
            Spread(0.0004, 0.0004, 0.0), 3,
            "here, you would need about 1,600 test images and 24 seeds; neither alone would do.",
        ),
    ],
)  # fmt: skip
def test_power_is_in_test_images_or_seeds_or_both(spread: Spread, seeds: int, needed: str) -> None:
    sentence = power_sentence(Interval(0.0, -0.04, 0.04, spread), 200, seeds)
    assert sentence == f"To tell a difference of 0.02 apart {needed}"


@pytest.mark.parametrize(("variance", "needed"), [(0.0002, "390"), (0.0004, "770"), (0.0008, "1,600")])
def test_twice_the_noise_of_the_images_needs_twice_the_images(variance: float, needed: str) -> None:
    sentence = power_sentence(Interval(0.0, -0.06, 0.06, Spread(variance, 0.0, 0.0)), 200, 3)
    assert f"about {needed} test images;" in sentence


def test_the_numbers_of_seeds_needed_make_the_t_test_narrow_enough() -> None:
    """Variance 0.0004 of the mean over 3 seeds: 0.0012 of one seed."""
    halves = [t.ppf(0.975, n_seeds - 1) * np.sqrt(0.0012 / n_seeds) for n_seeds in (14, 15)]
    assert halves[0] > 0.02 > halves[1] - 0.0005
    assert "about 15 seeds" in power_sentence(Interval(0.0, -0.09, 0.09, Spread(0.0, 0.0004, 0.0)), 200, 3)


def test_power_is_for_the_wanted_difference() -> None:
    narrow = Interval(0.0, -0.03, 0.03, Spread(0.000225, 0.0, 0.0))
    assert power_sentence(narrow, 200, 3, target=0.05) == "A difference of 0.05 can be told apart here."
    assert power_sentence(narrow, 200, 1, target=0.03) == "A difference of 0.03 can be told apart here."
    assert power_sentence(narrow, 200, 1, target=0.01) == (
        "To tell a difference of 0.01 apart here, you would need about 1,800 test images."
    )


def test_half_the_width_needs_about_four_times_the_images() -> None:
    y_true, good, _ = sample_arms(9, images=400)
    arm = seeds_of_quality(y_true, (0.1, 0.1, 0.1), seed=2)
    interval = macro_f1_intervals(y_true, good.repeat(3, axis=0), arm, n_samples=400, seed=0)[2]
    sentence = power_sentence(interval, 400, 3, target=width(interval) / 4)
    assert sentence.endswith("you would need about 1,700 test images; more seeds alone would not do.")
