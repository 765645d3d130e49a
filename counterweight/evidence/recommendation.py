"""What the probe recommends: the simplest remedy that may be as good as the best, or that nothing can be learned.

Each remedy is compared with the best, not with every other one: J. C. Hsu, "Simultaneous confidence intervals for all
distances from the 'best'", The Annals of Statistics 9 (1981), 1026-1034.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from counterweight.evidence.fold_metrics import METRICS
from counterweight.evidence.folds import Difference, corrected_difference, holm
from counterweight.evidence.remedies import Remedy

# The metrics that a recommendation may be judged by.
NAMES = {"macro_f1": "macro F1", "balanced_f1": "balanced F1"}
# A remedy is clearly worse than the best below this p-value.
_SIGNIFICANT = 0.05
# Below this macro AUC, a classifier hardly ranks images better than chance, whatever its F1 is.
MIN_AUC = 0.6
# A label with this AUC is shown by the features, so they carry something.
SHOWN_AUC = 0.7
# From this share of contradicting duplicates on, the labels are in doubt before anything else.
MIN_CONTRADICTING = 0.2


def remedy_table(folds: pd.DataFrame, n_folds: int) -> pd.DataFrame:
    """Summarize the metrics of all folds by remedy.

    Parameters
    ----------
    folds : pandas.DataFrame
        The result of `counterweight.evidence.fold_metrics.fold_table`.
    n_folds : int
        Folds per repeat.

    Returns
    -------
    pandas.DataFrame
        One row per remedy, then per constant answer: ``kind``, ``remedy``; for each metric its mean, and as
        ``METRIC_difference``, ``_low``, ``_high`` and ``_p`` the mean difference from ``nothing``, its 95 % confidence
        interval, and its p-value by Holm's method over the remedies. For the metrics of `NAMES`, ``METRIC_p_best`` is
        the p-value of the difference from the remedy with the highest mean, by the same method, and 1 for that remedy.
    """
    groups = {name: (str(kind), group) for (kind, name), group in folds.groupby(["kind", "remedy"], sort=False)}
    _, nothing = groups["nothing"]
    rows = []
    for name, (kind, group) in groups.items():
        row: dict[str, object] = {"kind": kind, "remedy": name}
        for metric in METRICS:
            difference = _difference(group, nothing, metric, n_folds)
            row |= {
                metric: group[metric].mean(),
                f"{metric}_difference": difference.value,
                f"{metric}_low": difference.low,
                f"{metric}_high": difference.high,
                f"{metric}_p": difference.p_value,
            }
        rows.append(row)
    table = pd.DataFrame(rows).sort_values(
        "kind", key=lambda kinds: kinds != "remedy", kind="stable", ignore_index=True
    )
    compared = (table["kind"] == "remedy") & (table["remedy"] != "nothing")
    for metric in METRICS:
        table.loc[compared, f"{metric}_p"] = holm(table.loc[compared, f"{metric}_p"].tolist())
    remedies = {name: group for name, (kind, group) in groups.items() if kind == "remedy"}
    for metric in NAMES:
        table[f"{metric}_p_best"] = table["remedy"].map(_p_of_best(remedies, metric, n_folds))
    return table


def _p_of_best(remedies: Mapping[Hashable, pd.DataFrame], metric: str, n_folds: int) -> dict[Hashable, float]:
    """Return the p-value of each remedy's difference from the best one."""
    best = max(remedies, key=lambda name: float(remedies[name][metric].mean()))
    others = [name for name in remedies if name != best]
    p_values = [_difference(remedies[name], remedies[best], metric, n_folds).p_value for name in others]
    return {best: 1.0, **dict(zip(others, holm(p_values), strict=True))}


def _difference(group: pd.DataFrame, other: pd.DataFrame, metric: str, n_folds: int) -> Difference:
    """Test the difference of two remedies over the folds for which both have the metric."""
    pairs = group[metric].to_numpy() - other[metric].to_numpy()
    return corrected_difference(pairs[~np.isnan(pairs)], n_folds)


@dataclass(frozen=True)
class Recommendation:
    """What to do.

    Attributes
    ----------
    remedy : str
        The recommended remedy.
    best : str
        The remedy with the highest mean.
    sentence : str
        The recommendation in words.
    """

    remedy: str
    best: str
    sentence: str


