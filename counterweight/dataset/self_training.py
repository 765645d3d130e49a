"""Impute missing labels of train images by classifiers on image features, trained on the known labels.

This is self-training in one step: D. Yarowsky, "Unsupervised word sense disambiguation rivaling supervised methods",
ACL 1995, 189-196. The classifiers are evaluated on known cells that were held out.
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
from counterweight.dataset.missing_labels import Features, Imputation, Scores, unchanged
from counterweight.dataset.stratified_split import stratified_sample
from counterweight.metrics.thresholds import label_thresholds

# Inverse strength of the L2 penalty. ResNet features are many and correlated, and images with a known label are few, so
# scikit-learn's default of 1 overfits.
C = 0.03
# Minimum number of known cells of each value, both to fit on and to hold out.
MIN_PER_VALUE = 2


def impute_missing(
    features: Features,
    targets: NDArray[np.int8],
    labels: Sequence[str],
    *,
    validation: float,
    seed: int,
    single_label: bool,
) -> Imputation:
    """Impute missing cells by logistic regression on standardized features.

    Parameters
    ----------
    features : array of float, shape (n_images, n_features)
        Features of train images only.
    targets : array of int8, shape (n_images, n_labels)
        1, 0, or -1 if missing.
    labels : sequence of str
        Label names.
    validation : float in (0, 1)
        Fraction of a label's known cells to hold out, stratified by value. They give the classifier's scores and the
        threshold from which a cell becomes 1: the one with the best F1, nearest to 0.5 among equals.
    seed : int
        Seed of the held-out split.
    single_label : bool
        Whether each image has exactly one label: then one classifier gives each row its most likely label.

    Examples
    --------
    >>> features = np.repeat([[0.0], [1.0], [1.0]], [10, 10, 1], axis=0)
    >>> targets = np.repeat(np.array([[0], [1], [-1]], dtype=np.int8), [10, 10, 1], axis=0)
    >>> filling = impute_missing(features, targets, ["sea"], validation=0.2, seed=0, single_label=False)
    >>> filling.targets[-1], filling.held_out
    (array([1], dtype=int8), {'sea': {'auc': 1.0, 'average_precision': 1.0}})
    """
    with threadpool_limits(1):  # The order of partial sums, and so the last digits, depends on the number of threads.
        impute = _impute_classes if single_label else _impute_labels
        return impute(np.asarray(features, np.float64), targets, list(labels), validation, seed)


def _impute_labels(
    features: Features, targets: NDArray[np.int8], labels: list[str], validation: float, seed: int
) -> Imputation:
    imputed, probabilities = targets.copy(), np.full(targets.shape, np.nan)
    held_out, untrainable = {}, []
    for j, label in enumerate(labels):
        known, missing = np.flatnonzero(targets[:, j] != MISSING), np.flatnonzero(targets[:, j] == MISSING)
        if not len(missing):
            continue
        values = targets[known, j]
        fitted, held, counts = _hold_out(np.column_stack([values == 0, values == 1]), validation, seed)
        if counts.min() < MIN_PER_VALUE:
            untrainable.append(label)
            continue
        model = _classifier().fit(features[known[fitted]], values[fitted])
        scores = model.predict_proba(features[known[held]])[:, 1]
        held_out[label] = _held_out_scores(values[held], scores)
        probabilities[missing, j] = model.predict_proba(features[missing])[:, 1]
        threshold = label_thresholds(values[held, None], scores[:, None])[0]
        imputed[missing, j] = probabilities[missing, j] >= threshold
    return Imputation(imputed, probabilities, held_out, untrainable)


def _impute_classes(
    features: Features, targets: NDArray[np.int8], labels: list[str], validation: float, seed: int
) -> Imputation:
    imputed, probabilities = targets.copy(), np.full(targets.shape, np.nan)
    known, missing = np.flatnonzero(targets[:, 0] != MISSING), np.flatnonzero(targets[:, 0] == MISSING)
    if not len(missing):
        return unchanged(targets)
    fitted, held, counts = _hold_out(targets[known] == 1, validation, seed)
    trainable = np.flatnonzero(counts >= MIN_PER_VALUE)
    if len(trainable) < 2:
        return Imputation(imputed, probabilities, {}, labels)
    rows = known[fitted][targets[known[fitted]][:, trainable].any(axis=1)]
    model = _classifier().fit(features[rows], targets[rows].argmax(axis=1))
    scores = model.predict_proba(features[known[held]])
    held_out = {labels[j]: _held_out_scores(targets[known[held], j], scores[:, k]) for k, j in enumerate(trainable)}
    probabilities[missing] = 0.0
    probabilities[np.ix_(missing, trainable)] = model.predict_proba(features[missing])
    imputed[missing] = np.eye(len(labels), dtype=np.int8)[probabilities[missing].argmax(axis=1)]
    untrainable = [label for j, label in enumerate(labels) if j not in trainable]
    return Imputation(imputed, probabilities, held_out, untrainable)


def _classifier() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=1000))


def _hold_out(
    strata: NDArray[np.bool_], validation: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows to fit, those to hold out (none of a single row), and the lower of each value's two counts."""
    rows = np.arange(len(strata))
    held = stratified_sample(strata.astype(np.int8), validation, seed) if len(rows) > 1 else rows[:0]
    fitted = np.setdiff1d(rows, held)
    return fitted, held, np.minimum(strata[fitted].sum(axis=0), strata[held].sum(axis=0))


def _held_out_scores(values: NDArray[np.int8], scores: Scores) -> dict[str, float]:
    precision = average_precision_score(values, scores)
    return {"auc": float(roc_auc_score(values, scores)), "average_precision": float(precision)}
