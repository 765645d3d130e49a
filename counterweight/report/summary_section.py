"""The page's first section: the verdict and the main numbers; the same for the log; and warnings about trainings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from counterweight.metrics.training_history import unfinished
from counterweight.report.arm_results import Arm

# By how much macro AUC of a linear classifier on the features may exceed that of a network, which has more images.
_MAX_AUC_BEHIND = 0.05


def summary_section(
    verdict: Mapping[str, Any],
    arms: pd.DataFrame,
    images: Sequence[int],
    mean_ir: Sequence[float],
    sizes: Sequence[Sequence[int]],
    probed: Mapping[str, Any],
) -> dict[str, Any]:
    """Show the verdict and the main numbers; where no arm is better than chance, nothing but this, and the cause.

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
    probed : mapping
        The result of `counterweight.evidence.probe.summary`.
    """
    clusters = [f"{min(each)} to {max(each)}" if min(each) < max(each) else f"{max(each)} each" for each in sizes]
    judge = _judge_warning(arms, probed["nothing"]["macro_auc"])
    if verdict["chance"]:
        probe_says = probed["no_signal"] or "A linear classifier on the features is better than chance before training."
        sentences, command = [f"{probe_says} {judge}".strip()], ""
    else:
        evidence = f"{verdict['power']} {verdict['caveat']}".strip()
        sentences = [
            *verdict["others"],
            verdict["rare"],
            evidence,
            verdict["deploy_sentence"],
            *([judge] if judge else []),
        ]
        command = f"python -m stages.predict --model {verdict['model']} --images FOLDER --out labels.xlsx"
    return {
        "chance": bool(verdict["chance"]),
        "verdict": verdict["chance"] or verdict["copies"],
        "sentences": sentences,
        "command": command,
        "facts": [
            {"name": "Train images", "value": f"{images[0]:,} → {images[1]:,}", "note": "in the arm copies"},
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


def closing_lines(
    verdict: Mapping[str, Any], probed: Mapping[str, Any], duplicates: Mapping[str, int], page: Path
) -> list[str]:
    """Say in five lines what was found, and where to look; the verdict is the last.

    Parameters
    ----------
    verdict, probed : mapping
        As in `summary_section`.
    duplicates : mapping of str to int
        What ``ingest`` counted, by name.
    page : Path
        The page.
    """
    counted = [
        (duplicates["leaks"] + duplicates["group_leaks"], "images that are in a later split, too, or whose group is"),
        (duplicates["other_labels"], "images that look like another one and have other labels"),
        (probed["label_issues"], "labels to check"),
    ]
    facts = [f"{text}: {count:,}" for count, text in counted if count]
    if not probed["labels_checked"]:
        facts.append("the features show no label well enough to check it")
    use = "no arm is better than chance" if verdict["chance"] else f"{verdict['deploy']}: {verdict['model']}"
    return [
        f"the data: {'; '.join(facts) or 'no image is in two splits, and no label stands out as wrong'}",
        f"before training: {probed['no_signal'] or probed['sentence']}",
        f"the model to use: {use}",
        f"all of it, pictured: {page}",
        str(verdict["chance"] or verdict["copies"]).rstrip("."),
    ]


def _judge_warning(arms: pd.DataFrame, probe_auc: float | None) -> str:
    """Say that the networks are weaker than a linear classifier on the features; empty if the best is not."""
    best = arms["macro_auc"].max()
    if probe_auc is None or not probe_auc - best > _MAX_AUC_BEHIND:
        return ""
    return (
        f"The networks are weak judges: their macro AUC is at most {best:.2f} on the test images, and that of a linear "
        f"classifier on the features is {probe_auc:.2f} on held-out train images. Start them from such weights too "
        "(train.weights, train.freeze)."
    )


def convergence_warnings(arms: Mapping[str, Arm], monitor: str, max_epochs: int) -> list[str]:
    """Say which trainings were still getting better when they ended.

    ``monitor`` and ``max_epochs`` are ``train.monitor`` and ``train.epochs``.
    """
    reasons = {
        (name, seed): unfinished(_epochs(history), monitor, max_epochs)
        for name, arm in arms.items()
        for seed, history in arm.histories.items()
    }
    return [f"The training of {name} with seed {seed} {reason}." for (name, seed), reason in reasons.items() if reason]


def _epochs(history: pd.DataFrame) -> list[dict[str, float]]:
    return [{str(name): float(value) for name, value in row.items()} for row in history.to_dict("records")]
