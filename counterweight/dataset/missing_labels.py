"""The result of imputing missing labels of train images."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Features = NDArray[np.floating[Any]]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOutScores:
    """Area under the ROC curve and average precision of a label's classifier on known cells that were held out."""

    auc: float
    average_precision: float


@dataclass(frozen=True)
class Imputation:
    """The result of `counterweight.dataset.self_training.impute_missing`.

    Attributes
    ----------
    targets : array of int8, shape (n_images, n_labels)
        The targets, with 0 or 1 instead of -1 where a classifier could be trained.
    probabilities : array of float, shape (n_images, n_labels)
        Predicted probability of each imputed cell; NaN elsewhere.
    held_out : dict of str to HeldOutScores
        Scores of each label that has a classifier and had missing cells.
    untrainable : list of str
        Labels with missing cells, but too few known ones to train a classifier.
    """

    targets: NDArray[np.int8]
    probabilities: Scores
    held_out: dict[str, HeldOutScores]
    untrainable: list[str]


def unchanged(targets: NDArray[np.int8]) -> Imputation:
    """Return the result of leaving missing cells as they are."""
    return Imputation(targets, np.full(targets.shape, np.nan), {}, [])


def imputed_table(image_ids: Sequence[str], labels: Sequence[str], filling: Imputation) -> pd.DataFrame:
    """List every imputed cell.

    Parameters
    ----------
    image_ids, labels : sequences of str
        Names of the rows and columns of the targets.
    filling : Imputation
        Their imputation.

    Returns
    -------
    pandas.DataFrame
        ``image_id``, ``label``, ``probability`` and ``value``, sorted by image and then label.
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


def summary(filling: Imputation, labels: Sequence[str]) -> dict[str, Any]:
    """Count the imputed cells and report held-out scores, per label and averaged, for a metrics file."""
    counts = (~np.isnan(filling.probabilities)).sum(axis=0)
    scores = {label: asdict(held_out) for label, held_out in filling.held_out.items()}
    per_label = {
        label: {"filled": int(count), **scores.get(label, {})}
        for label, count in zip(labels, counts, strict=True)
        if count
    }
    means = {
        name: float(np.mean([each[name] for each in scores.values()]))
        for name in ("auc", "average_precision")
        if scores
    }
    return {"filled": int(counts.sum()), **means, "labels": per_label}
