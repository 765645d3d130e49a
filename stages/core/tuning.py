"""Decisions that are best on validation, for every task and by every measure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stages.core.calibration import even_threshold, even_thresholds
from stages.core.decisions import Decisions
from stages.core.thresholds import binary_threshold, class_thresholds, label_thresholds, tuned_threshold

PLATT = "platt"


def tune(
    targets: NDArray[np.integer],
    scores: NDArray[np.floating],
    labels: Sequence[str],
    task: str,
    positive: str | None = None,
    *,
    measure: str = "f1",
) -> Decisions:
    """Choose the thresholds of a model on its validation rows.

    Parameters
    ----------
    targets : array of int, shape (n_images, n_labels)
        1 where the image has the label, 0 where not, -1 where that is not known.
    scores : array of float in [0, 1], shape (n_images, n_labels)
        What the network says of these images.
    labels : sequence of str
        Names of the columns.
    task : str
        As in `Decisions`.
    positive : str, optional
        Of two classes, the one that the threshold is about.
    measure : str
        What they make best, ``f1`` or ``balanced_accuracy``; or ``platt``, by `stages.core.calibration`.
    """
    if task == "binary":
        if positive is None or positive not in labels or len(labels) != 2:
            raise ValueError(f"of two classes one is positive, not {positive} of {len(labels)}")
        column = list(labels).index(positive)
        if measure == PLATT:
            threshold = even_threshold(targets[:, [column]], scores[:, [column]])
        else:
            threshold = binary_threshold(targets, scores, column, measure)
        return Decisions(task, list(labels), positive, threshold, {positive: threshold})
    if measure == PLATT:
        each, tuned = even_thresholds(targets, scores), even_threshold(targets, scores)
    else:
        each = (class_thresholds if task == "multiclass" else label_thresholds)(targets, scores, measure)
        tuned = tuned_threshold(targets, scores, measure)
    return Decisions(task, list(labels), None, tuned, dict(zip(labels, each.tolist(), strict=True)))
