"""Reproducible SVG charts: the same values give the same bytes. `report.figures` shares their style."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.sparse import csr_array

from counterweight.base.outputs import atomic_file

# In order of use; readable on white and on near black (after Okabe and Ito, Color Universal Design, 2008).
COLORS = ("#8a94a3", "#d55e00", "#0086c9", "#009e73", "#cc79a7", "#b08a00", "#56b4e9", "#7d5bd0")
# Of more labels, charts show the commonest and the rarest.
MAX_LABELS = 60
# Between classes, sparse (n_labels, n_labels); or per label, (n_labels, 2, 2).
Confusions: TypeAlias = NDArray[np.int64] | csr_array
# Sizes in a confusion chart, in inches: a cell between classes, the four cells of a label, a line of text, a letter.
_CELL, _PANEL, _LINE, _LETTER, _MARGIN = 0.42, (1.2, 0.6), 0.28, 0.09, 0.2


def chart_style(text_color: str = "black") -> AbstractContextManager[None]:
    """Apply the project's chart style within a ``with`` block.

    Text stays text, dollar signs do not start a formula, and the same chart has the same bytes. ``text_color`` is that
    of text, axes and ticks.
    """
    style: Any = {
        "svg.hashsalt": "counterweight", "svg.fonttype": "none", "text.parse_math": False, "font.size": 10,
        "font.family": "sans-serif",
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), text_color),
    }  # fmt: skip
    return mpl.rc_context(style)


def head_and_tail(order: Sequence[Any], most: int) -> list[Any]:
    """Return all items, or half of ``most`` from either end of a longer sequence.

    Examples
    --------
    >>> head_and_tail("abcdef", 4), head_and_tail("abc", 4)
    (['a', 'b', 'e', 'f'], ['a', 'b', 'c'])
    """
    half = most // 2
    return list(order) if len(order) <= most else [*order[:half], *order[-half:]]


def bar_chart(names: Sequence[str], bars: Mapping[str, Sequence[float]], title: str, path: Path) -> None:
    """Draw numbers from 0 to 1 as grouped horizontal bars in an .svg; see `draw_bars`. NaN has no bar."""
    with chart_style():
        figure = Figure(figsize=(8, 1.2 + (0.1 + 0.18 * len(bars)) * len(names)), layout="constrained")
        axes = figure.subplots()
        for container in draw_bars(axes, names, bars):
            axes.bar_label(container, fmt="%.3f", padding=3, fontsize=8)
        axes.set_xlim(0, 1.1)
        axes.set_title(title, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        _save(figure, path)


def draw_bars(axes: Axes, names: Sequence[str], bars: Mapping[str, Sequence[float]]) -> list[BarContainer]:
    """Draw grouped horizontal bars.

    Parameters
    ----------
    axes : Axes
        What is drawn on.
    names : sequence of str
        Names of the groups, from top to bottom.
    bars : mapping of str to sequence of float
        One number per group for each entry of the legend.
    """
    centers, height = np.arange(len(names)), 0.8 / len(bars)
    containers = []
    for i, (name, values) in enumerate(bars.items()):
        positions = centers + (i - (len(bars) - 1) / 2) * height
        containers.append(axes.barh(positions, values, height, color=COLORS[i % len(COLORS)], label=name))
    axes.set_yticks(centers, names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    return containers


def comparison_chart(tables: Mapping[str, pd.DataFrame], metric: str, title: str, path: Path) -> None:
    """Draw a metric of each label for each arm in an .svg, the commonest label first; of many, both ends.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        The result of `classification.label_metrics` for each arm.
    metric : str
        The column to draw.
    """
    labels = next(iter(tables.values())).sort_values(["train", "label"], ascending=[False, True])["label"].tolist()
    order = head_and_tail(labels, MAX_LABELS)
    if len(order) < len(labels):
        title += f", the {MAX_LABELS // 2} commonest and the {MAX_LABELS // 2} rarest of {len(labels):,} labels"
    rows = {arm: table.set_index("label").loc[order] for arm, table in tables.items()}
    counts = zip(*(table["train"] for table in rows.values()), strict=True)
    # Arms with the same images have the same counts.
    shown = [" → ".join(map(str, dict.fromkeys(count))) for count in counts]
    names = [f"{label}\n{count}" for label, count in zip(order, shown, strict=True)]
    bars = {f"{arm}, mean {tables[arm][metric].mean():.3f}": rows[arm][metric].tolist() for arm in tables}
    bar_chart(names, bars, f"{title}\nbelow each label its train images, without and with copies", path)


def draw_intervals(axes: Axes, table: pd.DataFrame) -> None:
    """Draw by how much each remedy changes macro F1, with its 95 % confidence interval.

    Parameters
    ----------
    axes : Axes
        What is drawn on.
    table : pandas.DataFrame
        ``remedy``, ``macro_f1_difference``, ``macro_f1_low`` and ``macro_f1_high``, from top to bottom.
    """
    positions, value = np.arange(len(table)), table["macro_f1_difference"]
    errors = [value - table["macro_f1_low"], table["macro_f1_high"] - value]
    axes.axvline(0, color=COLORS[0], linewidth=1)
    axes.errorbar(value, positions, xerr=errors, fmt="o", color=COLORS[2], markersize=4)
    axes.set_yticks(positions, table["remedy"].tolist())
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.set_xlabel("change of macro F1, 95 % interval")


def remedies_chart(table: pd.DataFrame, path: Path) -> None:
    """Draw the remedies of `counterweight.evidence.recommendation.remedy_table` in an .svg."""
    remedies = table[(table["kind"] == "remedy") & (table["remedy"] != "nothing")]
    with chart_style():
        figure = Figure(figsize=(8, 1 + 0.28 * len(remedies)), layout="constrained")
        axes = figure.subplots()
        draw_intervals(axes, remedies)
        axes.spines[["top", "right"]].set_visible(False)
        _save(figure, path)


def confusion_chart(labels: Sequence[str], matrices: Mapping[str, Confusions], title: str, path: Path) -> None:
    """Draw confusion matrices in an .svg, each cell shaded by its share of its row.

    Matrices between classes are stacked. Below them, decisions about single labels have one column each, and labels one
    row each. Of more than `MAX_LABELS` labels, the commonest and the rarest are drawn.

    Parameters
    ----------
    labels : sequence of str
        Names of all labels.
    matrices : mapping of str to array of int
        The result of `counterweight.metrics.plot_tables.confusion_matrices`.
    """
    if len(labels) > MAX_LABELS:
        actual = next(iter(matrices.values())).sum(axis=-1)
        counts = actual if actual.ndim == 1 else actual[:, 1]
        shown = np.sort(head_and_tail(np.argsort(-counts, kind="stable").tolist(), MAX_LABELS))
        title += f", for the {MAX_LABELS // 2} commonest and the {MAX_LABELS // 2} rarest of {len(labels):,} labels"
    else:
        shown = np.arange(len(labels))
    between_classes = {
        name: csr_array(each)[shown][:, shown].toarray() for name, each in matrices.items() if each.ndim == 2
    }
    per_label = {name: each[shown] for name, each in matrices.items() if each.ndim == 3}
    labels = [labels[i] for i in shown]
    margin = _MARGIN + _LETTER * max(map(len, labels))
    side, (panel_width, panel_height) = _CELL * len(labels), _PANEL
    headings = {name: f"{name}: rows actual, columns predicted" for name in between_classes}
    label_heading = "per label: rows actual no and yes, columns predicted no and yes"
    text_widths = [_LETTER * len(text) for text in (title, *headings.values(), label_heading)]
    width = margin + max(side if between_classes else 0, panel_width * len(per_label), *text_widths) + _MARGIN
    block = side + margin + 2 * _LINE
    height = 2 * _LINE + block * len(between_classes) + (panel_height * len(labels) + 3 * _LINE if per_label else 0)
    with chart_style():
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        axes.text(_MARGIN, _LINE, title, fontsize=12, va="center")
        top = 2 * _LINE
        for name, matrix in between_classes.items():
            axes.text(margin, top + _LINE / 2, headings[name], va="center")
            for i, label in enumerate(labels):
                left, below = margin - _MARGIN / 2, top + _LINE + side + _MARGIN / 2
                axes.text(left, top + _LINE + _CELL * (i + 0.5), label, ha="right", va="center")
                axes.text(margin + _CELL * (i + 0.5), below, label, ha="center", va="top", rotation=90)
            _draw_cells(axes, matrix, (margin, top + _LINE), (_CELL, _CELL))
            top += block
        if per_label:
            axes.text(margin, top + _LINE / 2, label_heading, va="center")
        cell = (panel_width - _MARGIN / 2) / 2, (panel_height - _MARGIN / 2) / 2
        for j, (name, label_matrices) in enumerate(per_label.items()):
            left = margin + panel_width * j
            axes.text(left, top + 1.5 * _LINE, name, va="center")
            for i, (label, matrix) in enumerate(zip(labels, label_matrices, strict=True)):
                upper = top + 2 * _LINE + panel_height * i
                if j == 0:
                    axes.text(margin - _MARGIN / 2, upper + panel_height / 2, label, ha="right", va="center")
                _draw_cells(axes, matrix, (left, upper), cell)
        _save(figure, path)


def _draw_cells(
    axes: Axes, matrix: NDArray[np.integer], corner: tuple[float, float], cell: tuple[float, float]
) -> None:
    """Draw counts as shaded cells of size (width, height), from the upper left corner (left, top)."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    (left, top), (width, height) = corner, cell
    n_rows, n_columns = matrix.shape
    axes.pcolormesh(
        left + width * np.arange(n_columns + 1), top + height * np.arange(n_rows + 1), shares,
        cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.5,
    )  # fmt: skip
    for (i, j), count in np.ndenumerate(matrix):
        color = "white" if shares[i, j] > 0.5 else "black"
        center = (left + width * (j + 0.5), top + height * (i + 0.5))
        axes.text(*center, str(count), ha="center", va="center", fontsize=8, color=color)


def _save(figure: Figure, path: Path) -> None:
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
