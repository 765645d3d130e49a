"""Bootstrap confidence intervals over test images and training seeds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

# With fewer test images than this, a label can hardly be judged: one image is a tenth of its recall.
MIN_TEST_IMAGES = 10
# Bootstrap samples at a time, and cells of their weights.
_CHUNK, _CHUNK_CELLS = 100, 2_000_000
# How many times the images, and how many more seeds, `power_sentence` considers.
_MAX_TIMES, _MAX_SEEDS = 1e6, 10_000


@dataclass(frozen=True)
class Spread:
    """Variance of a mean over seeds, in three parts.

    Attributes
    ----------
    images : float
        What the choice of test images adds for all seeds alike. It shrinks as 1 / images.
    seeds : float
        What the training seeds add on any images. It shrinks as 1 / seeds.
    both : float
        What the images add for each seed differently. It shrinks as 1 / (images * seeds).

    With one seed, ``images`` holds ``both`` as well, and the other parts are 0: one seed does not show them.
    """

    images: float
    seeds: float
    both: float


@dataclass(frozen=True)
class Interval:
    """A value on all images, its 95 % confidence interval, and its variance."""

    value: float
    low: float
    high: float
    spread: Spread = Spread(0.0, 0.0, 0.0)


def macro_f1_intervals(
    y_true: NDArray[np.integer], baseline: NDArray[np.bool_], arm: NDArray[np.bool_], *, n_samples: int, seed: int
) -> tuple[Interval, Interval, Interval]:
    """Return macro F1 of both arms and their difference, arm minus baseline, with confidence intervals.

    Values are means over the seeds. A bootstrap sample draws images and, independently, seeds with replacement, the
    same for both arms, so the difference is paired: it is the mean over all seeds on the drawn images, plus the drawn
    seeds' mean deviation on all images. Noise of single images under single seeds counts in both, which overestimates
    the variance, though less than A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007.

    One seed gives the percentile interval of Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13,
    which holds for this seed alone. For a few seeds it would be too narrow (T. C. Hesterberg, "What teachers should
    know about the bootstrap", The American Statistician 69, 2015), so the seeds' deviations from their mean
    are multiplied by sqrt(n / (n - 1)), and the distances of both ends from the median by the ratio of Student's
    quantile to the normal one, with the degrees of freedom of F. E. Satterthwaite, "An approximate distribution of
    estimates of variance components", Biometrics Bulletin 2, 1946: n - 1 for the seeds, infinite for the
    images. `benchmarks/coverage.py` measures how often intervals hold the truth: too rarely where only two seeds differ
    more than the images make them.

    All labels are averaged, as in `counterweight.metrics.classification.aggregate`. A sample without any image of a
    label that others have leaves that label out, rather than counting it as 0, which would bias it downwards; a sample
    without any label is left out. The difference is that of the values as they are shown, with three decimals.

    Parameters
    ----------
    y_true : array of int, shape (n_images, n_labels)
        1 if the image has the label, 0 if not, -1 if unknown.
    baseline, arm : arrays of bool, shape (n_seeds, n_images, n_labels)
        Predictions; seed k of both belongs together.
    n_samples, seed : int
        Number and seed of the bootstrap samples.
    """
    chunks = [
        [_macro_f1(y_true, y_pred, weights) for y_pred in (*baseline, *arm)]
        for weights in _image_weights(len(y_true), n_samples, seed)
    ]
    f1 = np.concatenate(chunks, axis=1)
    first, second = f1[:, ~np.isnan(f1[0])].reshape(2, len(baseline), -1)
    of_baseline, of_arm, difference = (_interval(each, seed) for each in (first, second, second - first))
    return of_baseline, of_arm, replace(difference, value=shown_difference(of_baseline.value, of_arm.value))


def shown_difference(baseline: float, arm: float) -> float:
    """Return the difference of two numbers that are shown with three decimals.

    Examples
    --------
    >>> shown_difference(0.4504, 0.4536)  # 0.450 and 0.454
    0.004
    """
    return round(round(arm, 3) - round(baseline, 3), 3)


def verdict(difference: Interval, images: int, seeds: int, arm: str, *, copies: str = "the copies") -> str:
    """Say in a sentence whether an arm helped.

    Parameters
    ----------
    difference : Interval
        Macro F1 of the arm minus that of the baseline.
    images, seeds : int
        Numbers of test images, and of trainings per arm.
    arm : str
        Name of the arm, such as ``copies+weights``.
    copies : str
        What its ``copies`` are called.

    Examples
    --------
    >>> verdict(Interval(-0.004, -0.048, 0.043), 200, 1, "copies")
    'Inconclusive whether the copies helped on these 200 test images: macro F1 -0.004 (95 % CI -0.048 to +0.043).'
    >>> verdict(Interval(0.05, 0.01, 0.09), 200, 1, "copies+weights")
    'The copies and the weighting helped on these 200 test images: macro F1 +0.050 (95 % CI +0.010 to +0.090).'
    """
    parts, names = arm.split("+"), {"copies": copies, "weights": "the weighting"}
    subject = " and ".join(names[part] for part in parts) if {*parts} <= {*names} else f"the arm {arm}"
    at_start = subject[0].upper() + subject[1:]
    basis = f"{images} test images" + f" and {seeds} seeds" * (seeds > 1)
    if min(difference.value, difference.low) > 0:
        return f"{at_start} helped on these {basis}: {change(difference)}."
    if max(difference.value, difference.high) < 0:
        return f"{at_start} did harm on these {basis}: {change(difference)}."
    return f"Inconclusive whether {subject} helped on these {basis}: {change(difference)}."


def change(difference: Interval) -> str:
    """Format a difference of macro F1 with its interval.

    Examples
    --------
    >>> change(Interval(-0.013, -0.061, 0.034))
    'macro F1 -0.013 (95 % CI -0.061 to +0.034)'
    """
    # Adding 0.0 turns -0.0 into 0.0.
    value, low, high = (
        f"{round(number, 3) + 0.0:+.3f}" for number in (difference.value, difference.low, difference.high)
    )
    return f"macro F1 {value} (95 % CI {low} to {high})"


def power_sentence(difference: Interval, images: int, seeds: int, *, target: float = 0.02) -> str:
    """Say how many test images, or how many seeds, would tell a small difference apart.

    A difference of ``target`` is told apart if half the width of the 95 % interval is at most ``target``. An arm that
    is better by just this much is then said to help half of the time; 80 % of the time needs twice the images.

    Parameters
    ----------
    difference, images, seeds
        As in `verdict`.

    Examples
    --------
    >>> power_sentence(Interval(-0.004, -0.048, 0.043, Spread(0.0003, 0.00002, 0.00004)), 200, 3)
    'To tell a difference of 0.02 apart here, you would need about 1,100 test images; more seeds alone would not do.'
    """
    if (difference.high - difference.low) / 2 <= target:
        return f"A difference of {target:g} can be told apart here."
    spread, times, more = difference.spread, np.geomspace(1, _MAX_TIMES, 5_000), seeds + np.arange(1, _MAX_SEEDS)
    n_images = _first(images * times, _half_width(spread, times, 1, seeds) <= target)
    n_seeds = _first(more, (_half_width(spread, 1, more / seeds, more) <= target) & (seeds > 1))
    n_both = _first(more, _half_width(spread, more / seeds, more / seeds, more) <= target)
    if n_images and n_seeds:
        needed = f"about {n_images:,} test images, or {n_seeds:,} seeds"
    elif n_images or seeds == 1:
        needed = f"about {n_images:,} test images" + "; more seeds alone would not do" * (seeds > 1)
    elif n_seeds:
        needed = f"about {n_seeds:,} seeds; more test images alone would not do"
    else:
        n_images = _round_up(images * n_both / seeds)
        needed = f"about {n_images:,} test images and {n_both:,} seeds; neither alone would do"
    return f"To tell a difference of {target:g} apart here, you would need {needed}."


def _first(numbers: NDArray[np.number], is_enough: NDArray[np.bool_]) -> int:
    """Return the first number that is enough, rounded up; 0 if none is."""
    return _round_up(float(numbers[is_enough.argmax()])) if is_enough.any() else 0


def _round_up(number: float) -> int:
    """Round up to two significant digits: more would not be known."""
    step = int(10 ** max(int(np.log10(max(number, 1))) - 1, 0))
    return int(np.ceil(number / step)) * step


def _half_width(spread: Spread, images: ArrayLike, seeds: ArrayLike, n_seeds: ArrayLike) -> NDArray[np.float64]:
    """Half the width of the interval with so many times the images and the seeds, and so many seeds in all."""
    both = spread.both / np.multiply(images, seeds)
    variances = spread.images / np.asarray(images) + both, spread.seeds / np.asarray(seeds) + both
    half: NDArray[np.float64] = _student(*variances, n_seeds) * np.sqrt(np.add(*variances))
    return half


def _student(images: ArrayLike, seeds: ArrayLike, n_seeds: ArrayLike) -> NDArray[np.float64]:
    """Student's 97.5 % quantile, by Satterthwaite's degrees of freedom for the variances of images and seeds."""
    # The tiny number stands for 0: seeds without variance give the normal quantile.
    share = np.maximum(seeds / np.maximum(np.add(images, seeds), 1e-150), 1e-150)
    quantile: NDArray[np.float64] = stdtrit(np.maximum(np.subtract(n_seeds, 1), 1) / share**2, 0.975)
    return quantile


def _image_weights(n_images: int, n_samples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield all images once, then how often each bootstrap sample holds each, shape (at most `_CHUNK`, n_images)."""
    yield np.ones((1, n_images))
    rng = np.random.default_rng(seed)
    chunk = max(min(_CHUNK, _CHUNK_CELLS // n_images), 1)
    for start in range(0, n_samples, chunk):
        size = min(chunk, n_samples - start)
        drawn = rng.integers(n_images, size=(size, n_images))
        yield np.stack([np.bincount(row, minlength=n_images) for row in drawn]).astype(np.float64)


def _macro_f1(
    y_true: NDArray[np.integer], y_pred: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean F1 over the labels in each bootstrap sample, NaN without any; a label that no image has counts as 0."""
    positive, predicted = y_true == 1, y_pred & (y_true >= 0)
    hits, present = weights @ (positive & predicted), weights @ positive
    total = present + weights @ predicted
    f1 = np.divide(2 * hits, total, out=np.zeros_like(hits), where=total > 0)
    is_counted = (present > 0) | ~positive.any(axis=0)
    n_counted = is_counted.sum(axis=1)
    mean: NDArray[np.float64] = (f1 * is_counted).sum(axis=1) / np.where(n_counted, n_counted, np.nan)
    return mean


def _interval(f1: NDArray[np.float64], seed: int) -> Interval:
    """Interval of the mean over seeds, from each seed's value on all images and on each sample of images."""
    n, of_seeds, samples = len(f1), f1[:, 0] - f1[:, 0].mean(), f1[:, 1:].mean(axis=0)
    value, images = float(f1[:, 0].mean()), float(samples.var())
    if n == 1:
        low, high = np.percentile(samples, [2.5, 97.5]).tolist()
        return Interval(value, low, high, Spread(images, 0.0, 0.0))
    seeds = float(of_seeds @ of_seeds) / (n - 1) / n
    both = min(float((f1[:, 1:] - samples).var(axis=1).sum()) / (n - 1) / n, images)
    # Another stream than that of the images, and the same for both arms.
    drawn = np.random.default_rng((seed, 1)).multinomial(n, np.full(n, 1 / n), len(samples))
    samples += (drawn @ of_seeds) / n * np.sqrt(n / (n - 1))
    low, median, high = np.percentile(samples, [2.5, 50, 97.5]).tolist()
    wider = float(_student(images, seeds, n) / _student(1.0, 0.0, n)) - 1
    spread = Spread(images - both, max(seeds - both, 0.0), both)
    return Interval(value, low - wider * (median - low), high + wider * (high - median), spread)
