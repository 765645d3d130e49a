"""What became of missing labels of train images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Features = NDArray[np.floating[Any]]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Quality:
    """How well a label's classifier did on known cells that were held out.

    Attributes
    ----------
    auc, average_precision : float
        Area under the ROC curve, and average precision.
    """

    auc: float
    average_precision: float


@dataclass(frozen=True)
class Filling:
    """The outcome of `counterweight.dataset.self_training.fill_missing`.

    Attributes
    ----------
    targets : array of int8, shape (n_images, n_labels)
        Those given, with 0 or 1 in the place of -1 where a classifier could be had.
    probabilities : array of float, shape (n_images, n_labels)
        Of the cells that were filled; NaN elsewhere.
    quality : dict of str to Quality
        By label; without those that had no missing cell or no classifier.
    unlearnt : list of str
        Labels with missing cells, and too few known ones for a classifier.
    """

    targets: NDArray[np.int8]
    probabilities: Scores
    quality: dict[str, Quality]
    unlearnt: list[str]


def nothing_filled(targets: NDArray[np.int8]) -> Filling:
    """The outcome where missing cells are left as they are."""
    return Filling(targets, np.full(targets.shape, np.nan), {}, [])


def filled_table(image_ids: Sequence[str], labels: Sequence[str], filling: Filling) -> pd.DataFrame:
    """Every cell that was filled.

    Parameters
    ----------
    image_ids, labels : sequences of str
        Names of the rows and of the columns of the targets.
    filling : Filling
        The outcome for them.

    Returns
    -------
    pandas.DataFrame
        ``image_id``, ``label``, ``probability`` and ``value``, in the order of images and then of labels.
    """
    rows, columns = np.nonzero(~np.isnan(filling.probabilities))
    return pd.DataFrame(
        {
            "image_id": pd.Series([image_ids[i] for i in rows.tolist()], dtype="str"),
            "label": pd.Series([labels[j] for j in columns.tolist()], dtype="str"),
            "probability": filling.probabilities[rows, columns].round(6),
            "value": filling.targets[rows, columns],
        }
    )


def summary(filling: Filling, labels: Sequence[str]) -> dict[str, Any]:
    """Filled cells, and how good the classifiers are, of each label and on the mean, for a metrics file."""
    counts = (~np.isnan(filling.probabilities)).sum(axis=0)
    each = {
        label: {"filled": int(count), **(vars(filling.quality[label]) if label in filling.quality else {})}
        for label, count in zip(labels, counts, strict=True)
        if count
    }
    quality = list(filling.quality.values())
    means = {
        "auc": float(np.mean([one.auc for one in quality])),
        "average_precision": float(np.mean([one.average_precision for one in quality])),
    } if quality else {}  # fmt: skip
    return {"filled": int(counts.sum()), **means, "labels": each}
