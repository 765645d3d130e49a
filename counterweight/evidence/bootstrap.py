"""Bootstrap confidence intervals over the test images."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

# With fewer test images than this, a label can hardly be judged: one image is a tenth of its recall.
MIN_TEST_IMAGES = 10
# Bootstrap samples at a time, so that memory does not grow with their number.
_CHUNK = 100


@dataclass(frozen=True)
class Interval:
    """A value on all images, and its 95 % confidence interval: percentiles 2.5 and 97.5 of the bootstrap samples."""

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

    All labels are averaged, as in `counterweight.metrics.classification.aggregate`. A sample without any image of a
    label that others have leaves that label out, rather than counting it as 0, which would bias it downwards.

    The difference is that of the values as they are shown, with three decimals.

    Parameters
    ----------
    y_true : array of int, shape (n_images, n_labels)
        1 if the image has the label, 0 if not, -1 if unknown.
    original, balanced : arrays of bool, shape (n_images, n_labels)
        Predictions of each arm.
    n_samples, seed : int
        Number and seed of the bootstrap samples.
    """
    chunks = [
        [_macro_f1(y_true, y_pred, weights) for y_pred in (original, balanced)]
        for weights in _image_weights(len(y_true), n_samples, seed)
    ]
    first, second = np.concatenate(chunks, axis=1)
    both, difference = (_interval(first), _interval(second)), _interval(second - first)
    return *both, replace(difference, value=shown_difference(both[0].value, both[1].value))


def shown_difference(original: float, balanced: float) -> float:
    """Return the difference of two numbers that are shown with three decimals.

    Examples
    --------
    >>> shown_difference(0.4504, 0.4536)  # 0.450 and 0.454
    0.004
    """
    return round(round(balanced, 3) - round(original, 3), 3)


def verdict(difference: Interval, images: int) -> str:
    """Say in a sentence whether the copies helped.

    ``difference`` is that of macro F1, balanced minus original; ``images`` is the number of test images.

    Examples
    --------
    >>> verdict(Interval(-0.013, -0.061, 0.034), 200)
    'Inconclusive on 200 test images: macro F1 -0.013 (95 % CI -0.061 to +0.034).'
    """
    if min(difference.value, difference.low) > 0:
        return f"The copies helped on these {images} test images: {change(difference)}."
    if max(difference.value, difference.high) < 0:
        return f"The copies did harm on these {images} test images: {change(difference)}."
    return f"Inconclusive on {images} test images: {change(difference)}."


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


def _image_weights(n_images: int, n_samples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield all images once, then how often each bootstrap sample holds each, shape (at most `_CHUNK`, n_images)."""
    yield np.ones((1, n_images))
    rng = np.random.default_rng(seed)
    for start in range(0, n_samples, _CHUNK):
        size = min(_CHUNK, n_samples - start)
        yield rng.multinomial(n_images, np.full(n_images, 1 / n_images), size).astype(np.float64)


def _macro_f1(
    y_true: NDArray[np.integer], y_pred: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean F1 over the labels in each bootstrap sample; a label that no image has at all counts as 0."""
    positive, predicted = y_true == 1, y_pred & (y_true >= 0)
    hits, present = weights @ (positive & predicted), weights @ positive
    total = present + weights @ predicted
    f1 = np.divide(2 * hits, total, out=np.zeros_like(hits), where=total > 0)
    is_counted = (present > 0) | ~positive.any(axis=0)
    mean: NDArray[np.float64] = (f1 * is_counted).sum(axis=1) / is_counted.sum(axis=1)
    return mean


def _interval(values: NDArray[np.float64]) -> Interval:
    return Interval(float(values[0]), *np.percentile(values[1:], [2.5, 97.5]).tolist())
