"""SVG charts for the page, as text in the page's own color."""

import hashlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from counterweight.metrics.charts import COLORS, chart_style, draw_bars, draw_intervals

# Replaced by the page's text color, which depends on its color scheme.
_TEXT_COLOR = "#010203"
_MAX_POINTS = 1_500
# Bars of a chart and rows of a table; more would be unreadable and make the file large.
MAX_BARS, MAX_ROWS = 60, 500
# Longer names beside a chart are truncated, to leave room for the chart.
_MAX_NAME = 40


def bars(names: Sequence[str], values: Mapping[str, Sequence[float]], *, unit: str, queries: Sequence[str] = ()) -> str:
    """Draw grouped horizontal bars.

    Parameters
    ----------
    names, values
        As in `counterweight.metrics.charts.draw_bars`.
    unit : str
        Unit of the numbers.
    queries : sequence of str, optional
        What the page's script filters images by when a name is clicked.
    """

    def draw(axes: Axes) -> None:
        draw_bars(axes, [name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…" for name in names], values)
        for label, query in zip(axes.get_yticklabels(), queries, strict=False):
            label.set_url(f"#browse:{query}")
        axes.set_xlabel(unit)
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(values))

    return _chart(draw, (6, 0.9 + (0.12 + 0.16 * len(values)) * len(names)))


def intervals(table: pd.DataFrame) -> str:
    """Draw the changes by remedies; see `counterweight.metrics.charts.draw_intervals`."""
    return _chart(lambda axes: draw_intervals(axes, table), (7, 1 + 0.24 * len(table)))


def lines(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, x: str, y: str, marked: Sequence[float] = ()
) -> str:
    """Draw lines.

    Parameters
    ----------
    curves : mapping of str to (sequence of float, sequence of float)
        x and y of the points for each entry of the legend.
    x, y : str
        Names of the axes.
    marked : sequence of float
        Values of x to mark, in the colors of the curves.
    """

    def draw(axes: Axes) -> None:
        for i, (name, points) in enumerate(curves.items()):
            # The first line is wider, so that it stays visible below another.
            axes.plot(*points, color=COLORS[i % len(COLORS)], label=name, linewidth=1.4 if i else 3.0)
        for i, value in enumerate(marked):
            axes.axvline(value, color=COLORS[i % len(COLORS)], linewidth=1, linestyle=":")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.legend(frameon=False)

    return _chart(draw, (4.4, 3))


def scatter(
    positions: NDArray[np.floating],
    clusters: NDArray[np.integer],
    titles: Mapping[int, str],
    queries: Mapping[int, str] | None = None,
) -> str:
    """Draw images, or an evenly spaced sample of many, as dots in the plane of two principal components.

    Parameters
    ----------
    positions : array of float, shape (n_images, 2)
        Position of each image.
    clusters : array of int, shape (n_images,)
        Cluster of each image.
    titles : mapping of int to str
        What to call each cluster.
    queries : mapping of int to str, optional
        For some images, by row, what the page's script shows when their dot is clicked. They are in any sample.
    """
    linked = dict(queries or {})
    sample = np.linspace(0, len(positions) - 1, min(len(positions), _MAX_POINTS)).astype(int)
    sample = np.unique([*sample, *linked]).astype(int)
    groups = {number: np.flatnonzero(clusters[sample] == number) for number in titles if number < len(COLORS)}
    others = np.flatnonzero(clusters[sample] >= len(COLORS))

    def dots(axes: Axes, rows: NDArray[np.intp], color: str, alpha: float, name: str) -> None:
        first, second = positions[rows].T
        drawn = axes.scatter(first, second, s=9, color=color, alpha=alpha, linewidths=0, label=name)
        drawn.set_urls([f"#browse:{linked[row]}" if row in linked else None for row in rows.tolist()])

    def draw(axes: Axes) -> None:
        for cluster, rows in groups.items():
            dots(axes, sample[rows], COLORS[cluster], 0.75, titles[cluster])
        if len(others):
            dots(axes, sample[others], _TEXT_COLOR, 0.25, "others")
        axes.set_xlabel("first principal component")
        axes.set_ylabel("second")
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), markerscale=1.6, title="cluster")

    return _chart(draw, (6, 4))


def affinity_chart(table: pd.DataFrame) -> str:
    """Draw each pipeline as a large and each augmenter alone as a small dot; see `affinity_table` of the evidence."""
    drawn = table.dropna(subset=["affinity", "diversity"])

    def draw(axes: Axes) -> None:
        for (pipeline, rows), color in zip(drawn.groupby("pipeline", sort=False), cycle(COLORS), strict=False):
            whole = rows["augmenter"] == ""
            for part, size in ((rows[~whole], 22), (rows[whole], 90)):
                axes.scatter(part["affinity"], part["diversity"], s=size, color=color, alpha=0.75, linewidths=0)
            for row in rows.to_dict("records"):
                name = row["augmenter"].partition(".")[0] or f"  {str(pipeline)[:_MAX_NAME]}"
                axes.annotate(name, (row["affinity"], row["diversity"]), (4, 3), textcoords="offset points", size=7)
        axes.set_xlabel("affinity")
        axes.set_ylabel("diversity")

    return _chart(draw, (6, 4))


def sweep_chart(sweep: pd.DataFrame, chosen: int) -> str:
    """Draw ``inertia`` and ``silhouette`` against the number of ``clusters``, and mark the number in use."""

    def draw(axes: Axes) -> None:
        counts, inertia, silhouette = (sweep[name] for name in ("clusters", "inertia", "silhouette"))
        axes.plot(counts, silhouette, color=COLORS[1], marker="o", label="silhouette (higher is better)")
        axes.set_xlabel("clusters")
        axes.set_ylabel("silhouette")
        axes.set_xticks(counts)
        axes.axvline(chosen, color=_TEXT_COLOR, linewidth=1, linestyle=":")
        right = axes.twinx()
        right.plot(counts, inertia, color=COLORS[2], marker="s", label="inertia (look for the bend)")
        right.set_ylabel("inertia")
        right.spines[["top", "left"]].set_visible(False)
        handles = [*axes.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
        axes.legend(handles=handles, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

    return _chart(draw, (6, 3))


def inline_svg(svg: str) -> str:
    """Strip an SVG file for use in a page: no prolog, no metadata, and only ids that it needs, of no other chart."""
    svg = svg[svg.index("<svg") :].strip()
    ids, referenced = re.findall(r' id="([^"]*)"', svg), set(re.findall(r'(?:url\(|href=")#([^")]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in referenced else "", svg)
    mark = hashlib.sha256(svg.encode()).hexdigest()[:6]
    for name in sorted(referenced.intersection(ids)):
        svg = re.sub(rf'(id="|url\(#|href="#){re.escape(name)}(?=[")])', rf"\g<1>{name}-{mark}", svg)
    return re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)


def _chart(draw: Callable[[Axes], None], size: tuple[float, float]) -> str:
    with chart_style(_TEXT_COLOR):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    svg = inline_svg(stream.getvalue())
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="([\d.]+)pt"', r'\1 style="max-width: \2pt"', svg, count=1)
    # Links lead to places of the page itself. Those of dots have no text, and what they show can be found by filters.
    svg = svg.replace('<a xlink:href="#browse:image=', '<a tabindex="-1" aria-hidden="true" xlink:href="#browse:image=')
    return svg.replace(' target="_blank"', "").replace(_TEXT_COLOR, "currentColor")
