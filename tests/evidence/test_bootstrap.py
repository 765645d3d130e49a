import numpy as np
import pytest
from sklearn.metrics import f1_score

from counterweight.evidence import bootstrap
from counterweight.evidence.bootstrap import Interval, macro_f1_intervals, verdict


def sample_arms(seed: int, images: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, and the predictions of an arm with 90 % of cells correct and of one with 70 %."""
    rng = np.random.default_rng(seed)
    y_true = (rng.random((images, 3)) < (0.5, 0.3, 0.2)).astype(np.int8)
    good, poor = (y_true.astype(bool) ^ (rng.random(y_true.shape) < wrong) for wrong in (0.1, 0.3))
    return y_true, good, poor


def test_values_are_macro_f1_on_all_images() -> None:
    y_true, good, poor = sample_arms(0)
    original, balanced, difference = macro_f1_intervals(y_true, poor, good, n_samples=100, seed=0)
    expected = [f1_score(y_true, y_pred, average="macro") for y_pred in (poor, good)]
    assert [original.value, balanced.value] == pytest.approx(expected)
    assert difference.value == pytest.approx(expected[1] - expected[0], abs=1e-3)


def test_interval_matches_a_bootstrap_by_hand() -> None:
    y_true, good, poor = sample_arms(1, images=60)
    rng = np.random.default_rng(5)
    by_hand = []
    for _ in range(2_000):
        rows = rng.integers(0, 60, 60)
        by_hand.append(f1_score(y_true[rows], good[rows], average="macro", zero_division=0))
    interval = macro_f1_intervals(y_true, poor, good, n_samples=4_000, seed=0)[1]
    assert (interval.low, interval.high) == pytest.approx(tuple(np.percentile(by_hand, [2.5, 97.5])), abs=0.01)


def test_arms_are_compared_on_the_same_samples() -> None:
    y_true, good, _ = sample_arms(2)
    assert macro_f1_intervals(y_true, good, good, n_samples=100, seed=0)[2] == Interval(0.0, 0.0, 0.0)


def test_unknown_cells_count_for_neither_arm() -> None:
    y_true = np.array([[1, 0], [0, 1], [-1, 1]])
    right, wrong = y_true == 1, y_true == 1
    wrong[2, 0] = True
    assert macro_f1_intervals(y_true, right, wrong, n_samples=100, seed=0)[0].value == 1
    assert macro_f1_intervals(y_true, right, wrong, n_samples=100, seed=0)[1].value == 1


def test_same_seed_gives_the_same_intervals() -> None:
    first, second = (macro_f1_intervals(*sample_arms(3), n_samples=150, seed=7) for _ in range(2))
    assert first == second
    assert first != macro_f1_intervals(*sample_arms(3), n_samples=150, seed=8)


def test_verdict_on_a_significant_difference_is_help_or_harm() -> None:
    y_true, good, poor = sample_arms(4, images=400)
    better, worse = (
        verdict(macro_f1_intervals(y_true, *arms, n_samples=500, seed=0)[2], 400)
        for arms in ((poor, good), (good, poor))
    )
    assert better.startswith("The copies helped on these 400 test images: macro F1 +")
    assert worse.startswith("The copies did harm on these 400 test images: macro F1 -")


def test_verdict_on_a_difference_within_chance_is_inconclusive() -> None:
    y_true, good, _ = sample_arms(5, images=30)
    other = good.copy()
    other[0] = ~other[0]
    sentence = verdict(macro_f1_intervals(y_true, good, other, n_samples=500, seed=0)[2], 30)
    assert sentence.startswith("Inconclusive on 30 test images: macro F1 ")


def test_verdict_needs_the_value_and_the_interval_to_agree() -> None:
    # Labels with few images are absent from some bootstrap samples, so that the interval may not hold the value.
    assert verdict(Interval(-0.067, 0.022, 0.05), 200).startswith("Inconclusive")
    assert verdict(Interval(0.067, -0.05, -0.022), 200).startswith("Inconclusive")


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
        (Interval(0.05, 0.0, 0.09), "Inconclusive on 7 test images: macro F1 +0.050 (95 % CI +0.000 to +0.090)."),
        (Interval(-0.05, -0.09, 0.0), "Inconclusive on 7 test images: macro F1 -0.050 (95 % CI -0.090 to +0.000)."),
        (Interval(0.0, 0.0, 0.0), "Inconclusive on 7 test images: macro F1 +0.000 (95 % CI +0.000 to +0.000)."),
        (Interval(-0.0001, -0.02, 0.02), "Inconclusive on 7 test images: macro F1 +0.000 (95 % CI -0.020 to +0.020)."),
    ],
)
def test_verdict_is_a_sentence_with_the_interval(difference: Interval, sentence: str) -> None:
    assert verdict(difference, 7) == sentence


def test_difference_is_balanced_minus_original() -> None:
    y_true = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    right, nothing = y_true == 1, np.zeros((4, 2), np.bool_)
    values = [each.value for each in macro_f1_intervals(y_true, nothing, right, n_samples=5, seed=0)]
    assert values == [0.0, 1.0, 1.0]


def test_intervals_are_percentiles_of_f1_by_scikit_learn_on_repeated_images() -> None:
    y_true, good, poor = sample_arms(6, images=40)
    counts = np.random.default_rng(3).multinomial(40, np.full(40, 1 / 40), 230)
    by_hand = np.array(
        [
            [f1_score(y_true[rows], arm[rows], average=None)[y_true[rows].any(axis=0)].mean() for arm in (poor, good)]
            for rows in (np.repeat(np.arange(40), count) for count in counts)
        ]
    )
    expected = [by_hand[:, 0], by_hand[:, 1], by_hand[:, 1] - by_hand[:, 0]]
    for interval, values in zip(macro_f1_intervals(y_true, poor, good, n_samples=230, seed=3), expected, strict=True):
        assert (interval.low, interval.high) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])), abs=1e-12)


def test_interval_covers_the_true_value_in_about_95_percent_of_datasets() -> None:
    y_true, good, _ = sample_arms(100, images=40_000)
    true = f1_score(y_true, good, average="macro")
    covered = 0
    for seed in range(200):
        some = sample_arms(seed, images=150)
        interval = macro_f1_intervals(some[0], some[2], some[1], n_samples=200, seed=0)[1]
        covered += interval.low <= true <= interval.high
    assert 180 <= covered <= 198


def test_there_are_as_many_samples_as_asked_for() -> None:
    """Beside all images once, in chunks that bound the memory."""
    chunks = list(bootstrap._image_weights(7, 250, seed=0))
    assert [len(chunk) for chunk in chunks] == [1, 100, 100, 50]
    assert all((chunk.sum(axis=1) == 7).all() for chunk in chunks)


def test_a_sample_without_images_of_a_label_leaves_the_label_out() -> None:
    y_true = np.array([[1, 1], [1, 0], [0, 0]])
    y_pred = np.array([[True, True], [True, True], [False, False]])
    weights = np.array([[1.0, 1, 1], [0, 2, 1]])
    assert bootstrap._macro_f1(y_true, y_pred, weights).tolist() == [(1 + 2 / 3) / 2, 1.0]


def test_a_label_that_no_image_has_counts_as_0_as_in_scikit_learn() -> None:
    y_true, y_pred = np.array([[1, 0], [1, 0]]), np.array([[True, False], [True, False]])
    value = macro_f1_intervals(y_true, y_pred, y_pred, n_samples=5, seed=0)[0].value
    assert value == f1_score(y_true, y_pred, average="macro", zero_division=0) == 0.5


def test_the_difference_is_that_of_the_numbers_beside_it() -> None:
    y_true, good, poor = sample_arms(1)
    original, balanced, difference = macro_f1_intervals(y_true, poor, good, n_samples=100, seed=0)
    assert f"{difference.value:.3f}" == f"{round(balanced.value, 3) - round(original.value, 3):.3f}"
