"""Principal components of many rows, by as many cores as there are and with the same digits for any number of them."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

# Rows at a time, and sums that are kept apart, each of every eighth part: so their order is the same for any number of
# cores.
PART = 4_096
_SUMS = 8


@dataclass(frozen=True)
class Reduced:
    """Rows in principal components.

    Attributes
    ----------
    rows : array of float32, shape (n_rows, components)
        The first component has the most variance; of each, the largest part of its direction is positive.
    explained_variance : float
        Fraction of the variance that the components keep; NaN where there is none.
    """

    rows: NDArray[np.float32]
    explained_variance: float


def principal_components(features: NDArray[np.float32], components: int) -> Reduced:
    """Reduce rows to their principal components, by the eigenvectors of their covariance.

    BLAS must be limited to one thread by the caller (`threadpoolctl`): the threads here are at work instead.

    Parameters
    ----------
    features : array of float32, shape (n_rows, n_features)
        It is looked at a part at a time, so that no second one is held.
    components : int
        At most the smaller of both.
    """
    parts = [features[start : start + PART] for start in range(0, len(features), PART)]
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _SUMS)) as threads:
        sums = threads.map(lambda part: part.sum(axis=0, dtype=np.float64), parts)
        mean = (_total(sums) / len(features)).astype(np.float32)

        def products(first: int) -> NDArray[np.float64]:
            return _total(_products(part - mean) for part in parts[first::_SUMS])

        products_of_all = _total(threads.map(products, range(min(_SUMS, len(parts)))))
        n = len(products_of_all)
        variances, directions = eigh(products_of_all, subset_by_index=(n - components, n - 1))
        directions = directions[:, ::-1].astype(np.float32)
        largest = np.abs(directions).argmax(axis=0)
        directions *= np.sign(directions[largest, np.arange(components)])
        rows = np.empty((len(features), components), np.float32)

        def turn(number: int) -> None:
            np.matmul(parts[number] - mean, directions, out=rows[number * PART : (number + 1) * PART])

        list(threads.map(turn, range(len(parts))))
    whole = float(np.trace(products_of_all))
    return Reduced(rows, float(variances.sum()) / whole if whole > 0 else float("nan"))


def _products(part: NDArray[np.float32]) -> NDArray[np.float64]:
    return (part.T @ part).astype(np.float64)


def _total(arrays: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    first, *others = iter(arrays)
    total = first.copy()
    for array in others:
        total += array
    return total
