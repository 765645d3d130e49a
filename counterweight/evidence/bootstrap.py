"""Bootstrap confidence intervals over the test images."""

from collections.abc import Iterator
from dataclasses import dataclass

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

    Pass only labels with at least `MIN_TEST_IMAGES` images: a rarer one is absent from some samples, which biases them
    downwards.

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
    return _interval(first), _interval(second), _interval(second - first)


def verdict(difference: Interval, images: int) -> str:
    """Say in a sentence whether the copies helped.

    ``difference`` is that of macro F1, balanced minus original; ``images`` is the number of test images.

    Examples
    --------
    >>> verdict(Interval(-0.013, -0.061, 0.034), 200)
    'Inconclusive on 200 test images: macro F1 -0.013 (95 % CI -0.061 to +0.034).'
    """
    value, low, high = difference.value, difference.low, difference.high
    # Adding 0.0 turns -0.0 into 0.0.
    shown, *ends = (f"{round(number, 3) + 0.0:+.3f}" for number in (value, low, high))
    change = f"macro F1 {shown} (95 % CI {' to '.join(ends)})."
    if min(value, low) > 0:
        return f"The copies helped on these {images} test images: {change}"
    if max(value, high) < 0:
        return f"The copies did harm on these {images} test images: {change}"
    return f"Inconclusive on {images} test images: {change}"


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
    """Mean F1 over the labels in each bootstrap sample; a label neither present nor predicted counts as 0."""
    positive, predicted = y_true == 1, y_pred & (y_true >= 0)
    hits, total = weights @ (positive & predicted), weights @ positive + weights @ predicted
    f1 = np.divide(2 * hits, total, out=np.zeros_like(hits), where=total > 0)
    mean: NDArray[np.float64] = f1.mean(axis=1)
    return mean


def _interval(values: NDArray[np.float64]) -> Interval:
    return Interval(float(values[0]), *np.percentile(values[1:], [2.5, 97.5]).tolist())
