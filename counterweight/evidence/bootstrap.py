"""Bootstrap confidence intervals over the test images."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterweight.metrics.per_label import as_indicator

# With fewer test images than this, a label can hardly be judged: one image is a tenth of its recall.
MIN_TEST_IMAGES = 10
# Bootstrap samples at a time, so that memory does not grow with their number.
_CHUNK = 100


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % confidence interval.

    Attributes
    ----------
    value, low, high : float
        On all images; the 2.5th and the 97.5th percentile of the bootstrap samples.
    """

    value: float
    low: float
    high: float


def macro_f1_intervals(
    y_true: NDArray[np.integer],
    original: NDArray[np.bool_],
    balanced: NDArray[np.bool_],
    *,
    n_samples: int,
    seed: int,
) -> tuple[Interval, Interval, Interval]:
    """Return macro F1 of both arms and their difference, balanced minus original, with confidence intervals.

    The percentile bootstrap of Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. Each sample
    evaluates both arms on the same images, so the difference is paired.

    Pass only labels with at least `MIN_TEST_IMAGES` images: a rarer one is absent from some samples, which biases them
    downwards.

    Parameters
    ----------
    y_true : array of int, shape (n_images, n_labels)
        1 if the image has the label, 0 if not, -1 if unknown.
    original, balanced : arrays of bool, shape (n_images, n_labels)
        Predictions of each arm.
    n_samples : int
        Number of bootstrap samples.
    seed : int
        Seed of the samples.
    """
    arms = (original, balanced)
    parts = [
        [_macro_f1(y_true, y_pred, weights) for y_pred in arms]
        for weights in _bootstrap_weights(len(y_true), n_samples, seed)
    ]
    sampled = np.concatenate(parts, axis=1)
    once = np.ones((1, len(y_true)))
    first, second = (float(_macro_f1(y_true, y_pred, once)[0]) for y_pred in arms)
    return (
        _interval(first, sampled[0]),
        _interval(second, sampled[1]),
        _interval(second - first, sampled[1] - sampled[0]),
    )


def verdict(difference: Interval, images: int) -> str:
    """Say in a sentence whether the copies helped.

    Parameters
    ----------
    difference : Interval
        Macro F1, balanced minus original.
    images : int
        Test images.

    Examples
    --------
    >>> verdict(Interval(0.05, 0.01, 0.09), 400)
    'The copies helped on these 400 test images: macro F1 +0.050 (95 % CI +0.010 to +0.090).'
    >>> verdict(Interval(-0.013, -0.061, 0.034), 200)
    'Inconclusive on 200 test images: macro F1 -0.013 (95 % CI -0.061 to +0.034).'
    """
    value, low, high = difference.value, difference.low, difference.high
    change = f"macro F1 {_signed(value)} (95 % CI {_signed(low)} to {_signed(high)})."
    if min(value, low) > 0:
        return f"The copies helped on these {images} test images: {change}"
    if max(value, high) < 0:
        return f"The copies did harm on these {images} test images: {change}"
    return f"Inconclusive on {images} test images: {change}"


def _signed(number: float) -> str:
    return f"{round(number, 3) + 0.0:+.3f}"  # Adding 0.0 turns -0.0 into 0.0.


def _bootstrap_weights(n_images: int, n_samples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each bootstrap sample holds each image, shape (at most `_CHUNK`, n_images)."""
    rng = np.random.default_rng(seed)
    for start in range(0, n_samples, _CHUNK):
        size = min(_CHUNK, n_samples - start)
        yield rng.multinomial(n_images, np.full(n_images, 1 / n_images), size).astype(np.float64)


def _macro_f1(
    y_true: NDArray[np.integer], y_pred: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean F1 over the labels in each bootstrap sample; a label neither present nor predicted counts as 0."""
    positive, predicted, columns = as_indicator(y_true, y_pred)
    positive, predicted = positive[:, columns], predicted[:, columns]
    hits, total = weights @ (positive * predicted), weights @ positive + weights @ predicted
    f1 = np.divide(2 * hits, total, out=np.zeros_like(hits), where=total > 0)
    mean: NDArray[np.float64] = f1.mean(axis=1)
    return mean


def _interval(value: float, sampled: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(sampled, [2.5, 97.5])
    return Interval(value, float(low), float(high))
