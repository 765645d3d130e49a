"""Charts as SVG, the same to the byte for the same values."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from counterweight.base.outputs import file_aside

COLOURS = ("#7a869a", "#d1662f", "#2f7dd1", "#3c9a5f")
# Of a chart of counts, in inches: a cell of classes, a label's four cells, a line of text, a letter, a margin.
_CELL, _PANEL, _LINE, _LETTER, _MARGIN = 0.42, (1.2, 0.6), 0.28, 0.09, 0.2


def _style() -> AbstractContextManager[None]:
    """Text stays text, a dollar sign begins no formula, and the same chart has the same bytes."""
    return mpl.rc_context(
        {"svg.hashsalt": "counterweight", "svg.fonttype": "none", "text.parse_math": False, "font.size": 10}
    )


def bar_chart(names: Sequence[str], bars: Mapping[str, Sequence[float]], title: str, path: Path) -> None:
    """Draw numbers from 0 to 1 as horizontal bars, in groups one below the other.

    Parameters
    ----------
    names : sequence of str
        What each group is of, from above.
    bars : mapping of str to sequence of float
        For each entry of the legend a number a group; one that is not a number has no bar.
    title : str
        What the chart shows.
    path : Path
        The .svg to write.
    """
    height = 0.8 / len(bars)
    with _style():
        figure = Figure(figsize=(8, 1.2 + (0.1 + 0.18 * len(bars)) * len(names)), layout="constrained")
        axes = figure.subplots()
        for i, (name, values) in enumerate(bars.items()):
            at = np.arange(len(names)) + (i - (len(bars) - 1) / 2) * height
            drawn = axes.barh(at, values, height, color=COLOURS[i % len(COLOURS)], label=name)
            said = ["" if np.isnan(value) else f"{value:.3f}" for value in values]
            axes.bar_label(drawn, said, padding=3, fontsize=8)
        axes.set_yticks(np.arange(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(0, 1.1)
        axes.set_title(title, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        with file_aside(path) as aside:
            figure.savefig(aside, format="svg", metadata={"Date": None})


def comparison_chart(tables: Mapping[str, pd.DataFrame], measure: str, title: str, path: Path) -> None:
    """Draw a measure of each label as bars, the arms side by side, the commonest label first.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        For each arm what `classification.label_measures` returned.
    measure : str
        The column to draw.
    title : str
        What the chart shows; the train images of each label are named after it.
    path : Path
        The .svg to write.
    """
    order = next(iter(tables.values())).sort_values(["train", "label"], ascending=[False, True])["label"]
    rows = {arm: table.set_index("label").loc[order] for arm, table in tables.items()}
    counts = zip(*(table["train"] for table in rows.values()), strict=True)
    names = [f"{label}\n{' → '.join(map(str, count))}" for label, count in zip(order, counts, strict=True)]
    bars = {f"{arm}, mean {table[measure].mean():.3f}": table[measure].tolist() for arm, table in rows.items()}
    bar_chart(names, bars, f"{title}\nbelow each label its train images: {' → '.join(tables)}", path)


def confusion_chart(labels: Sequence[str], matrices: Mapping[str, NDArray[np.integer]], title: str, path: Path) -> None:
    """Draw what was taken for what.

    The shade of a cell is its share of its row, the images that have, or lack, the same label.

    Parameters
    ----------
    labels : sequence of str
        Their names.
    matrices : mapping of str to array of int
        What `counterweight.metrics.confusion.confusions` returned. Matrices of classes stand one below the other; of
        the decisions about single labels a column each, and a row a label.
    title : str
        What the chart shows.
    path : Path
        The .svg to write.
    """
    of_classes = {name: matrix for name, matrix in matrices.items() if matrix.ndim == 2}
    of_labels = {name: matrix for name, matrix in matrices.items() if matrix.ndim == 3}
    margin = _MARGIN + _LETTER * max(map(len, labels))
    side, (panel_width, panel_height) = _CELL * len(labels), _PANEL
    headings = {name: f"{name}: rows actual, columns predicted" for name in of_classes}
    below = "of each label: without and with it, not given and given it"
    texts = [_LETTER * len(text) for text in (title, *headings.values(), below)]
    width = margin + max(side if of_classes else 0, panel_width * len(of_labels), *texts) + _MARGIN
    block = side + margin + 2 * _LINE
    height = 2 * _LINE + block * len(of_classes) + (panel_height * len(labels) + 3 * _LINE if of_labels else 0)
    with _style():
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        axes.text(_MARGIN, _LINE, title, fontsize=12, va="center")
        top = 2 * _LINE
        for name, matrix in of_classes.items():
            axes.text(margin, top + _LINE / 2, headings[name], va="center")
            for i, label in enumerate(labels):
                beside, under = margin - _MARGIN / 2, top + _LINE + side + _MARGIN / 2
                axes.text(beside, top + _LINE + _CELL * (i + 0.5), label, ha="right", va="center")
                axes.text(margin + _CELL * (i + 0.5), under, label, ha="center", va="top", rotation=90)
            _cells(axes, matrix, margin, top + _LINE, _CELL, _CELL)
            top += block
        if of_labels:
            axes.text(margin, top + _LINE / 2, below, va="center")
        for j, (name, of_label) in enumerate(of_labels.items()):
            left = margin + panel_width * j
            axes.text(left, top + 1.5 * _LINE, name, va="center")
            for i, (label, matrix) in enumerate(zip(labels, of_label, strict=True)):
                upper = top + 2 * _LINE + panel_height * i
                if j == 0:
                    axes.text(margin - _MARGIN / 2, upper + panel_height / 2, label, ha="right", va="center")
                gap = _MARGIN / 2
                _cells(axes, matrix, left, upper, (panel_width - gap) / 2, (panel_height - gap) / 2)
        with file_aside(path) as aside:
            figure.savefig(aside, format="svg", metadata={"Date": None})


def _cells(axes: Axes, matrix: NDArray[np.integer], left: float, top: float, width: float, height: float) -> None:
    """Draw counts as shaded cells, each row's shades adding up to one."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    n_rows, n_columns = matrix.shape
    axes.pcolormesh(
        left + width * np.arange(n_columns + 1), top + height * np.arange(n_rows + 1), shares,
        cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.5,
    )  # fmt: skip
    for (i, j), count in np.ndenumerate(matrix):
        colour = "white" if shares[i, j] > 0.5 else "black"
        at = (left + width * (j + 0.5), top + height * (i + 0.5))
        axes.text(*at, str(count), ha="center", va="center", fontsize=8, color=colour)
