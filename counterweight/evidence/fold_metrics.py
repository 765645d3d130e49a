"""Metrics of each remedy and of constant answers, fold by fold."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray

from counterweight.evidence.cross_validation import Fold, ProbeData
from counterweight.evidence.remedies import Remedy
from counterweight.metrics.classification import constant_answers
from counterweight.metrics.imbalance import rarest_third
from counterweight.metrics.per_label import (
    Predictions,
    Targets,
    aucs,
    average_precisions,
    defined_mean,
    label_rates,
)

METRICS = ("macro_f1", "rare_f1", "rare_recall", "map", "macro_auc")


def fold_table(
    data: ProbeData, remedies: Sequence[Remedy], folds: Sequence[Fold], n_folds: int, *, workers: int
) -> pd.DataFrame:
    """Tabulate the metrics of each remedy and constant answer on the held-out images of each fold.

    Parameters
    ----------
    data : ProbeData
        The images.
    remedies : sequence of Remedy
        The remedies.
    folds : sequence of Fold
        The result of `counterweight.evidence.cross_validation.cross_validate`.
    n_folds : int
        Folds per repeat.
    workers : int
        Number of processes.

    Returns
    -------
    pandas.DataFrame
        One row per fold and remedy or constant answer: ``kind`` (remedy or chance), ``remedy``, ``repeat``, ``fold``
        and `METRICS`. Means are over the labels that a held-out image has.
    """
    rare = rarest_third(data.targets)
    tables: list[list[dict[str, Any]]] = Parallel(n_jobs=min(workers, len(folds)))(
        delayed(_fold_rows)(data.task, data.targets, remedies, fold, rare) for fold in folds
    )
    rows = [
        {"repeat": number // n_folds, "fold": number % n_folds, **row}
        for number, of_fold in enumerate(tables)
        for row in of_fold
    ]
    return pd.DataFrame(rows)[["kind", "remedy", "repeat", "fold", *METRICS]]


def _fold_rows(
    task: str, targets: Targets, remedies: Sequence[Remedy], fold: Fold, rare: NDArray[np.intp]
) -> list[dict[str, Any]]:
    y_true, prevalence = targets[fold.rows], _prevalence(targets)
    ranking = {
        training: {
            "map": _mean(average_precisions(y_true, held_out.scores)),
            "macro_auc": _mean(aucs(y_true, held_out.scores)),
        }
        for training, held_out in fold.by_training.items()
    }
    constant = {"map": _mean(_prevalence(y_true)[(y_true == 1).any(axis=0)]), "macro_auc": 0.5}
    rows = []
    for remedy in remedies:
        held_out = fold.by_training[remedy.training]
        predicted = held_out.rule.apply(held_out.scores, remedy.decision)
        rows.append(
            {"kind": "remedy", "remedy": remedy.name, **_decided(y_true, predicted, rare), **ranking[remedy.training]}
        )
    for name, predicted in constant_answers(task, prevalence, len(y_true)).items():
        rows.append({"kind": "chance", "remedy": name, **_decided(y_true, predicted, rare), **constant})
    return rows


def _prevalence(targets: Targets) -> NDArray[np.float64]:
    known = (targets >= 0).sum(axis=0)
    prevalence: NDArray[np.float64] = (targets == 1).sum(axis=0) / np.maximum(known, 1)
    return prevalence


def _decided(y_true: Targets, y_pred: Predictions, rare: NDArray[np.intp]) -> dict[str, float]:
    rates, occurs = label_rates(y_true, y_pred), (y_true == 1).any(axis=0)
    rare = rare[occurs[rare]]
    return {
        "macro_f1": _mean(rates.f1[occurs]),
        "rare_f1": _mean(rates.f1[rare]),
        "rare_recall": _mean(rates.recall[rare]),
    }


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the defined values; NaN if there are none."""
    mean = defined_mean(values)
    return np.nan if mean is None else mean
