"""What the report's page says of the two arms: whether the copies helped, and where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.base import manifest
from counterweight.evidence.bootstrap import FEW, Interval, macro_f1_intervals, verdict
from counterweight.metrics.decisions import HEADLINE, TUNED, Decisions
from counterweight.metrics.per_label import rates
from counterweight.report import figures
from counterweight.report.thumbnails import thumbnails

# Labels whose curves are shown, the rarest first; the table has all.
_CURVES = 6
# Thresholds at which F1 is shown.
_GRID = np.linspace(0.02, 0.98, 49)
# Of more labels than this, counts of what was taken for what fill pages.
_CLASSES = 20
# Points of a curve that are enough for the eye.
_POINTS = 120


@dataclass(frozen=True)
class Arm:
    """What came of one arm.

    Attributes
    ----------
    decisions : Decisions
        Its thresholds.
    scores : pandas.DataFrame
        ``image_id``, ``split`` and a column a label, of validation and test images.
    labels : pandas.DataFrame
        What `counterweight.metrics.classification.label_measures` returned.
    history : pandas.DataFrame
        A row an epoch.
    curve : pandas.DataFrame
        What `counterweight.metrics.curves.precision_recall` returned.
    confusion : str
        The SVG of its counts.
    """

    decisions: Decisions
    scores: pd.DataFrame
    labels: pd.DataFrame
    history: pd.DataFrame
    curve: pd.DataFrame
    confusion: str

    def of(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Scores of these images, shape (n_images, n_labels)."""
        # By their places: a label may be called image_id, or split.
        by_image = self.scores.set_index(self.scores.columns[0])
        scores: NDArray[np.float64] = by_image.loc[rows["image_id"]].iloc[:, 1:].to_numpy(dtype=np.float64)
        return scores

    def given(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """What it gives these images by the decision that stands for it."""
        return self.decisions.given(self.of(rows), HEADLINE[self.decisions.task])


@dataclass(frozen=True)
class Found:
    """Macro F1 of both arms on the test images, over the labels that can be judged there.

    Attributes
    ----------
    original, balanced, difference : Interval
        See `macro_f1_intervals`.
    images : int
        Test images.
    judged, labels : int
        Labels that have `FEW` test images or more, or all where none has; and how many there are.
    """

    original: Interval
    balanced: Interval
    difference: Interval
    images: int
    judged: int
    labels: int


def compared(table: pd.DataFrame, arms: Mapping[str, Arm], *, repeats: int, seed: int) -> Found:
    """Judge both arms on the test images.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest.
    arms : mapping of str to Arm
        The original, then the balanced one.
    repeats, seed : int
        As in `macro_f1_intervals`.
    """
    test = manifest.of_split(table, "test")
    targets = manifest.targets(test)
    enough = (targets == 1).sum(axis=0) >= FEW
    judged = enough if enough.any() else np.ones_like(enough)
    original, balanced = (arm.given(test)[:, judged] for arm in arms.values())
    intervals = macro_f1_intervals(targets[:, judged], original, balanced, repeats=repeats, seed=seed)
    return Found(*intervals, len(test), int(judged.sum()), len(judged))


def look_chapter(
    found: Found, images: Sequence[int], mean_ir: Sequence[float], sizes: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """The page's first lines.

    Parameters
    ----------
    found : Found
        What `compared` returned.
    images : (int, int)
        Train images before and after.
    mean_ir : (float, float)
        MeanIR before and after.
    sizes : two sequences of int
        Sizes of the clusters before and after.
    """
    clusters = [f"{min(each)} to {max(each)}" if min(each) < max(each) else f"{max(each)} each" for each in sizes]
    few = found.labels - found.judged
    return {
        "verdict": verdict(found.difference, found.images)
        if images[1] > images[0]
        else "No copies were made, so both arms were trained on the same images.",
        "but": "Both arms were trained once: before you believe a small difference, try another train.seed."
        + (f" Left out are {few} labels with fewer than {FEW} test images." if few else ""),
        "facts": [
            {"name": "Train images", "value": f"{images[0]:,} → {images[1]:,}", "more": "with the copies"},
            {"name": "Images of a cluster", "value": " → ".join(clusters), "more": f"{len(sizes[0])} clusters"},
            {"name": "MeanIR", "value": f"{mean_ir[0]:.2f} → {mean_ir[1]:.2f}", "more": "1 is balanced"},
            _f1("original", found.original, found),
            _f1("balanced", found.balanced, found),
        ],
    }


def _f1(arm: str, interval: Interval, found: Found) -> dict[str, str]:
    return {
        "name": f"Test macro F1, {arm}",
        "value": f"{interval.value:.3f}",
        "more": f"95 % interval {interval.low:.3f} to {interval.high:.3f}, {found.judged} of {found.labels} labels",
    }


def results_chapter(table: pd.DataFrame, arms: Mapping[str, Arm], *, folder: Path, shown: int) -> dict[str, Any]:
    """Each label's measures, curves, and the images that one arm alone gets right.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest.
    arms : mapping of str to Arm
        The original, then the balanced one.
    folder : Path
        The resized images.
    shown : int
        Images of each kind to show.
    """
    names = manifest.label_names(table)
    how = HEADLINE[next(iter(arms.values())).decisions.task]
    measures = {
        f"precision_{how}": "precision", f"recall_{how}": "recall", f"f1_{how}": "F1",
        "average_precision": "average precision",
    }  # fmt: skip
    by_label = [arm.labels.set_index("label") for arm in arms.values()]
    order = by_label[0].sort_values(["train", "label"], ascending=[False, True]).index.tolist()
    listed = [order[i] for i in figures.ends(range(len(order)), figures.ROWS)]
    columns = [rows.loc[listed, measure].tolist() for measure in measures for rows in by_label]
    tests = by_label[0].loc[listed, "test"].tolist()
    said = "; ".join(f"{name}: {arm.decisions.described(how)}" for name, arm in arms.items())
    return {
        "said": f"Labels are given by {said}."
        + (f" Of {len(order):,}, the commonest and the rarest are listed." if len(listed) < len(order) else ""),
        "head": ["label", "test images"] + [f"{measure}, {name}" for measure in measures.values() for name in arms],
        "rows": [
            [label, int(count), *map(_said, values)]
            for label, count, *values in zip(listed, tests, *columns, strict=True)
        ],
        "threshold": _thresholds(table, arms),
        "training": [_losses(arms, part) for part in ("train", "validation")],
        "curves": [(label, _curve(label, arms)) for label in order[::-1][:_CURVES]],
        "confusion": [
            (name, figures.inlined(arm.confusion) if len(names) <= _CLASSES else "") for name, arm in arms.items()
        ],
        "only": _only(table, arms, folder, shown),
    }


def _losses(arms: Mapping[str, Arm], part: str) -> str:
    epochs = {name: (arm.history["epoch"].tolist(), arm.history[f"{part}_loss"].tolist()) for name, arm in arms.items()}
    return figures.lines(epochs, x="epoch", y=f"{part} loss")


def _said(value: float) -> str:
    return "unknown" if np.isnan(value) else f"{value:.3f}"


def _thresholds(table: pd.DataFrame, arms: Mapping[str, Arm]) -> str:
    rows = manifest.of_split(table, "val")
    targets = manifest.targets(rows)
    scores = {name: arm.of(rows) for name, arm in arms.items()}
    curves = {
        name: (_GRID.tolist(), [float(rates(targets, arm.decisions.given(scores[name], at)).f1.mean()) for at in _GRID])
        for name, arm in arms.items()
    }
    tuned = [arm.decisions.tuned for arm in arms.values() if HEADLINE[arm.decisions.task] == TUNED]
    return figures.lines(curves, x="threshold", y="macro F1", marked=tuned)


def _curve(label: str, arms: Mapping[str, Arm]) -> str:
    curves = {}
    for name, arm in arms.items():
        points = arm.curve[arm.curve["label"] == label]
        some = points.iloc[np.unique(np.linspace(0, len(points) - 1, min(len(points), _POINTS)).astype(int))]
        curves[name] = (some["recall"].tolist(), some["precision"].tolist())
    return figures.lines(curves, x="recall", y="precision")


def _only(
    table: pd.DataFrame, arms: Mapping[str, Arm], folder: Path, shown: int
) -> list[tuple[str, int, list[tuple[str, str]]]]:
    """Images of which one arm alone gives the labels that they have, as far as these are known."""
    test = manifest.of_split(table, "test")
    targets = manifest.targets(test)
    right = {name: ((targets < 0) | (arm.given(test) == (targets == 1))).all(axis=1) for name, arm in arms.items()}
    labels = np.array(manifest.label_names(table))
    found = []
    for name, other in zip(arms, list(arms)[::-1], strict=True):
        rows = test[right[name] & ~right[other]]
        some = rows.head(shown)
        pictures = thumbnails([folder / path for path in some["path"]], some["checksum"].tolist())
        of = [
            ", ".join(labels[cells == 1]) or ("unknown" if (cells < 0).any() else "no label")
            for cells in manifest.targets(some)
        ]
        captions = [f"{image}: {has}" for image, has in zip(some["image_id"], of, strict=True)]
        found.append((name, len(rows), list(zip(pictures, captions, strict=True))))
    return found
