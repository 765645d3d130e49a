"""How sure a measure of two arms is: intervals by bootstrap over the test images."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterweight.metrics.per_label import comparable

# With fewer test images than this, a label can hardly be judged: one image is a tenth of its recall.
FEW = 10
# Draws at a time, so that memory does not grow with their number.
_PART = 100


@dataclass(frozen=True)
class Interval:
    """A measure, and between what it lies in 95 of 100 draws of as many images.

    Attributes
    ----------
    value, low, high : float
        On the images as they are; the 2.5th and the 97.5th percentile.
    """

    value: float
    low: float
    high: float


def macro_f1_intervals(
    targets: NDArray[np.integer],
    original: NDArray[np.bool_],
    balanced: NDArray[np.bool_],
    *,
    repeats: int,
    seed: int,
) -> tuple[Interval, Interval, Interval]:
    """Macro F1 of two arms and of what the second has more, each with its interval.

    A label of few images is in some draws not at all, and pulls them down: give labels of `FEW` images and more alone.

    In each draw both arms are judged on the same images, so that the difference is that of pairs; the percentile
    bootstrap of Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1 where the image has the label, 0 where not, -1 where that is not known.
    original, balanced : arrays of bool, shape (n_images, n_labels)
        What each arm gives.
    repeats : int
        Draws.
    seed : int
        Of the draws.
    """
    arms = (original, balanced)
    parts = [[_macro_f1(targets, given, weights) for given in arms] for weights in _draws(len(targets), repeats, seed)]
    drawn = np.concatenate(parts, axis=1)
    once = np.ones((1, len(targets)))
    first, second = (float(_macro_f1(targets, given, once)[0]) for given in arms)
    return (
        _interval(first, drawn[0]),
        _interval(second, drawn[1]),
        _interval(second - first, drawn[1] - drawn[0]),
    )


def verdict(difference: Interval, images: int) -> str:
    """Whether the copies helped, in a sentence.

    Parameters
    ----------
    difference : Interval
        Of macro F1, balanced less original.
    images : int
        Test images.

    Examples
    --------
    >>> verdict(Interval(0.05, 0.01, 0.09), 400).partition(":")[0]
    'The copies helped on these 400 test images'
    >>> verdict(Interval(0.02, -0.03, 0.07), 50).partition(":")[0]
    'It cannot be told from 50 test images whether the copies helped'
    """
    changed = (
        f"macro F1 changed by {_signed(difference.value)}, between {_signed(difference.low)} and "
        f"{_signed(difference.high)} in 95 of 100 draws of them."
    )
    if min(difference.value, difference.low) > 0:
        return f"The copies helped on these {images} test images: {changed}"
    if max(difference.value, difference.high) < 0:
        return f"The copies did harm on these {images} test images: {changed}"
    return f"It cannot be told from {images} test images whether the copies helped: {changed}"


def _signed(number: float) -> str:
    return f"{round(number, 3) + 0.0:+.3f}"  # Nothing is -0.000.


def _draws(count: int, repeats: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each image is in each draw, shape (draws, count)."""
    random = np.random.default_rng(seed)
    for start in range(0, repeats, _PART):
        yield random.multinomial(count, np.full(count, 1 / count), min(_PART, repeats - start)).astype(np.float64)


def _macro_f1(
    targets: NDArray[np.integer], given: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean F1 over the labels, 0 for one that is neither there nor given, in each draw."""
    there, said, columns = comparable(targets, given)
    there, said = there[:, columns], said[:, columns]
    both, either = weights @ (there * said), weights @ there + weights @ said
    f1 = np.divide(2 * both, either, out=np.zeros_like(both), where=either > 0)
    mean: NDArray[np.float64] = f1.mean(axis=1)
    return mean


def _interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(value, float(low), float(high))
