"""Held-out images that look like a train image, by the cosine of their whitened features.

Perceptual hashes find pictures that were scaled, encoded anew, brightened or mirrored. A picture that was cropped,
sheared or rotated a little has another hash, but still similar features.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from counterweight.clustering.pca import fit_pca

COLUMNS = ("image_id", "split", "train_image_id", "cosine", "mirrored")
# Rows of train and of held-out images whose cosines are computed at once, which takes 200 MB.
_TRAIN_ROWS, _HELD_OUT_ROWS = 50_000, 1_000
# With as many, similar means about the same for photographs and for handwriting (benchmarks/near_duplicates.py).
_MAX_COMPONENTS = 50
# Components with less of the largest scatter are rounding errors, such as those of features that are always 0.
_MIN_SCATTER = 1e-10
# With fewer train images there are so few components that images are similar by chance.
MIN_TRAIN_IMAGES = 100


def evenly_spaced(count: int, limit: int) -> NDArray[np.intp]:
    """Choose at most ``limit`` of ``count`` positions, evenly spaced, in ascending order."""
    return np.arange(count) if count <= limit else np.arange(limit) * count // limit


def whitened(train: NDArray[np.float32], views: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Project features on the principal components of the train images, each divided by its standard deviation.

    As they are, features of one dataset differ in a few directions alone, such as the color of the ground, so that all
    its images are similar.

    Parameters
    ----------
    train : array of float32, shape (n_train, n_features)
        Features of the train images, at least one, possibly memory-mapped.
    views : sequence of array of float32, shape (n_held_out, n_features)
        Features of the held-out images, and of the same images mirrored.

    Returns
    -------
    list of array of float32, shape (n_train or n_held_out, at most 50)
        The projections of ``train`` and of each view; 50 components, or fewer with fewer than 200 train images.
    """
    count = min(_MAX_COMPONENTS, max(len(train) // 4, 1), train.shape[1])
    # Several threads add partial sums in varying order, which changes the last digits.
    with threadpool_limits(1):
        pca = fit_pca(train)
        scatter = pca.scatter[:count]
        kept = scatter > _MIN_SCATTER * scatter[0]
        axes = pca.axes[:, :count][:, kept] / np.sqrt(scatter[kept] / len(train))
        return [pca.project(rows, axes) for rows in (train, *views)]


def nearest_train_images(
    train: NDArray[np.float32], views: Sequence[NDArray[np.float32]]
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.intp]]:
    """Find the train image that is most similar to each held-out image, in the best of its views.

    Parameters
    ----------
    train : array of float32, shape (n_train, n_features)
        The train images, as `whitened`; at least one.
    views : sequence of array of float32, shape (n_held_out, n_features)
        The held-out images, and the same mirrored.

    Returns
    -------
    nearest : array of int, shape (n_held_out,)
        Row of the train image.
    cosine : array of float32 from -1 to 1, shape (n_held_out,)
    view : array of int, shape (n_held_out,)
        Number of the view.

    Examples
    --------
    >>> train = np.array([[2, 0], [0, 2], [-2, -2]], np.float32)
    >>> nearest, cosine, view = nearest_train_images(train, [np.array([[-1, 0]], np.float32), train[1:2] * 3])
    >>> nearest.tolist(), cosine.tolist(), view.tolist()
    ([1], [1.0], [1])
    """
    count = len(views[0])
    nearest, view = np.zeros(count, dtype=np.intp), np.zeros(count, dtype=np.intp)
    cosine = np.full(count, -np.inf, dtype=np.float32)
    directions = [_directions(rows) for rows in views]
    for first in range(0, len(train), _TRAIN_ROWS):
        block = _directions(train[first : first + _TRAIN_ROWS])
        for number, rows in enumerate(directions):
            for start in range(0, count, _HELD_OUT_ROWS):
                part = slice(start, start + _HELD_OUT_ROWS)
                cosines = rows[part] @ block.T
                best = cosines.argmax(axis=1)
                highest = cosines[np.arange(len(best)), best]
                better = np.flatnonzero(highest > cosine[part])
                at = better + start
                nearest[at], cosine[at], view[at] = best[better] + first, highest[better], number
    return nearest, np.minimum(cosine, 1), view


def _directions(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows of length 1; those of length 0 stay 0."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, length, out=np.zeros_like(rows), where=length > 0))


def similar_images_table(
    train: pd.DataFrame,
    held_out: pd.DataFrame,
    nearest: tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.intp]],
    duplicates: pd.DataFrame,
    *,
    min_cosine: float,
) -> pd.DataFrame:
    """List the held-out images that are similar to a train image, the most similar first.

    Parameters
    ----------
    train, held_out : pandas.DataFrame
        Rows of the manifest.
    nearest : tuple of arrays
        The result of `nearest_train_images`.
    duplicates : pandas.DataFrame
        The result of `counterweight.dataset.duplicates.duplicates_table`. Pairs that it has in one group, by hash or by
        the user's own groups, are not listed again.
    min_cosine : float
        Cosine from which a pair is listed.

    Returns
    -------
    pandas.DataFrame
        ``image_id`` and ``split`` of the held-out image; ``train_image_id``; their ``cosine``; ``mirrored``, 1 if that
        is the cosine of the held-out image's mirror image, otherwise 0.
    """
    rows, cosine, view = nearest
    columns = (
        held_out["image_id"].to_numpy(), held_out["split"].to_numpy(), train["image_id"].to_numpy()[rows],
        cosine.astype(np.float64).round(4), view,
    )  # fmt: skip
    table = pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
    group = dict(zip(duplicates["image_id"], duplicates["tied"], strict=True))
    of_image, of_train = (table[name].map(group) for name in ("image_id", "train_image_id"))
    # An image in no group has NaN, which differs from any other.
    listed = table[(table["cosine"] >= min_cosine) & (of_image != of_train)]
    return listed.sort_values(["cosine", "image_id"], ascending=[False, True], ignore_index=True)
