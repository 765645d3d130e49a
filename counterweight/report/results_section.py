"""The page's section about the arms on the test images: their metrics, curves and images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from counterweight.base import manifest
from counterweight.explanation.chosen_images import only_right_by, rarest_column, wrong_cells
from counterweight.explanation.thumbnails import thumbnails
from counterweight.metrics.calibration import reliability_table
from counterweight.metrics.charts import head_and_tail
from counterweight.metrics.decisions import HEADLINE, TUNED
from counterweight.metrics.per_label import label_rates
from counterweight.report import figures
from counterweight.report.arm_results import MAX_CONFUSED, NETWORKS, Arm, confusion_tables

# Labels whose precision-recall curves are shown, the rarest first.
_MAX_CURVES = 6
# Points of a drawn curve.
_MAX_POINTS = 120
# Thresholds at which F1 is drawn.
_THRESHOLDS = np.linspace(0.02, 0.98, 49)


def results_section(
    table: pd.DataFrame,
    arms: Mapping[str, Arm],
    differences: pd.DataFrame,
    warnings: Sequence[str],
    *,
    folder: Path,
    images_per_group: int,
) -> dict[str, Any]:
    """Show metrics and curves of the arms, and the images that only copies, or only no remedy, get right.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest.
    arms : mapping of str to Arm
        The arms, ``nothing`` first.
    differences : pandas.DataFrame
        The result of `counterweight.evidence.comparison.arm_table`.
    warnings : sequence of str
        The result of `counterweight.report.summary_section.convergence_warnings`.
    folder : Path
        The resized images.
    images_per_group : int
        Images per arm to show.
    """
    names = manifest.label_names(table)
    decision = HEADLINE[next(iter(arms.values())).decisions.task]
    metrics = {f"f1_{decision}": "F1", f"recall_{decision}": "recall", "average_precision": "average precision"}
    by_label = [arm.labels.set_index("label") for arm in arms.values()]
    order = by_label[0].sort_values(["train", "label"], ascending=[False, True]).index.tolist()
    listed = head_and_tail(order, figures.MAX_ROWS)
    columns = [rows.loc[listed, metric].tolist() for metric in metrics for rows in by_label]
    tests = by_label[0].loc[listed, "test"].tolist()
    rules = "; ".join(f"{name}: {arm.decisions.describe(decision)}" for name, arm in arms.items())
    note = f" The commonest and the rarest of {len(order):,} labels are listed." if len(listed) < len(order) else ""
    return {
        "warnings": warnings,
        "arms": _arm_rows(differences),
        "confused": confusion_tables(table, arms),
        "text": f"An image gets these labels: {rules}.{note}",
        "head": ["label", "test images"] + [f"{metric}, {name}" for metric in metrics.values() for name in arms],
        "rows": [
            [label, int(count), *map(_decimal, values)]
            for label, count, *values in zip(listed, tests, *columns, strict=True)
        ],
        "queries": [f"label={names.index(label)}&split=test" for label in listed],
        "numbers": {name: i for i, name in enumerate(arms)},
        "threshold": _threshold_chart(table, arms),
        "reliability": _reliability_chart(table, arms),
        "training": [_loss_chart(arms, part) for part in ("train", "validation")],
        "curves": [(label, _precision_recall_chart(label, arms)) for label in order[::-1][:_MAX_CURVES]],
        "confusion": [
            (name, figures.inline_svg(arm.confusion) if len(names) <= MAX_CONFUSED else "")
            for name, arm in arms.items()
        ],
        "only_correct": _correct_in_one_arm(
            table, {name: arms[name] for name in ("nothing", "copies")}, folder, images_per_group
        ),
    }


def _decimal(value: float) -> str:
    return "unknown" if np.isnan(value) else f"{value:.3f}"


def _arm_rows(differences: pd.DataFrame) -> list[list[str]]:
    """Return the rows of the table of arms."""
    rows = []
    for row in differences.to_dict("records"):
        compared = [
            f"{row[name]:+.3f} ({row[f'{name}_low']:+.3f} to {row[f'{name}_high']:+.3f})"
            for name in ("difference", "rare_difference")
        ]
        numbers = [row[name] for name in ("map", "macro_auc", "brier", "calibration_error", "calibrated_error")]
        rows.append(
            [
                row["arm"], f"{row['macro_f1']:.3f}", *(compared if row["arm"] != "nothing" else ["", ""]),
                *map(_decimal, numbers),
            ]
        )  # fmt: skip
    return rows


def _reliability_chart(table: pd.DataFrame, arms: Mapping[str, Arm]) -> str:
    rows = manifest.rows_of_split(table, "test")
    targets = manifest.targets(rows)
    curves = {"perfect": ([0.0, 1.0], [0.0, 1.0])}
    for name, arm in arms.items():
        bins = reliability_table(targets, arm.scores_of(rows))
        curves[name] = (bins["score"].tolist(), bins["frequency"].tolist())
    return figures.lines(curves, x="mean score", y="share of images with the label")


def _loss_chart(arms: Mapping[str, Arm], part: str) -> str:
    epochs = {name: (arm.history["epoch"].tolist(), arm.history[f"{part}_loss"].tolist()) for name, arm in arms.items()}
    return figures.lines(epochs, x="epoch", y=f"{part} loss")


def _threshold_chart(table: pd.DataFrame, arms: Mapping[str, Arm]) -> str:
    """Draw macro F1 by threshold; nothing if each image has one of several classes, which no threshold decides."""
    if all(arm.decisions.task == "multiclass" for arm in arms.values()):
        return ""
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
    """Return for each of two arms how many test images only it labels correctly in all known cells, and thumbnails.

    Images come first whose label that the other arm gets wrong is the rarest.
    """
    train, test = (manifest.rows_of_split(table, split) for split in ("train", "test"))
    targets, counts = manifest.targets(test), (manifest.targets(train) == 1).sum(axis=0)
    predictions = {name: arm.predictions(test) for name, arm in arms.items()}
    labels = np.array(manifest.label_names(table), dtype=object)
    result = []
    for name, other in zip(arms, list(arms)[::-1], strict=True):
        images = np.flatnonzero(only_right_by(targets, predictions, name))
        missed = rarest_column(wrong_cells(targets, predictions[other])[images], counts)
        chosen = images[np.argsort(counts[missed], kind="stable")][:max_shown]
        shown = test.iloc[chosen]
        captions = [
            f"{image}: {', '.join(labels[cells == 1]) or ('unknown' if (cells < 0).any() else 'no label')}; "
            f"predicted {NETWORKS[other]}: {', '.join(labels[predicted]) or 'no label'}"
            for image, cells, predicted in zip(
                shown["image_id"], targets[chosen], predictions[other][chosen], strict=True
            )
        ]
        result.append((name, len(images), list(zip(thumbnails(shown, folder), captions, strict=True))))
    return result
