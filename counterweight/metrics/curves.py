"""ROC and precision-recall curves of each label, as tables for plots.

Arrays are those of `counterweight.metrics.per_label`.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from counterweight.metrics.per_label import Scores, Targets

MAX_POINTS = 200
_Points = tuple[NDArray[np.float64], ...]


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
