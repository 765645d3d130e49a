"""The result of imputing missing labels of train images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Features = NDArray[np.floating[Any]]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Imputation:
    """The result of `counterweight.dataset.self_training.impute_missing`.

    The arrays have the shape (n_images, n_labels). ``held_out`` has the ``auc`` and ``average_precision`` of a label's
    classifier on known cells that were held out, for each label that has a classifier and had missing cells.
    """

    targets: NDArray[np.int8]  # with 0 or 1 instead of -1 where a classifier could be trained
    probabilities: Scores  # predicted probability of each imputed cell; NaN elsewhere
    held_out: dict[str, dict[str, float]]
    untrainable: list[str]  # labels with missing cells, but too few known ones to train a classifier


def unchanged(targets: NDArray[np.int8]) -> Imputation:
    """Return the result of leaving missing cells as they are."""
    return Imputation(targets, np.broadcast_to(np.nan, targets.shape), {}, [])


def imputed_table(image_ids: "pd.Series[str]", labels: Sequence[str], filling: Imputation) -> pd.DataFrame:
    """List every imputed cell: ``image_id``, ``label``, ``probability`` and ``value``, by image and then label.

    ``image_ids``, a series of str, and ``labels`` are the names of the rows and columns of the targets.
    """
    rows, columns = np.nonzero(~np.isnan(filling.probabilities))
    return pd.DataFrame(
        {
            "image_id": image_ids.iloc[rows].array,
            "label": np.array(labels, dtype=object)[columns],
            "probability": filling.probabilities[rows, columns].round(6),
            "value": filling.targets[rows, columns],
        }
    )


def summary(filling: Imputation, labels: Sequence[str]) -> dict[str, Any]:
    """Count the imputed cells and report held-out scores, per label and averaged, for a metrics file."""
    counts, scores = (~np.isnan(filling.probabilities)).sum(axis=0), filling.held_out
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
