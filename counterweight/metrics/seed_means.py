"""Metrics of each seed of an arm, and their means and deviations over the seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.metrics import decisions
from counterweight.metrics.calibration import calibration_metrics
from counterweight.metrics.classification import LabelRoles, classification_metrics, label_metrics, validation_metrics
from counterweight.metrics.per_label import Scores, Targets


def evaluate_seed(
    rule: decisions.DecisionRule,
    names: Mapping[str, float | str],
    roles: LabelRoles,
    train_counts: NDArray[np.integer],
    *,
    test: tuple[Targets, Scores],
    val: tuple[Targets, Scores],
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Evaluate the scores of one seed.

    Parameters
    ----------
    rule : DecisionRule
        Of the seed's model.
    names : mapping of str to float or str
        Decisions by name.
    roles : LabelRoles
        The labels.
    train_counts : array of int, shape (n_labels,)
        Train images with each label.
    test, val : (array, array)
        Targets and scores of the test and of the validation images.

    Returns
    -------
    metrics : dict
        For a metrics file.
    label_table : pandas.DataFrame
        The result of `label_metrics`.
    """
    predicted = [{name: rule.apply(scores, decision) for name, decision in names.items()} for _, scores in (test, val)]
    metrics = {
        **decisions.summary(rule),
        **classification_metrics(*test, predicted[0], roles),
        **calibration_metrics(test[0], rule.probabilities(test[1])),
        "validation": validation_metrics(*val, predicted[1], roles),
    }
    return metrics, label_metrics(rule.labels, train_counts, *test, predicted[0])


def mean_metrics(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Average the metrics of several seeds.

    Parameters
    ----------
    metrics : sequence of mapping
        Metrics of each seed, with the same keys: numbers, None, text, and mappings of these.

    Returns
    -------
    dict
        The same keys; means of the numbers that are known, None if none is. Text is that of the first seed.

    Examples
    --------
    >>> mean_metrics([{"map": 0.5, "tuned": {"f1": 0.2}}, {"map": 0.75, "tuned": {"f1": None}}])
    {'map': 0.625, 'tuned': {'f1': 0.2}}
    """
    means: dict[str, Any] = {}
    for key, first in metrics[0].items():
        values = [each[key] for each in metrics]
        numbers = [value for value in values if isinstance(value, int | float)]
        if isinstance(first, Mapping):
            means[key] = mean_metrics(values)
        elif isinstance(first, str):
            means[key] = first
        else:
            means[key] = float(np.mean(numbers)) if numbers else None
    return means


def deviations(metrics: Sequence[Mapping[str, Any]], decision: str) -> dict[str, float | None]:
    """Return the sample standard deviation over seeds of mAP, macro AUC, and macro F1 of a decision.

    It is None with one seed, and for what is unknown.

    Examples
    --------
    >>> metrics = [{"map": 0.5, "macro_auc": None, "threshold_0.5": {"macro_f1": f1}} for f1 in (0.25, 0.75)]
    >>> deviations(metrics, "0.5")
    {'map': 0.0, 'macro_auc': None, 'macro_f1': 0.3535533905932738}
    """
    values = {
        "map": [each["map"] for each in metrics],
        "macro_auc": [each["macro_auc"] for each in metrics],
        "macro_f1": [each[f"threshold_{decision}"]["macro_f1"] for each in metrics],
    }
    return {
        name: float(np.std(numbers, ddof=1)) if len(numbers) > 1 and None not in numbers else None
        for name, numbers in values.items()
    }


def mean_table(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Average the numbers of tables with the same rows, whose first column is ``label``."""
    by_label = [table.set_index("label") for table in tables]
    mean = sum(by_label[1:], by_label[0]) / len(by_label)
    # Counts that are the same for all seeds stay whole numbers.
    for name in by_label[0].columns:
        if all(table[name].equals(by_label[0][name]) for table in by_label):
            mean[name] = by_label[0][name]
    return mean.reset_index()


def score_table(table: pd.DataFrame, labels: Sequence[str], scores: Mapping[int, NDArray[np.float64]]) -> pd.DataFrame:
    """Tabulate the scores of images by seed: ``image_id``, ``split``, ``seed``, and a column per label.

    Parameters
    ----------
    table : pandas.DataFrame
        The rows of a manifest.
    labels : sequence of str
        Names of the columns of scores.
    scores : mapping of int to array, shape (n_images, n_labels)
        Scores by seed.
    """
    images = table[["image_id", "split"]]
    # A label may have the name of another column.
    parts = [
        pd.concat([images.assign(seed=seed), pd.DataFrame(values, columns=list(labels))], axis=1)
        for seed, values in scores.items()
    ]
    return pd.concat(parts, ignore_index=True)


def scores_by_seed(table: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """Return what `score_table` tabulated: for each seed a table of scores, indexed by image id."""
    columns = table.columns.tolist()
    by_image = table.set_index(columns[0])
    # By position, since a label may be named image_id, split or seed.
    seeds = table.iloc[:, 2]
    return {int(seed): by_image[(seeds == seed).to_numpy()].iloc[:, 2:] for seed in seeds.unique()}


def first_scores(path: Path, image_ids: Sequence[str]) -> NDArray[np.float64]:
    """Read the scores of images by the first seed from what `score_table` tabulated, shape (n_images, n_labels)."""
    by_seed = scores_by_seed(pd.read_csv(path, dtype={"image_id": "str"}, keep_default_na=False))
    return next(iter(by_seed.values())).loc[list(image_ids)].to_numpy(dtype=np.float64)
