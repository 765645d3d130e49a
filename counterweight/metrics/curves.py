"""ROC and precision-recall curves of each label, as tables for plots.

Arrays are as in `counterweight.metrics.per_label`; a cell that is not known takes no part.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from counterweight.metrics.per_label import Scores, Targets

POINTS = 200


def roc(labels: Sequence[str], targets: Targets, scores: Scores) -> pd.DataFrame:
    """The ROC curve of each label.

    Parameters
    ----------
    labels : sequence of str
        Names of the columns.
    targets, scores : arrays
        As in `counterweight.metrics.per_label`.

    Returns
    -------
    pandas.DataFrame
        A row a point, at most `POINTS` a label: ``label``, ``threshold`` (not a number at the start, where no image is
        given the label), ``false_positive_rate``, ``true_positive_rate``. A label that all images have, or none, has
        no points.
    """
    columns = ("label", "threshold", "false_positive_rate", "true_positive_rate")
    return _points(_roc, columns, labels, targets, scores, needs={0, 1})


def precision_recall(labels: Sequence[str], targets: Targets, scores: Scores) -> pd.DataFrame:
    """The precision-recall curve of each label.

    Parameters
    ----------
    labels, targets, scores
        As in `roc`.

    Returns
    -------
    pandas.DataFrame
        A row a point, at most `POINTS` a label: ``label``, ``threshold`` (not a number at the start, where no image
        is given the label), ``recall``, ``precision``. A label that no image has has no points.
    """
    columns = ("label", "threshold", "recall", "precision")
    return _points(_precision_recall, columns, labels, targets, scores, needs={1})


def _roc(targets: Targets, scores: Scores) -> tuple[NDArray[np.float64], ...]:
    false_positives, true_positives, thresholds = roc_curve(targets, scores)
    return np.where(np.isinf(thresholds), np.nan, thresholds), false_positives, true_positives


def _precision_recall(targets: Targets, scores: Scores) -> tuple[NDArray[np.float64], ...]:
    precision, recall, thresholds = precision_recall_curve(targets, scores, drop_intermediate=True)
    # From the highest threshold down, as in the ROC curve: so a line through the points goes from left to right.
    return np.append(thresholds, np.nan)[::-1], recall[::-1], precision[::-1]


def _points(
    curve: Callable[[Targets, Scores], tuple[NDArray[np.float64], ...]],
    columns: Sequence[str],
    labels: Sequence[str],
    targets: Targets,
    scores: Scores,
    needs: set[int],
) -> pd.DataFrame:
    parts = [pd.DataFrame({name: pd.Series(dtype="str" if name == "label" else "float64") for name in columns})]
    for label, there, said in zip(labels, targets.T, scores.T, strict=True):
        known = there >= 0
        if not needs <= set(there[known].tolist()):
            continue
        values = curve(there[known], said[known])
        # Evenly over the points, both ends among them.
        kept = np.unique(np.linspace(0, len(values[0]) - 1, POINTS).round().astype(int))
        parts.append(pd.DataFrame(dict(zip(columns, (label, *(value[kept] for value in values)), strict=True))))
    return pd.concat(parts[1:] or parts, ignore_index=True)
