"""Metrics of each remedy and of constant answers, fold by fold."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from counterweight.evidence.cross_validation import CopyFeatures, Fold, ProbeData
from counterweight.evidence.linear_probe import fit_linear_probe, log_loss
from counterweight.evidence.remedies import Remedy, Training
from counterweight.metrics import decisions
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
from counterweight.runtime.parallel import run_tasks

# Between the names of a pipeline and of one of its augmenters; before nothing, the whole pipeline without a guard.
ALONE = "\n"
# Weak enough that a probe fits what it sees, and the same for all copies, so that their losses can be compared.
_DIVERSITY_PENALTY = 0.03
# Images beside the copies that it is fitted to, too.
_MAX_OTHERS = 2_000
METRICS = ("macro_f1", "balanced_f1", "rare_f1", "rare_recall", "map", "macro_auc")


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
    tasks = [delayed(_fold_rows)(data.task, data.targets, remedies, fold, rare) for fold in folds]
    rows = [
        {"repeat": number // n_folds, "fold": number % n_folds, **row}
        for number, of_fold in enumerate(run_tasks(tasks, workers))
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
    rows, share = [], float(prevalence.max()) if task == "multilabel" else None
    for remedy in remedies:
        held_out = fold.by_training[remedy.training]
        predicted = held_out.rule.apply(held_out.scores, remedy.decision)
        rows.append(
            {
                "kind": "remedy",
                "remedy": remedy.name,
                **_decided(y_true, predicted, rare, share),
                **ranking[remedy.training],
            }
        )
    for name, predicted in constant_answers(task, prevalence, len(y_true)).items():
        rows.append({"kind": "chance", "remedy": name, **_decided(y_true, predicted, rare, share), **constant})
    return rows


def _prevalence(targets: Targets) -> NDArray[np.float64]:
    known = (targets >= 0).sum(axis=0)
    prevalence: NDArray[np.float64] = (targets == 1).sum(axis=0) / np.maximum(known, 1)
    return prevalence


def _decided(y_true: Targets, y_pred: Predictions, rare: NDArray[np.intp], share: float | None) -> dict[str, float]:
    rates, occurs = label_rates(y_true, y_pred), (y_true == 1).any(axis=0)
    rare = rare[occurs[rare]]
    return {
        "macro_f1": _mean(rates.f1[occurs]),
        "balanced_f1": _mean(balanced_f1(y_true, y_pred, share)[occurs]),
        "rare_f1": _mean(rates.f1[rare]),
        "rare_recall": _mean(rates.recall[rare]),
    }


def balanced_f1(y_true: Targets, y_pred: Predictions, share: float | None) -> NDArray[np.float64]:
    """Return the F1 of each label if all labels were equally common, and the images of a label as they are.

    Parameters
    ----------
    y_true : array of int, shape (n_images, n_labels)
        1 if the image has the label, 0 if not, -1 if unknown.
    y_pred : array of bool, shape (n_images, n_labels)
        Predictions.
    share : float or None
        The share of images with a label, the same for each; None if an image has exactly one label.

    Returns
    -------
    array of float, shape (n_labels,)
        0 for labels that no image has.

    Examples
    --------
    One of nine images has the label, and is found; two of the eight that lack it are taken for it. Half would have it.

    >>> y_true = np.array([[1]] + [[0]] * 8)
    >>> y_pred = np.array([[True]] * 3 + [[False]] * 6)
    >>> balanced_f1(y_true, y_pred, 0.5)  # Precision 1 / (1 + 2 / 8), recall 1.
    array([0.88888889])
    """
    has, lacks = (y_true == 1).astype(np.float64), (y_true == 0).astype(np.float64)
    hits = (has * y_pred).sum(axis=0) / np.maximum(has.sum(axis=0), 1)
    if share is None:
        given = (has.T @ y_pred / np.maximum(has.sum(axis=0), 1)[:, None]).sum(axis=0)
        f1: NDArray[np.float64] = 2 * hits / (1 + given)
        return f1
    false_alarms = (lacks * y_pred).sum(axis=0) / np.maximum(lacks.sum(axis=0), 1)
    return np.asarray(2 * share * hits / np.maximum(share * (1 + hits) + (1 - share) * false_alarms, 1e-12))


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the defined values; NaN if there are none."""
    mean = defined_mean(values)
    return np.nan if mean is None else mean


