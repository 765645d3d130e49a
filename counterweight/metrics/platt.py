"""Thresholds by a sigmoid that is fitted to all scores of validation.

The threshold that is best on validation hangs on the few scores nearest to it: with nine images of a rare label, on one
or two. A sigmoid of the scores' log-odds (J. Platt, "Probabilistic outputs for support vector machines", Advances in
Large Margin Classifiers, 1999) depends on all. Where the images that have a label weigh as much as those that have not,
it says one half at the threshold of the best balanced accuracy (A. Menon et al., "On the statistical consistency of
algorithms for binary classification under class imbalance", ICML 2013).

``targets`` and ``scores`` are as in `counterweight.metrics.thresholds`.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

# Next to none: it keeps the sigmoid from becoming a step where no scores overlap.
_REGULARISATION = 1e-6
# Log-odds beyond those of a millionth say no more than these; softmax in float32 gives exact zeros and ones.
_LEAST = 1e-6


def even_threshold(targets: NDArray[np.integer], scores: NDArray[np.floating]) -> float:
    """One threshold for all labels, of which each weighs the same.

    Returns
    -------
    float
        0.5 where no label has images on both sides, or where higher scores do not go with the labels.
    """
    weights = np.zeros(targets.shape)
    for side in (0, 1):
        count = (targets == side).sum(axis=0)
        weights += (targets == side) / np.maximum(count, 1) / 2
    both = (targets == 1).any(axis=0) & (targets == 0).any(axis=0)
    used = (targets >= 0) & both
    if not used.any():
        return 0.5
    bounded = np.clip(scores[used].astype(np.float64), _LEAST, 1 - _LEAST)
    odds = np.log(bounded / (1 - bounded))
    fitted = LogisticRegression(C=1 / _REGULARISATION).fit(odds[:, None], targets[used], weights[used] / both.sum())
    slope, shift = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    return 0.5 if slope <= 0 else float(1 / (1 + np.exp(shift / slope)))


def even_thresholds(targets: NDArray[np.integer], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """For each label a threshold of its own, shape (n_labels,)."""
    return np.array([even_threshold(targets[:, [j]], scores[:, [j]]) for j in range(targets.shape[1])])
