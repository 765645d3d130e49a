"""Tables for plots of one evaluation: confusion matrices, ROC and precision-recall curves; and scikit-learn's report.

Arrays are those of `counterweight.metrics.per_label`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from sklearn.metrics import classification_report, precision_recall_curve, roc_curve

from counterweight.metrics.charts import MAX_LABELS, Confusions
from counterweight.metrics.per_label import Predictions, Scores, Targets, as_indicator, label_rates

MAX_POINTS = 200  # Of a curve.
COLUMNS = ("decision", "label", "actual", "predicted", "count")
_Points = tuple[NDArray[np.float64], ...]


def confusion_matrices(
    labels: Sequence[str], y_true: Targets, predictions: Mapping[str, Predictions], single_label: Collection[str]
) -> dict[str, Confusions]:
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
        For a single-label decision one sparse matrix (n_labels, n_labels), rows actual and columns predicted classes,
        over the images whose labels are all known. For any other decision one matrix per label, (n_labels, 2, 2): rows
        without and with the label, columns not predicted and predicted.
    """
    matrices: dict[str, Confusions] = {}
    known = (y_true >= 0).all(axis=1)
    for name, y_pred in predictions.items():
        if name not in single_label:
            rates = label_rates(y_true, y_pred)
            matrices[name] = np.stack([rates.tn, rates.fp, rates.fn, rates.tp], axis=1).reshape(-1, 2, 2)
        else:
            classes = tuple(cells[known].argmax(axis=1) for cells in (y_true, y_pred))
            ones = np.ones(known.sum(), np.int64)
            matrices[name] = coo_array((ones, classes), shape=(len(labels), len(labels))).tocsr()
    return matrices


def confusion_table(labels: Sequence[str], matrices: Mapping[str, Confusions]) -> pd.DataFrame:
    """Flatten the result of `confusion_matrices` into a table.

    Returns
    -------
    pandas.DataFrame
        One row per count: ``decision``, ``label``, ``actual``, ``predicted``, ``count``. In a matrix of classes, actual
        and predicted are class names and label is empty; in a matrix of one label, they are 0 and 1. Of more than
        `counterweight.metrics.charts.MAX_LABELS` classes, pairs that do not occur are left out.
    """
    rows: list[tuple[str | int, ...]] = []
    for name, matrix in matrices.items():
        if matrix.ndim == 2:
            occurring = coo_array(matrix if len(labels) > MAX_LABELS else np.ones(matrix.shape))
            pairs = sorted(zip(*(axis.tolist() for axis in occurring.coords), strict=True))
            rows += [(name, "", labels[i], labels[j], int(matrix[i, j])) for i, j in pairs]
            continue
        for label, counts in zip(labels, matrix.reshape(-1, 4).tolist(), strict=True):
            rows += [(name, label, *pair, count) for pair, count in zip(product("01", repeat=2), counts, strict=True)]
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


def roc_table(labels: Sequence[str], y_true: Targets, scores: Scores) -> pd.DataFrame:
    """Tabulate the ROC curve of each label.

    Returns
    -------
    pandas.DataFrame
        One row per point, at most `MAX_POINTS` per label: ``label``, ``threshold`` (NaN at the start, where the label
        is never predicted), ``false_positive_rate``, ``true_positive_rate``. A label has no points unless images with
        and without it are known.
    """
    columns = ("label", "threshold", "false_positive_rate", "true_positive_rate")
    return _curve_table(_roc, columns, labels, y_true, scores, required={0, 1})


def precision_recall_table(labels: Sequence[str], y_true: Targets, scores: Scores) -> pd.DataFrame:
    """Tabulate the precision-recall curve of each label.

    The result is that of `roc_table`, with the columns ``label``, ``threshold``, ``recall``, ``precision``. A label has
    no points if no image has it.
    """
    columns = ("label", "threshold", "recall", "precision")
    return _curve_table(_precision_recall, columns, labels, y_true, scores, required={1})


def _roc(y_true: Targets, scores: Scores) -> _Points:
    false_positive_rate, true_positive_rate, thresholds = roc_curve(y_true, scores)
    return np.where(np.isinf(thresholds), np.nan, thresholds), false_positive_rate, true_positive_rate


def _precision_recall(y_true: Targets, scores: Scores) -> _Points:
    precision, recall, thresholds = precision_recall_curve(y_true, scores, drop_intermediate=True)
    # Descending thresholds, as in the ROC curve, so that a line through the points goes from left to right.
    return np.append(thresholds, np.nan)[::-1], recall[::-1], precision[::-1]


def _curve_table(
    curve: Callable[[Targets, Scores], _Points],
    columns: Sequence[str],
    labels: Sequence[str],
    y_true: Targets,
    scores: Scores,
    required: set[int],
) -> pd.DataFrame:
    parts = []
    for label, target, score in zip(labels, y_true.T, scores.T, strict=True):
        known = target >= 0
        if required <= set(target[known].tolist()):
            points = curve(target[known], score[known])
            kept = np.unique(np.linspace(0, len(points[0]) - 1, MAX_POINTS).round().astype(int))  # Both ends included.
            parts.append(pd.DataFrame(dict(zip(columns, (label, *(values[kept] for values in points)), strict=True))))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(columns))
