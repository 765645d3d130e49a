"""Confusion matrices, and scikit-learn's classification report.

Arrays are those of `counterweight.metrics.per_label`.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import classification_report, confusion_matrix

from counterweight.metrics.per_label import Predictions, Targets, as_indicator, label_rates

COLUMNS = ("decision", "label", "actual", "predicted", "count")


def confusion_matrices(
    labels: Sequence[str], y_true: Targets, predictions: Mapping[str, Predictions], single_label: Collection[str]
) -> dict[str, NDArray[np.int64]]:
    """Count the confusions of each decision.

    Parameters
    ----------
    labels, y_true, predictions
        Names of the columns, targets, and predictions by the name of the decision.
    single_label : collection of str
        Names of the decisions that predict exactly one label per image, in a task with exactly one label per image.

    Returns
    -------
    dict of str to array of int
        For a single-label decision one matrix (n_labels, n_labels), rows actual and columns predicted classes, over the
        images whose labels are all known. For any other decision one matrix per label, (n_labels, 2, 2): rows without
        and with the label, columns not predicted and predicted.
    """
    matrices = {}
    known = (y_true >= 0).all(axis=1)
    for name, y_pred in predictions.items():
        if name not in single_label:
            rates = label_rates(y_true, y_pred)
            matrices[name] = np.stack([rates.tn, rates.fp, rates.fn, rates.tp], axis=1).reshape(-1, 2, 2)
        elif known.any():
            classes = (cells[known].argmax(axis=1) for cells in (y_true, y_pred))
            matrices[name] = confusion_matrix(*classes, labels=np.arange(len(labels)))
        else:  # scikit-learn refuses zero rows.
            matrices[name] = np.zeros((len(labels), len(labels)), np.int64)
    return matrices


def confusion_table(labels: Sequence[str], matrices: Mapping[str, NDArray[np.int64]]) -> pd.DataFrame:
    """Flatten the result of `confusion_matrices` into a table.

    Returns
    -------
    pandas.DataFrame
        One row per count: ``decision``, ``label``, ``actual``, ``predicted``, ``count``. In a matrix of classes, actual
        and predicted are class names and label is empty; in a matrix of one label, they are 0 and 1.
    """
    rows: list[tuple[str | int, ...]] = []
    for name, matrix in matrices.items():
        pairs = list(product(labels if matrix.ndim == 2 else ("0", "1"), repeat=2))
        for label, counts in zip([""] if matrix.ndim == 2 else labels, matrix.reshape(-1, len(pairs)), strict=True):
            rows += [(name, label, *pair, int(count)) for pair, count in zip(pairs, counts, strict=True)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def classification_reports(
    labels: Sequence[str], y_true: Targets, predictions: Mapping[str, Predictions], titles: Mapping[str, str]
) -> str:
    """Return scikit-learn's classification report of each decision, under its title; see `confusion_matrices`."""
    some_known = (y_true >= 0).any(axis=1)
    parts = []
    for name, y_pred in predictions.items():
        text = "no label of any image is known\n"
        if some_known.any():
            positive, predicted, columns = as_indicator(y_true[some_known], y_pred[some_known])
            text = classification_report(
                positive, predicted, labels=columns, target_names=list(labels), digits=3, zero_division=0
            )
        parts.append(f"{titles[name]}\n\n{text}")
    return "\n\n".join(parts)
