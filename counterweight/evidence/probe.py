"""The probe: cross-validated linear classifiers that say, before any training, which remedy pays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.augmentation.strategies import TrainImages
from counterweight.evidence.cross_validation import FRACTIONS, CopyFeatures, Fold, ProbeData, cross_validate
from counterweight.evidence.fold_metrics import affinity_table, fold_table
from counterweight.evidence.folds import repeated_folds
from counterweight.evidence.label_issues import CONTRADICTION, contradictions, find_label_issues
from counterweight.evidence.linear_probe import Features, standardize
from counterweight.evidence.recommendation import (
    Recommendation,
    if_balanced,
    likely_cause,
    no_signal,
    recommend,
    remedy_table,
)
from counterweight.evidence.remedies import FIXED, Remedy, Training, settings
from counterweight.metrics.per_label import aucs, average_precisions

# A classifier with a lower AUC contradicts more right labels than wrong ones, so its label issues are left out.
MIN_ISSUE_AUC = 0.9
# With more labels, fewer images are judged, so that the probe takes no longer; see `draw_sample`.
LABELS_AT_FULL_SIZE = 10


@dataclass(frozen=True)
class ProbeResult:
    """The probe's tables and conclusions.

    Attributes
    ----------
    folds, remedies : pandas.DataFrame
        The results of `fold_table` and `remedy_table`.
    label_issues : pandas.DataFrame
        The result of `find_label_issues`, for the labels whose AUC reaches `MIN_ISSUE_AUC`; below it, that of
        `contradictions`.
    learning_curve : pandas.DataFrame
        ``label``, ``fraction`` and number of train ``images`` with the label, and the ``average_precision`` and ``auc``
        of the label without any remedy: means over the folds.
    recommendation : Recommendation
    no_signal : str or None
        See `counterweight.evidence.recommendation.no_signal` and `likely_cause`.
    affinity : pandas.DataFrame
        The result of `counterweight.evidence.fold_metrics.affinity_table`.
    if_balanced : str
        See `counterweight.evidence.recommendation.if_balanced`; empty if this is what the recommendation is judged by.
    checked : list of str
        The labels whose AUC reaches `MIN_ISSUE_AUC`.
    """

    folds: pd.DataFrame
    remedies: pd.DataFrame
    label_issues: pd.DataFrame
    learning_curve: pd.DataFrame
    recommendation: Recommendation
    no_signal: str | None
    affinity: pd.DataFrame
    if_balanced: str
    checked: list[str]


@dataclass(frozen=True)
class ProbeConfig:
    """Folds per repeat, repeats and seed of `counterweight.evidence.folds.repeated_folds`; and processes.

    ``random_features`` says whether the features come from random weights, and ``metric`` what a recommendation is
    judged by, see `counterweight.evidence.recommendation.NAMES`.
    """

    n_folds: int
    n_repeats: int
    seed: int
    workers: int
    random_features: bool = False
    metric: str = "macro_f1"

    @classmethod
    def from_params(cls, probe: Mapping[str, Any], workers: int, *, random_features: bool) -> Self:
        """Read the section ``probe`` of params.yaml."""
        return cls(probe["folds"], probe["repeats"], probe["seed"], workers, random_features, probe["metric"])


def probe_data(
    task: str, images: TrainImages, columns: NDArray[np.intp], features: Features,
    wanted: Mapping[str, NDArray[np.int64]], copies: Mapping[str, CopyFeatures],
) -> ProbeData:  # fmt: skip
    """Return what the probe is fitted to, for some of the labels; ``features`` are not standardized yet."""
    labels, targets = [images.labels[j] for j in columns], images.targets[:, columns]
    return ProbeData(task, images.ids, labels, standardize(features, features), targets, wanted, copies)


def run_probe(
    data: ProbeData, tied: NDArray[np.intp], alike: NDArray[np.intp], remedies: Sequence[Remedy], config: ProbeConfig
) -> ProbeResult:
    """Compare the remedies on held-out train images.

    Parameters
    ----------
    data : ProbeData
        Train images and copies.
    tied, alike : arrays of int, shape (n_images,)
        Groups of images that are held out together, and of duplicates.
    remedies : sequence of Remedy
        The simplest first, which is ``nothing``.
    config : ProbeConfig
        The number of processes does not affect the result.
    """
    assigned = repeated_folds(data.targets, tied, n_folds=config.n_folds, n_repeats=config.n_repeats, seed=config.seed)
    trainings = dict.fromkeys(remedy.training for remedy in remedies)
    tuned = {remedy.training for remedy in remedies if remedy.decision != FIXED[data.task]}
    folds = cross_validate(data, assigned, trainings, tuned=tuned, workers=config.workers)
    by_fold = fold_table(data, remedies, folds, config.n_folds, workers=config.workers)
    table = remedy_table(by_fold, config.n_folds)
    scores = np.zeros(data.targets.shape)
    for fold in folds:
        scores[fold.rows] += fold.by_training[Training()].scores / config.n_repeats
    issues = find_label_issues(data.image_ids, data.labels, data.targets, scores, is_single_label=data.is_single_label)
    auc_of = dict(zip(data.labels, aucs(data.targets, scores).tolist(), strict=True))
    checked = [label for label, auc in auc_of.items() if auc >= MIN_ISSUE_AUC]
    issues = issues[issues["label"].isin(checked)].assign(duplicate="")
    contradicting = contradictions(data.image_ids, data.labels, data.targets, scores, alike)
    doubt = no_signal(table, by_fold, config.n_folds)
    if doubt:
        n_duplicates = int((np.bincount(alike)[alike] > 1).sum())
        n_contradicting = contradicting["image_id"].nunique()
        doubt += f" {likely_cause(auc_of, n_duplicates, n_contradicting, random_features=config.random_features)}"
    recommended = recommend(table, remedies, config.metric)
    balanced = if_balanced(table, remedies, recommended.remedy) if config.metric == "macro_f1" else ""
    return ProbeResult(
        by_fold, table, pd.concat([issues, contradicting], ignore_index=True),
        _learning_curve(data, folds, config.n_folds), recommended, doubt, affinity_table(data, folds), balanced,
        checked,
    )  # fmt: skip


def _learning_curve(data: ProbeData, folds: Sequence[Fold], n_folds: int) -> pd.DataFrame:
    counts = (data.targets == 1).sum(axis=0) * (n_folds - 1) / n_folds
    parts = []
    for fraction in FRACTIONS:
        metrics = {
            name: pd.DataFrame(metric(data.targets[fold.rows], fold.by_fraction[fraction]) for fold in folds).mean()
            for name, metric in (("average_precision", average_precisions), ("auc", aucs))
        }
        images = np.round(counts * fraction).astype(int)
        parts.append(pd.DataFrame({"label": data.labels, "fraction": fraction, "images": images, **metrics}))
    return pd.concat(parts).sort_values(["label", "fraction"], ignore_index=True)


def summary(result: ProbeResult, remedies: Sequence[Remedy]) -> dict[str, Any]:
    """Return the conclusions and the numbers behind them, for a metrics file."""
    recommendation = result.recommendation
    chosen = next(remedy for remedy in remedies if remedy.name == recommendation.remedy)
    columns = ["macro_f1", "macro_f1_low", "macro_f1_high", "map", "macro_auc", "rare_f1"]
    numbers = result.remedies.set_index("remedy")[columns].round(6).astype(object)
    by_remedy = numbers.where(numbers.notna(), None).to_dict("index")
    return {
        "recommended": recommendation.remedy,
        "best": recommendation.best,
        "sentence": recommendation.sentence,
        "if_balanced": result.if_balanced,
        "no_signal": result.no_signal,
        "settings": settings(chosen),
        "labels_checked": len(result.checked),
        "label_issues": int((result.label_issues["issue"] != CONTRADICTION).sum()),
        "nothing": by_remedy["nothing"],
        "recommended_remedy": by_remedy[recommendation.remedy],
    }
