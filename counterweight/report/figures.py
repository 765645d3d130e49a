"""Charts for a page: SVG as text, in the page's own colours."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

# Readable on white and on near black (Okabe and Ito, Color Universal Design, 2008), in their order of use.
COLOURS = ("#8a94a3", "#d55e00", "#0086c9", "#009e73", "#cc79a7", "#b08a00", "#56b4e9", "#7d5bd0")
# Stands for the colour of the page's text, which a page knows and a chart does not.
_TEXT = "#010203"
# What a chart of many points shows of them.
_MOST = 1_500
# Bars of a chart, and rows of a table: thousands are nothing for the eye, and a large file.
BARS, ROWS = 60, 500
# Letters of a name beside a chart that leave room for the chart.
_LONGEST = 40


def bars(names: Sequence[str], values: Mapping[str, Sequence[float]], *, unit: str) -> str:
    """Horizontal bars in groups, one below the other.

    Parameters
    ----------
    names : sequence of str
        What each group is of, from above.
    values : mapping of str to sequence of float
        For each entry of the legend a number a group.
    unit : str
        What the numbers are.
    """
    height = 0.8 / len(values)

    def draw(axes: Axes) -> None:
        for i, (name, numbers) in enumerate(values.items()):
            at = np.arange(len(names)) + (i - (len(values) - 1) / 2) * height
            axes.barh(at, numbers, height, color=COLOURS[i % len(COLOURS)], label=name)
        axes.set_yticks(np.arange(len(names)), [_short(name) for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel(unit)
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(values))

    return _chart(draw, (6, 0.9 + (0.12 + 0.16 * len(values)) * len(names)))


def ends(order: Sequence[int], most: int) -> list[int]:
    """What a page has room for of many: half of it from either end.

    Examples
    --------
    >>> ends(range(10), 4), ends(range(3), 4)
    ([0, 1, 8, 9], [0, 1, 2])
    """
    half = most // 2
    return list(order) if len(order) <= most else [*order[:half], *order[-half:]]


def lines(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, x: str, y: str, marked: Sequence[float] = ()
) -> str:
    """Lines of one chart.

    Parameters
    ----------
    curves : mapping of str to (sequence of float, sequence of float)
        For each entry of the legend where its points are.
    x, y : str
        Names of the axes.
    marked : sequence of float
        Values of x to mark, in the colours of the curves.
    """

    def draw(axes: Axes) -> None:
        for i, (name, points) in enumerate(curves.items()):
            # The first is wider, so that it is seen where another lies on it.
            axes.plot(*points, color=COLOURS[i % len(COLOURS)], label=name, linewidth=1.4 if i else 3.0)
        for i, value in enumerate(marked):
            axes.axvline(value, color=COLOURS[i % len(COLOURS)], linewidth=1, linestyle=":")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.legend(frameon=False)

    return _chart(draw, (4.4, 3))


def plane(places: NDArray[np.floating], groups: Sequence[int]) -> str:
    """Images as dots.

    Parameters
    ----------
    places : array of float, shape (n_images, 2)
        Where each is; of many, some at even distances in their order are drawn.
    groups : sequence of int
        The cluster of each.
    """
    shown = np.unique(np.linspace(0, len(places) - 1, min(len(places), _MOST)).astype(int))
    drawn, of = places[shown], np.asarray(groups)[shown]

    def draw(axes: Axes) -> None:
        for group in range(min(len(COLOURS), int(of.max()) + 1)):
            first, second = drawn[of == group].T
            axes.scatter(first, second, s=9, color=COLOURS[group], alpha=0.75, linewidths=0, label=str(group))
        if (of >= len(COLOURS)).any():
            first, second = drawn[of >= len(COLOURS)].T
            axes.scatter(first, second, s=9, color=_TEXT, alpha=0.25, linewidths=0, label="others")
        axes.set_xlabel("first principal component")
        axes.set_ylabel("second")
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), markerscale=1.6, title="cluster")

    return _chart(draw, (6, 4))


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def sweep(counts: Sequence[int], inertia: Sequence[float], silhouette: Sequence[float], chosen: int) -> str:
    """How inertia and silhouette change with the number of clusters.

    Parameters
    ----------
    counts : sequence of int
        Numbers of clusters.
    inertia, silhouette : sequence of float
        Of each.
    chosen : int
        The number that was used, which is marked.
    """

    def draw(axes: Axes) -> None:
        axes.plot(counts, silhouette, color=COLOURS[1], marker="o", label="silhouette (higher is better)")
        axes.set_xlabel("clusters")
        axes.set_ylabel("silhouette")
        axes.set_xticks(list(counts))
        axes.axvline(chosen, color=_TEXT, linewidth=1, linestyle=":")
        other = axes.twinx()
        other.plot(counts, inertia, color=COLOURS[2], marker="s", label="inertia (look for the bend)")
        other.set_ylabel("inertia")
        other.spines[["top", "left"]].set_visible(False)
        handles = [*axes.get_legend_handles_labels()[0], *other.get_legend_handles_labels()[0]]
        axes.legend(handles=handles, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

    return _chart(draw, (6, 3))


def _chart(draw: Callable[[Axes], None], size: tuple[float, float]) -> str:
    """The SVG of one pair of axes."""
    style: Any = {
        "svg.hashsalt": "counterweight", "svg.fonttype": "none", "text.parse_math": False, "font.size": 10,
        "text.color": _TEXT, "axes.labelcolor": _TEXT, "axes.edgecolor": _TEXT, "xtick.color": _TEXT,
        "ytick.color": _TEXT, "font.family": "sans-serif",
    }  # fmt: skip
    with mpl.rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    svg = inlined(written.getvalue())
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="([\d.]+)pt"', r'\1 style="max-width: \2pt"', svg, count=1)
    return svg.replace(_TEXT, "currentColor")


def inlined(svg: str) -> str:
    """An SVG file as a part of a page: without its head, and names of parts that nothing refers to."""
    svg = svg[svg.index("<svg") :].strip()
    referred = set(re.findall(r'(?:url\(|href=")#([^)"]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in referred else "", svg)
    return re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
