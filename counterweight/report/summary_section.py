"""The page's first section: the verdict and the main numbers; and warnings about trainings."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from counterweight.metrics.training_history import unfinished
from counterweight.report.results_section import Arm


def summary_section(
    verdict: Mapping[str, Any],
    arms: pd.DataFrame,
    images: Sequence[int],
    mean_ir: Sequence[float],
    sizes: Sequence[Sequence[int]],
) -> dict[str, Any]:
    """Show the verdict and the main numbers.

    Parameters
    ----------
    verdict : mapping
        The result of `counterweight.evidence.verdict.sentences`, with ``chance``.
    arms : pandas.DataFrame
        The result of `counterweight.evidence.comparison.arm_table`.
    images, mean_ir : (int, int), (float, float)
        Train images, and MeanIR, before and after.
    sizes : two sequences of int
        Sizes of the clusters before and after.
    """
    clusters = [f"{min(each)} to {max(each)}" if min(each) < max(each) else f"{max(each)} each" for each in sizes]
    return {
        "chance": verdict["chance"] or "",
        "verdict": verdict["copies"],
        "sentences": [
            *verdict["others"],
            verdict["rare"],
            f"{verdict['power']} {verdict['caveat']}".strip(),
            verdict["deploy_sentence"],
        ],
        "command": f"python -m stages.predict --model {verdict['model']} --images FOLDER --out labels.xlsx",
        "facts": [
            {"name": "Train images", "value": f"{images[0]:,} → {images[1]:,}", "note": "with the copies"},
            {"name": "Images per cluster", "value": " → ".join(clusters), "note": f"{len(sizes[0])} clusters"},
            {"name": "MeanIR", "value": f"{mean_ir[0]:.2f} → {mean_ir[1]:.2f}", "note": "1 is balanced"},
            *(
                {
                    "name": f"Test macro F1, {row['arm']}",
                    "value": f"{row['macro_f1']:.3f}",
                    "note": f"95 % CI {row['macro_f1_low']:.3f} to {row['macro_f1_high']:.3f}, all labels",
                }
                for row in arms.to_dict("records")
            ),
        ],
    }  # fmt: skip


def convergence_warnings(arms: Mapping[str, Arm], monitor: str, max_epochs: int) -> list[str]:
    """Say which trainings were still getting better when they ended.

    ``monitor`` and ``max_epochs`` are ``train.monitor`` and ``train.epochs``.
    """
    reasons = {
        (name, seed): unfinished(_epochs(history), monitor, max_epochs)
        for name, arm in arms.items()
        for seed, history in arm.histories.items()
    }
    return [
        f"The training of {name} with seed {seed} had not converged: {reason}."
        for (name, seed), reason in reasons.items()
        if reason
    ]


def _epochs(history: pd.DataFrame) -> list[dict[str, float]]:
    return [{str(name): float(value) for name, value in row.items()} for row in history.to_dict("records")]
