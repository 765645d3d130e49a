"""Charts as SVG, the same to the byte for the same values."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stages.core.outputs import file_aside

COLOURS = ("#7a869a", "#d1662f", "#2f7dd1", "#3c9a5f")


def comparison_chart(tables: Mapping[str, pd.DataFrame], measure: str, title: str, path: Path) -> None:
    """Draw a measure of each label as bars, the arms side by side, the commonest label first.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        For each arm what `evaluation.label_measures` returned.
    measure : str
        The column to draw.
    title : str
        What the chart shows.
    path : Path
        The .svg to write.
    """
    order = next(iter(tables.values())).sort_values(["train", "label"], ascending=[False, True])["label"]
    with mpl.rc_context(
        {"svg.hashsalt": "counterweight", "svg.fonttype": "none", "text.parse_math": False, "font.size": 10}
    ):
        figure = Figure(figsize=(max(6.0, 0.7 * len(order) + 2), 4.2), layout="constrained")
        axes = figure.subplots()
        width = 0.8 / len(tables)
        for i, (arm, table) in enumerate(tables.items()):
            rows = table.set_index("label").loc[order]
            at = np.arange(len(order)) + (i - (len(tables) - 1) / 2) * width
            mean = rows[measure].mean()
            axes.bar(at, rows[measure], width, color=COLOURS[i % len(COLOURS)], label=f"{arm}, mean {mean:.3f}")
        counts = pd.DataFrame({arm: table.set_index("label").loc[order, "train"] for arm, table in tables.items()})
        names = [f"{label}\n" + " → ".join(str(count) for count in counts.loc[label]) for label in order]
        axes.set_xticks(np.arange(len(order)), names)
        axes.set_xlabel(f"label, and its train images: {' → '.join(tables)}")
        axes.set_ylim(0, 1)
        axes.set_title(title, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        with file_aside(path) as aside:
            figure.savefig(aside, format="svg", metadata={"Date": None})