def affinity_table(data: ProbeData, folds: Sequence[Fold]) -> pd.DataFrame:
    """Tabulate how many of the labels that copies inherit can still be seen on them, and how much copies differ.

    A label is seen on an image if a probe that was fitted to other images gives it, by the tuned thresholds that label
    new images, since the highest score alone hardly ever is that of a rare class. Affinity and diversity are those of
    R. Gontijo-Lopes et al., "Affinity and diversity: Quantifying mechanisms of data augmentation", arXiv 2002.08973,
    with the recall of the labels as accuracy, the same images with and without the change, and linear probes as models.

    Parameters
    ----------
    data : ProbeData
        The images and copies.
    folds : sequence of Fold
        The result of `counterweight.evidence.cross_validation.cross_validate`.

    Returns
    -------
    pandas.DataFrame
        One row per pipeline and augmenter, without a guard: ``pipeline``; ``augmenter``, empty for all of them in
        order; ``copies`` and ``labels``, the numbers of copies and of the labels that they inherit; ``seen_on_sources``
        and ``seen_on_copies``, the fractions of these labels that are seen, means over the repeats; ``affinity``, the
        second divided by the first, NaN if that is 0; and ``diversity``, the log loss that a probe is left with on
        copies that it is fitted to, along with other images, divided by the same for their sources.
    """
    decision = decisions.DEPLOYED[data.task]
    rows = []
    for name, copies in data.copies.items():
        if ALONE not in name:
            continue
        inherited = data.targets[copies.sources] == 1
        seen = np.zeros(2)
        for fold in folds:
            chosen = np.isin(copies.sources, fold.rows)
            plain, positions = fold.by_training[Training()], np.searchsorted(fold.rows, copies.sources[chosen])
            for i, scores in enumerate((plain.scores[positions], fold.of_copies[name])):
                seen[i] += (plain.rule.apply(scores, decision) & inherited[chosen]).sum()
        repeats = sum(len(fold.rows) for fold in folds) / len(data.targets)
        on_sources, on_copies = seen / max(inherited.sum() * repeats, 1)
        pipeline, _, augmenter = name.partition(ALONE)
        rows.append(
            {"pipeline": pipeline, "augmenter": augmenter,
             "copies": len(copies.sources), "labels": int(inherited.sum()),
             "seen_on_sources": on_sources, "seen_on_copies": on_copies,
             "affinity": on_copies / on_sources if on_sources else np.nan, "diversity": _diversity(data, copies)}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _diversity(data: ProbeData, copies: CopyFeatures) -> float:
    """Return how much harder copies are to fit than their sources, each beside other images.

    NaN without copies, and if no label of their sources is known.
    """
    if not len(copies.sources):
        return np.nan
    order = np.random.default_rng(0).permutation(len(data.targets))
    others = order[~np.isin(order, copies.sources)][:_MAX_OTHERS]
    targets = np.concatenate([data.targets[others], data.targets[copies.sources]])
    known, losses = (targets >= 0).astype(np.float64), []
    with threadpool_limits(1):  # The number of threads changes sums, so the last digits.
        for features in (copies.features, data.features[copies.sources]):
            probe = fit_linear_probe(
                np.concatenate([data.features[others], features]), targets, known,
                penalty=_DIVERSITY_PENALTY, is_single_label=data.is_single_label,
            )  # fmt: skip
            losses.append(float(log_loss(probe.scores(features), targets[len(others) :]).mean()))
    return losses[0] / losses[1] if losses[1] else np.nan
