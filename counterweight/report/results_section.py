"""The page's sections about the two arms: whether the copies helped, and for which labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.base import manifest
from counterweight.evidence.bootstrap import MIN_TEST_IMAGES, Interval, change, macro_f1_intervals, verdict
from counterweight.metrics.decisions import HEADLINE, TUNED, DecisionRule
from counterweight.metrics.imbalance import rarest_third
from counterweight.metrics.per_label import label_rates
from counterweight.report import figures
from counterweight.report.thumbnails import thumbnails

# Labels that a sentence names.
_MAX_NAMED_LABELS = 6
# Labels whose precision-recall curves are shown, the rarest first.
_MAX_CURVES = 6
# Points of a drawn curve.
_MAX_POINTS = 120
# Thresholds at which F1 is drawn.
_THRESHOLDS = np.linspace(0.02, 0.98, 49)
# The confusion matrices of more labels would fill pages.
_MAX_CONFUSION_LABELS = 20


@dataclass(frozen=True)
class Arm:
    """Results of one arm.

    Attributes
    ----------
    scores : pandas.DataFrame
        ``image_id``, ``split`` and one column per label, for validation and test images.
    labels, curve : pandas.DataFrame
        The results of `counterweight.metrics.classification.label_metrics` and of
        `counterweight.metrics.curves.precision_recall_table`.
    history : pandas.DataFrame
        One row per epoch.
    confusion : str
        SVG of its confusion matrices.
    """

    decisions: DecisionRule
    scores: pd.DataFrame
    labels: pd.DataFrame
    history: pd.DataFrame
    curve: pd.DataFrame
    confusion: str

    def scores_of(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Return the scores of images, shape (n_images, n_labels)."""
        # By position, since a label may be named image_id or split.
        by_image = self.scores.set_index(self.scores.columns[0])
        scores: NDArray[np.float64] = by_image.loc[rows["image_id"]].iloc[:, 1:].to_numpy(dtype=np.float64)
        return scores

    def predictions(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """Return the labels that images get by the task's headline decision, shape (n_images, n_labels)."""
        return self.decisions.apply(self.scores_of(rows), HEADLINE[self.decisions.task])


@dataclass(frozen=True)
class ArmComparison:
    """Macro F1 of both arms on the test images, and their difference.

    Attributes
    ----------
    original, balanced, difference : Interval
        Over all labels, as evaluate and compare report it.
    rare : Interval
        The difference over ``rare_labels``, the rarest third of the labels.
    images : int
        Test images.
    few : int
        Labels with fewer than `MIN_TEST_IMAGES` test images.
    """

    original: Interval
    balanced: Interval
    difference: Interval
    rare: Interval
    rare_labels: list[str]
    images: int
    few: int


def compare_arms(table: pd.DataFrame, arms: Mapping[str, Arm], *, n_samples: int, seed: int) -> ArmComparison:
    """Compare the arms ``original`` and ``balanced`` on the test images of a manifest; see `macro_f1_intervals`."""
    test, names = manifest.rows_of_split(table, "test"), manifest.label_names(table)
    targets = manifest.targets(test)
    rare = rarest_third(manifest.targets(manifest.rows_of_split(table, "train")))
    predictions = [arms[name].predictions(test) for name in ("original", "balanced")]
    intervals, of_rare = (
        macro_f1_intervals(
            targets[:, columns], *(y_pred[:, columns] for y_pred in predictions), n_samples=n_samples, seed=seed
        )
        for columns in (np.arange(len(names)), rare)
    )
    few = int(((targets == 1).sum(axis=0) < MIN_TEST_IMAGES).sum())
    return ArmComparison(*intervals, of_rare[2], [names[column] for column in rare], len(test), few)


def summary_section(
    comparison: ArmComparison, images: Sequence[int], mean_ir: Sequence[float], sizes: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """Show the verdict and the main numbers.

    Parameters
    ----------
    comparison : ArmComparison
        The result of `compare_arms`.
    images, mean_ir : (int, int), (float, float)
        Train images, and MeanIR, before and after.
    sizes : two sequences of int
        Sizes of the clusters before and after.
    """
    clusters = [f"{min(each)} to {max(each)}" if min(each) < max(each) else f"{max(each)} each" for each in sizes]
    once = "Each arm was trained once: before you trust a small difference, try another train.seed."
    few = f" {comparison.few} labels have fewer than {MIN_TEST_IMAGES} test images, each of which moves the mean."
    named = ", ".join(comparison.rare_labels[:_MAX_NAMED_LABELS])
    more = len(comparison.rare_labels) - _MAX_NAMED_LABELS
    rarest = f"{named} and {more} more" if more > 0 else named
    return {
        "verdict": verdict(comparison.difference, comparison.images)
        if images[1] > images[0]
        else "No copies were made, so both arms were trained on the same images.",
        "rare": f"The rarest third of the labels ({rarest}): {change(comparison.rare)}.",
        "caveat": once + few * (comparison.few > 0),
        "facts": [
            {"name": "Train images", "value": f"{images[0]:,} → {images[1]:,}", "note": "with the copies"},
            {"name": "Images per cluster", "value": " → ".join(clusters), "note": f"{len(sizes[0])} clusters"},
            {"name": "MeanIR", "value": f"{mean_ir[0]:.2f} → {mean_ir[1]:.2f}", "note": "1 is balanced"},
            *(
                {
                    "name": f"Test macro F1, {arm}",
                    "value": f"{f1.value:.3f}",
                    "note": f"95 % CI {f1.low:.3f} to {f1.high:.3f}, all labels",
                }
                for arm, f1 in (("original", comparison.original), ("balanced", comparison.balanced))
            ),
        ],
    }


def results_section(
    table: pd.DataFrame, arms: Mapping[str, Arm], *, folder: Path, images_per_group: int
) -> dict[str, Any]:
    """Show metrics and curves of both arms, and the images that only one arm gets right.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest.
    arms : mapping of str to Arm
        The arms ``original`` and ``balanced``, in this order.
    folder : Path
        The resized images.
    images_per_group : int
        Images per arm to show.
    """
    names = manifest.label_names(table)
    decision = HEADLINE[next(iter(arms.values())).decisions.task]
    metrics = {
        f"precision_{decision}": "precision", f"recall_{decision}": "recall", f"f1_{decision}": "F1",
        "average_precision": "average precision",
    }  # fmt: skip
    by_label = [arm.labels.set_index("label") for arm in arms.values()]
    order = by_label[0].sort_values(["train", "label"], ascending=[False, True]).index.tolist()
    listed = figures.head_and_tail(order, figures.MAX_ROWS)
    columns = [rows.loc[listed, metric].tolist() for metric in metrics for rows in by_label]
    tests = by_label[0].loc[listed, "test"].tolist()
    rules = "; ".join(f"{name}: {arm.decisions.describe(decision)}" for name, arm in arms.items())
    note = f" The commonest and the rarest of {len(order):,} labels are listed." if len(listed) < len(order) else ""
    return {
        "text": f"An image gets these labels: {rules}.{note}",
        "head": ["label", "test images"] + [f"{metric}, {name}" for metric in metrics.values() for name in arms],
        "rows": [
            [label, int(count), *map(_decimal, values)]
            for label, count, *values in zip(listed, tests, *columns, strict=True)
        ],
        "threshold": _threshold_chart(table, arms),
        "training": [_loss_chart(arms, part) for part in ("train", "validation")],
        "curves": [(label, _precision_recall_chart(label, arms)) for label in order[::-1][:_MAX_CURVES]],
        "confusion": [
            (name, figures.inline_svg(arm.confusion) if len(names) <= _MAX_CONFUSION_LABELS else "")
            for name, arm in arms.items()
        ],
        "only_correct": _correct_in_one_arm(table, arms, folder, images_per_group),
    }


def _decimal(value: float) -> str:
    return "unknown" if np.isnan(value) else f"{value:.3f}"


def _loss_chart(arms: Mapping[str, Arm], part: str) -> str:
    epochs = {name: (arm.history["epoch"].tolist(), arm.history[f"{part}_loss"].tolist()) for name, arm in arms.items()}
    return figures.lines(epochs, x="epoch", y=f"{part} loss")


def _threshold_chart(table: pd.DataFrame, arms: Mapping[str, Arm]) -> str:
    rows = manifest.rows_of_split(table, "val")
    targets = manifest.targets(rows)
    curves = {}
    for name, arm in arms.items():
        scores = arm.scores_of(rows)
        rates = [label_rates(targets, arm.decisions.apply(scores, threshold)) for threshold in _THRESHOLDS]
        curves[name] = (_THRESHOLDS.tolist(), [float(rate.f1.mean()) for rate in rates])
    tuned = [arm.decisions.tuned for arm in arms.values() if HEADLINE[arm.decisions.task] == TUNED]
    return figures.lines(curves, x="threshold", y="macro F1", marked=tuned)


def _precision_recall_chart(label: str, arms: Mapping[str, Arm]) -> str:
    curves = {}
    for name, arm in arms.items():
        points = arm.curve[arm.curve["label"] == label]
        drawn = points.iloc[np.unique(np.linspace(0, len(points) - 1, min(len(points), _MAX_POINTS)).astype(int))]
        curves[name] = (drawn["recall"].tolist(), drawn["precision"].tolist())
    return figures.lines(curves, x="recall", y="precision")


def _correct_in_one_arm(
    table: pd.DataFrame, arms: Mapping[str, Arm], folder: Path, max_shown: int
) -> list[tuple[str, int, list[tuple[str, str]]]]:
    """Return for each arm how many test images only it labels correctly in all known cells, and some thumbnails."""
    test = manifest.rows_of_split(table, "test")
    targets = manifest.targets(test)
    correct = {
        name: ((targets < 0) | (arm.predictions(test) == (targets == 1))).all(axis=1) for name, arm in arms.items()
    }
    labels = np.array(manifest.label_names(table))
    result = []
    for name, other in zip(arms, list(arms)[::-1], strict=True):
        rows = test[correct[name] & ~correct[other]]
        shown = rows.head(max_shown)
        captions = [
            f"{image}: {', '.join(labels[cells == 1]) or ('unknown' if (cells < 0).any() else 'no label')}"
            for image, cells in zip(shown["image_id"], manifest.targets(shown), strict=True)
        ]
        result.append((name, len(rows), list(zip(thumbnails(shown, folder), captions, strict=True))))
    return result