def recommend(table: pd.DataFrame, remedies: Sequence[Remedy], metric: str = "macro_f1") -> Recommendation:
    """Recommend the simplest remedy that clearly pays and is not clearly worse than the best.

    Both are told by differences within the same folds. If doing nothing is not clearly worse than the best, that is
    recommended.

    Parameters
    ----------
    table : pandas.DataFrame
        The result of `remedy_table`.
    remedies : sequence of Remedy
        The simplest first.
    metric : str
        One of `NAMES`.
    """
    rows, names = _by_remedy(table), [remedy.name for remedy in remedies]
    best = max(names, key=lambda name: rows[name][metric])
    as_good = [name for name in names if not rows[name][f"{metric}_p_best"] < _SIGNIFICANT]
    chosen = next(name for name in as_good if name in ("nothing", best) or rows[name][f"{metric}_low"] > 0)
    if chosen == "nothing":
        reason = (
            "the data are best as they are"
            if best == chosen
            else f"the best, {best}, changes {_effect(rows[best], metric)}"
        )
        return Recommendation(chosen, best, f"No remedy clearly pays here: {reason}.")
    sentence = f"Recommended: {chosen}, which changes {_effect(rows[chosen], metric)} against no remedy"
    if best != chosen:
        sentence += f"; the best, {best}, changes {_effect(rows[best], metric)}, which is not clearly more"
    return Recommendation(chosen, best, f"{sentence}.")


def if_balanced(table: pd.DataFrame, remedies: Sequence[Remedy], recommended: str) -> str:
    """Say what would be recommended if all labels were equally common; empty if it is the same.

    Parameters
    ----------
    table, remedies
        As in `recommend`.
    recommended : str
        What is recommended for labels that are as common as in train.
    """
    other = recommend(table, remedies, "balanced_f1").remedy
    if other == recommended:
        return ""
    effect = _effect(_by_remedy(table)[other], "balanced_f1")
    return (
        f"Where all labels are equally common, unlike here, {other} would be recommended: it changes {effect}. Set "
        "probe.metric to balanced_f1 if your images will be so."
    )


def no_signal(table: pd.DataFrame, folds: pd.DataFrame, n_folds: int) -> str | None:
    """Say that the probe is not clearly better than chance; None if it is.

    Parameters
    ----------
    table, folds : pandas.DataFrame
        The results of `remedy_table` and `counterweight.evidence.fold_metrics.fold_table`.
    n_folds : int
        Folds per repeat.
    """
    rows = _by_remedy(table)
    names = {kind: table.loc[table["kind"] == kind, "remedy"].tolist() for kind in ("remedy", "chance")}
    best, constant = (max(names[kind], key=lambda name: rows[name]["macro_f1"]) for kind in names)
    scores, baseline = (folds.loc[folds["remedy"] == name, "macro_f1"].to_numpy() for name in (best, constant))
    difference, auc = corrected_difference(scores - baseline, n_folds), rows["nothing"]["macro_auc"]
    if difference.low > 0 and auc >= MIN_AUC:
        return None
    f1, f1_of_constant = (rows[name]["macro_f1"] for name in (best, constant))
    return (
        f"Not clearly better than chance: the best remedy, {best}, has macro F1 {f1:.3f}, and the best answer "
        f"that ignores the images, {constant}, {f1_of_constant:.3f} (difference "
        f"{difference.value:+.3f}, 95 % CI {difference.low:+.3f} to {difference.high:+.3f}); macro AUC is {auc:.2f}, "
        "by chance 0.50."
    )


def likely_cause(auc_of: Mapping[str, float], n_duplicates: int, n_contradicting: int, *, random_features: bool) -> str:
    """Say whether the labels or the features are the likelier cause where nothing is better than chance.

    Parameters
    ----------
    auc_of : mapping of str to float
        AUC of each label without any remedy; NaN where it is not defined.
    n_duplicates, n_contradicting : int
        Train images that have a duplicate among them, and those of them that have other labels than it.
    random_features : bool
        Whether the features come from random weights.

    Examples
    --------
    >>> likely_cause({"sea": 0.52}, 10, 4, random_features=False)
    'The labels are the likelier cause: 4 of 10 duplicates contradict each other.'
    """
    if n_contradicting and n_contradicting >= MIN_CONTRADICTING * n_duplicates:
        return (
            f"The labels are the likelier cause: {n_contradicting} of {n_duplicates} duplicates contradict each other."
        )
    if random_features:
        return (
            "The features are the likelier cause: they come from random weights, which see color and texture only. Set "
            "features.weights."
        )
    known = {label: auc for label, auc in auc_of.items() if not np.isnan(auc)}
    if not known:
        return "No label has images both with and without it, so nothing can be learned."
    best = max(known, key=lambda label: known[label])
    if known[best] >= SHOWN_AUC:
        return (
            f"The features do show {best} (AUC {known[best]:.2f}), so the labels of the others are the likelier cause."
        )
    return (
        f"No label is shown, not even {best} (AUC {known[best]:.2f}). Look at a few images: if you cannot name their "
        "labels, the labels are noise; if you can, take other weights (features.weights)."
    )


def _by_remedy(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    return {str(row.pop("remedy")): row for row in table.to_dict("records")}  # type: ignore[misc]


def _effect(row: Mapping[str, float], metric: str) -> str:
    value, low, high = (row[f"{metric}_{name}"] for name in ("difference", "low", "high"))
    return f"{NAMES[metric]} by {value:+.3f} (95 % CI {low:+.3f} to {high:+.3f})"
