"""Classification metrics, most of them by scikit-learn.

Arrays are those of `counterweight.metrics.per_label`. An undefined metric is None, or NaN in arrays and tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.metrics.calibration import brier_score, expected_calibration_error
from counterweight.metrics.decisions import rarest
from counterweight.metrics.per_label import (
    Predictions,
    Scores,
    Targets,
    as_indicator,
    aucs,
    average_precisions,
    defined_mean,
    label_rates,
)

Metrics = dict[str, float | None]

AVERAGES = ("micro", "macro", "weighted", "samples")
AGGREGATES = (
    *(f"{average}_{rate}" for average in AVERAGES for rate in ("f1", "precision", "recall")),
    *("macro_jaccard", "samples_jaccard", "hamming_loss", "accuracy", "exact_match", "balanced_accuracy", "g_mean"),
    *("sensitivity", "specificity", "minority_recall", "majority_recall"),
)
# Reported on the validation rows, so that nobody compares recipes on the test rows.
VALIDATION_METRICS = ("micro_f1", "macro_f1", "balanced_accuracy", "minority_recall", "majority_recall")


@dataclass(frozen=True)
class LabelRoles:
    """The labels in the order of the columns, the positive class of a binary task, the rarest and the commonest label.

    The task is ``multilabel``, ``multiclass`` or ``binary``.
    """

    task: str
    labels: list[str]
    positive: str | None
    rarest: str
    commonest: str

    @classmethod
    def from_train_targets(cls, task: str, labels: Sequence[str], positive: str | None, train: Targets) -> Self:
        """Derive the roles from the targets of the original train images."""
        counts = (train == 1).sum(axis=0)
        return cls(task, list(labels), positive, rarest(labels, counts), labels[int(counts.argmax())])


def aggregate(y_true: Targets, y_pred: Predictions, roles: LabelRoles) -> Metrics:
    """Return the metrics of one decision over all labels.

    Returns
    -------
    dict
        A value for each name in `AGGREGATES`, all None if no cell is known. F1, precision and recall are averaged as in
        scikit-learn; so is the Jaccard index. Exact match is over the images whose labels are all known.
        Accuracy, balanced accuracy and G-mean are means over labels in a multilabel task; otherwise they are the
        fraction of images in the right class, and the arithmetic and geometric means of the recalls of the classes.
        Sensitivity and specificity are those of the positive class, or means over labels.
    """
    from sklearn.metrics import accuracy_score, hamming_loss, jaccard_score, precision_recall_fscore_support

    metrics: Metrics = dict.fromkeys(AGGREGATES)
    known = y_true >= 0
    some_known = known.any(axis=1)
    if not some_known.any():
        return metrics
    positive, predicted, columns = as_indicator(y_true[some_known], y_pred[some_known])
    for average in AVERAGES:
        options = {"labels": columns, "average": average, "zero_division": 0}
        precision, recall, f1, _ = precision_recall_fscore_support(positive, predicted, **options)
        metrics |= {f"{average}_precision": precision, f"{average}_recall": recall, f"{average}_f1": f1}
        if f"{average}_jaccard" in AGGREGATES:
            metrics[f"{average}_jaccard"] = jaccard_score(positive, predicted, **options)
    metrics["hamming_loss"] = hamming_loss(y_true[known] == 1, y_pred[known])
    complete = known[some_known].all(axis=1)
    if complete.any():
        metrics["exact_match"] = accuracy_score(positive[complete], predicted[complete])

    rates = label_rates(y_true, y_pred)
    if roles.task == "multilabel":
        metrics |= {name: defined_mean(getattr(rates, name)) for name in ("accuracy", "balanced_accuracy", "g_mean")}
    else:
        recalls = rates.sensitivity[~np.isnan(rates.sensitivity)]
        g_mean = float(np.prod(recalls)) ** (1 / len(recalls)) if len(recalls) else None
        metrics |= {"accuracy": metrics["exact_match"], "balanced_accuracy": defined_mean(recalls), "g_mean": g_mean}
    of_interest = roles.labels if roles.positive is None else [roles.positive]
    for name, rate, labels in (
        ("sensitivity", rates.sensitivity, of_interest),
        ("specificity", rates.specificity, of_interest),
        ("minority_recall", rates.sensitivity, [roles.rarest]),
        ("majority_recall", rates.sensitivity, [roles.commonest]),
    ):
        metrics[name] = defined_mean(rate[[roles.labels.index(label) for label in labels]])
    return {name: None if value is None else float(value) for name, value in metrics.items()}


def classification_metrics(
    y_true: Targets, scores: Scores, predictions: Mapping[str, Predictions], roles: LabelRoles
) -> dict[str, float | Metrics | None]:
    """Return the metrics over all labels, for a metrics file.

    They are ``map``, the mean average precision; ``macro_auc``; ``brier`` and ``calibration_error``, see
    `counterweight.metrics.calibration`; and as ``threshold_NAME`` the `aggregate` of each decision. ``predictions`` are
    arrays of bool, shape (n_images, n_labels), by the name of the decision.
    """
    return {
        "map": defined_mean(average_precisions(y_true, scores)),
        "macro_auc": defined_mean(aucs(y_true, scores)),
        "brier": brier_score(y_true, scores),
        "calibration_error": expected_calibration_error(y_true, scores),
        **{f"threshold_{name}": aggregate(y_true, y_pred, roles) for name, y_pred in predictions.items()},
    }


def validation_metrics(
    y_true: Targets, scores: Scores, predictions: Mapping[str, Predictions], roles: LabelRoles
) -> dict[str, float | Metrics | None]:
    """Return `classification_metrics` reduced to `VALIDATION_METRICS` for each decision."""
    return {
        name: {key: value[key] for key in VALIDATION_METRICS} if isinstance(value, dict) else value
        for name, value in classification_metrics(y_true, scores, predictions, roles).items()
    }


def label_metrics(
    labels: Sequence[str],
    train_counts: NDArray[np.integer],
    y_true: Targets,
    scores: Scores,
    predictions: Mapping[str, Predictions],
) -> pd.DataFrame:
    """Tabulate the metrics of each label.

    Parameters
    ----------
    labels, y_true, scores, predictions
        Names of the columns, and arrays as in `classification_metrics`.
    train_counts : array of int, shape (n_labels,)
        Train images with the label, copies included.

    Returns
    -------
    pandas.DataFrame
        One row per label: ``label``, ``train`` and ``test`` (images), ``average_precision``, ``auc``, and for each
        decision every rate and count in `LabelRates`, as ``precision_NAME`` and so on.
    """
    table = pd.DataFrame(
        {
            "label": list(labels),
            "train": train_counts,
            "test": (y_true == 1).sum(axis=0),
            "average_precision": average_precisions(y_true, scores),
            "auc": aucs(y_true, scores),
        }
    )
    for name, y_pred in predictions.items():
        rates = label_rates(y_true, y_pred)._asdict()
        table = table.assign(**{f"{rate}_{name}": values for rate, values in rates.items()})
    return table


def constant_answers(task: str, prevalence: NDArray[np.float64], n_images: int) -> dict[str, Predictions]:
    """Return predictions that ignore the images, by name: each shape (n_images, n_labels).

    Parameters
    ----------
    task : str
        ``multilabel``, ``multiclass`` or ``binary``.
    prevalence : array of float, shape (n_labels,)
        Fraction of the images with each label.
    n_images : int
        Number of images.

    Examples
    --------
    >>> sorted(constant_answers("multiclass", np.array([0.7, 0.3]), 1))
    ['at random by prevalence', 'the most common class']
    """
    shape = (n_images, len(prevalence))
    most_common = np.broadcast_to(np.arange(len(prevalence)) == prevalence.argmax(), shape)
    rng = np.random.default_rng(0)
    if task == "multilabel":
        at_random = rng.random(shape) < prevalence
        return {
            "no label": np.zeros(shape, dtype=np.bool_),
            "every label": np.ones(shape, dtype=np.bool_),
            "the most common label": most_common,
            "at random by prevalence": at_random,
        }
    drawn = rng.choice(len(prevalence), size=n_images, p=prevalence / prevalence.sum())
    return {
        "the most common class": most_common,
        "at random by prevalence": np.eye(len(prevalence), dtype=np.bool_)[drawn],
    }
