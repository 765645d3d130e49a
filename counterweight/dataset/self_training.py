"""Missing labels of train images, filled by classifiers on the images' features that were fitted on the known ones.

Self-training in one step: D. Yarowsky, "Unsupervised word sense disambiguation rivaling supervised methods", ACL 1995,
189-196. How good it is, is measured on known cells that the classifier has not seen.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from counterweight.base.manifest import MISSING
from counterweight.dataset.missing_labels import Features, Filling, Quality, Scores
from counterweight.dataset.stratified_split import carve
from counterweight.metrics.thresholds import label_thresholds

# Weight of the images against the L2 penalty. Features of a ResNet are many and akin, and the images with a known label
# few, so that scikit-learn's 1 fits too closely.
C = 0.03
# Of each value, in the fitted part and in the part held out; of fewer there is nothing to learn or to judge.
LEAST = 2


def fill_missing(
    features: Features,
    targets: NDArray[np.int8],
    labels: Sequence[str],
    *,
    validation: float,
    seed: int,
    one_each: bool,
) -> Filling:
    """Fill missing cells by logistic regression on standardised features.

    Parameters
    ----------
    features : array of float, shape (n_images, n_features)
        Of train images only.
    targets : array of int8, shape (n_images, n_labels)
        1, 0 or -1, which is missing.
    labels : sequence of str
        Names of the labels.
    validation : float in (0, 1)
        Fraction of the known cells of a label that is held out: its classifier is judged on them, and the probability
        from which a cell becomes 1 is the one with the best F1 there, among equals the nearest to 0.5.
    seed : int
        Of the choice of that fraction, which keeps the share of each value.
    one_each : bool
        Whether an image has exactly one label: then one classifier for all of them gives a row its likeliest.

    Examples
    --------
    >>> features = np.repeat([[0.0], [1.0], [1.0]], [10, 10, 1], axis=0)
    >>> targets = np.repeat(np.array([[0], [1], [-1]], dtype=np.int8), [10, 10, 1], axis=0)
    >>> filling = fill_missing(features, targets, ["sea"], validation=0.2, seed=0, one_each=False)
    >>> filling.targets[-1], filling.quality
    (array([1], dtype=int8), {'sea': Quality(auc=1.0, average_precision=1.0)})
    """
    # With several threads partial sums arrive in another order, and with them the last digits.
    with threadpool_limits(1):
        fill = _fill_classes if one_each else _fill_labels
        return fill(np.asarray(features, np.float64), targets, list(labels), validation, seed)


def _fill_labels(
    features: Features, targets: NDArray[np.int8], labels: list[str], validation: float, seed: int
) -> Filling:
    filled, probabilities = targets.copy(), np.full(targets.shape, np.nan)
    quality, unlearnt = {}, []
    for j, label in enumerate(labels):
        known, missing = np.flatnonzero(targets[:, j] != MISSING), np.flatnonzero(targets[:, j] == MISSING)
        if not len(missing):
            continue
        values = targets[known, j]
        fitted, held = _parts(np.column_stack([values == 0, values == 1]), validation, seed)
        if min(_least(values[fitted] == 1), _least(values[held] == 1)) < LEAST:
            unlearnt.append(label)
            continue
        model = _classifier().fit(features[known[fitted]], values[fitted])
        scores = model.predict_proba(features[known[held]])[:, 1]
        quality[label] = _quality(values[held], scores)
        probabilities[missing, j] = model.predict_proba(features[missing])[:, 1]
        threshold = label_thresholds(values[held, None], scores[:, None])[0]
        filled[missing, j] = probabilities[missing, j] >= threshold
    return Filling(filled, probabilities, quality, unlearnt)


def _fill_classes(
    features: Features, targets: NDArray[np.int8], labels: list[str], validation: float, seed: int
) -> Filling:
    filled, probabilities = targets.copy(), np.full(targets.shape, np.nan)
    missing = np.flatnonzero(targets[:, 0] == MISSING)
    known = np.flatnonzero(targets[:, 0] != MISSING)
    if not len(missing):
        return Filling(filled, probabilities, {}, [])
    fitted, held = _parts(targets[known] == 1, validation, seed)
    counts = np.minimum((targets[known[fitted]] == 1).sum(axis=0), (targets[known[held]] == 1).sum(axis=0))
    learnt = np.flatnonzero(counts >= LEAST)
    unlearnt = [label for j, label in enumerate(labels) if j not in learnt]
    if len(learnt) < 2:
        return Filling(filled, probabilities, {}, labels)
    rows = known[fitted][targets[known[fitted]][:, learnt].any(axis=1)]
    model = _classifier().fit(features[rows], targets[rows].argmax(axis=1))
    scores = model.predict_proba(features[known[held]])
    quality = {labels[j]: _quality(targets[known[held], j], scores[:, k]) for k, j in enumerate(learnt)}
    probabilities[missing] = 0.0
    probabilities[np.ix_(missing, learnt)] = model.predict_proba(features[missing])
    filled[missing] = np.eye(len(labels), dtype=np.int8)[probabilities[missing].argmax(axis=1)]
    return Filling(filled, probabilities, quality, unlearnt)


def _classifier() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=1000))


def _parts(strata: NDArray[np.bool_], validation: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows to fit and rows to hold out; nothing is held out where there are fewer than two."""
    rows = np.arange(len(strata))
    held = carve(strata.astype(np.int8), validation, seed) if len(rows) > 1 else rows[:0]
    return np.setdiff1d(rows, held), held


def _least(positive: NDArray[np.bool_]) -> int:
    """How many there are of the rarer value."""
    return int(min(positive.sum(), (~positive).sum()))


def _quality(values: NDArray[np.int8], scores: Scores) -> Quality:
    return Quality(float(roc_auc_score(values, scores)), float(average_precision_score(values, scores)))
