"""The approaches side by side, as SVG."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stages.core.charts import COLOURS, chart_style
from stages.core.outputs import file_aside

SHOWN = {
    "minority_recall": "recall of the rarest",
    "majority_recall": "recall of the commonest",
    "accuracy": "accuracy",
}


def approaches_chart(table: pd.DataFrame, path: Path) -> None:
    """Draw for each approach how much of the rarest and the commonest label it finds, and its accuracy overall.

    Parameters
    ----------
    table : pandas.DataFrame
        ``approach`` and the measures of `SHOWN`, in [0, 1]; one that is not a number has no bar.
    path : Path
        The .svg to write.
    """
    height = 0.8 / len(SHOWN)
    with chart_style():
        figure = Figure(figsize=(8, 1.4 + 0.6 * len(table)), layout="constrained")
        axes = figure.subplots()
        for i, (measure, name) in enumerate(SHOWN.items()):
            at = np.arange(len(table)) + (i - (len(SHOWN) - 1) / 2) * height
            bars = axes.barh(at, table[measure], height, color=COLOURS[i], label=name)
            known = ["" if pd.isna(value) else f"{value:.3f}" for value in table[measure]]
            axes.bar_label(bars, known, padding=3, fontsize=8)
        axes.set_yticks(np.arange(len(table)), table["approach"])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.08)
        axes.set_title("On the test images", loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        with file_aside(path) as aside:
            figure.savefig(aside, format="svg", metadata={"Date": None})
