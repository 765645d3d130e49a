"""The page's section about what the probe found before any training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from counterweight.base import manifest
from counterweight.explanation.thumbnails import data_url
from counterweight.report import figures

# The columns of the table.
METRICS = ("macro_f1", "balanced_f1", "rare_f1", "rare_recall", "map", "macro_auc")
# A label whose average precision still grows by this much from 60 to 100 % of the images would gain from more of them.
_MIN_GROWTH = 0.02
# An augmenter that leaves less than this of the labels that sources show is named, but no more than three are.
_MIN_AFFINITY, _MAX_NAMED_AUGMENTERS = 0.95, 3
# Labels that the sentence about more images names.
_MAX_NAMED_LABELS = 5


def remedies_section(
    remedies: pd.DataFrame,
    summary: Mapping[str, Any],
    curve: pd.DataFrame,
    table: pd.DataFrame,
) -> dict[str, Any]:
    """Show the remedies, what is recommended, and whether more images would help.

    Parameters
    ----------
    remedies, curve : pandas.DataFrame
        The tables of `counterweight.evidence.probe.ProbeResult`.
    summary : mapping
        The result of `counterweight.evidence.probe.summary`.
    table : pandas.DataFrame
        The manifest.
    """
    drawn = remedies[(remedies["kind"] == "remedy") & (remedies["remedy"] != "nothing")]
    return {
        "no_signal": summary["no_signal"] or "",
        "sentence": f"{summary['sentence']} {summary['if_balanced']}".rstrip(),
        "command": " ".join(["dvc exp run", *(f"-S {_override(*each)}" for each in summary["settings"].items())]),
        "chart": figures.intervals(drawn),
        "head": [
            "on held-out train images",
            "macro F1",
            "balanced F1",
            "F1 of the rarest third",
            "its recall",
            "mAP",
            "macro AUC",
        ],
        "rows": [[_name(row), *(f"{row[metric]:.3f}" for metric in METRICS)] for row in remedies.to_dict("records")],
        "growth": _growth_sentence(curve, len(manifest.label_names(table))),
    }


def affinity_section(affinity: pd.DataFrame, pictures: Path) -> dict[str, Any]:
    """Show how many of their labels copies still show.

    Parameters
    ----------
    affinity : pandas.DataFrame
        The result of `counterweight.evidence.fold_metrics.affinity_table`.
    pictures : Path
        Strips of copies, see `counterweight.evidence.copy_sample.extract_sample`.
    """
    made = affinity[affinity["copies"] > 0]
    files = [pictures / f"{number}.jpg" for number in range(len(affinity))]
    rows = [_affinity_row(row) for row in affinity.to_dict("records")]
    return {
        "sentences": [_affinity_sentence(name, rows) for name, rows in made.groupby("pipeline", sort=False)],
        "chart": figures.affinity_chart(made) if len(made) else "",
        "strips": [
            (data_url(file.read_bytes()), f"{row[0]}, affinity {row[-2]}")
            for row, file in zip(rows, files, strict=True)
            if file.is_file()
        ],
        "rows": rows,
    }


def _override(name: str, value: str | list[str]) -> str:
    """Format a param as a word for a shell."""
    return f"{name}={value}" if isinstance(value, str) else f"'{name}=[{','.join(value)}]'"


def _name(row: Mapping[Any, Any]) -> str:
    return f"chance: {row['remedy']}" if row["kind"] == "chance" else str(row["remedy"])


def _affinity_sentence(pipeline: object, rows: pd.DataFrame) -> str:
    """Say how many of their labels copies still show, and which augmenters hide most."""
    whole, alone = rows[rows["augmenter"] == ""].iloc[0], rows[rows["augmenter"] != ""]
    sentence = (
        f"Copies by {pipeline} still show {whole['seen_on_copies']:.0%} of the labels that they inherit; their sources "
        f"show {whole['seen_on_sources']:.0%}."
    )
    hiding = alone[alone["affinity"] < _MIN_AFFINITY].sort_values("affinity", kind="stable").head(_MAX_NAMED_AUGMENTERS)
    if not len(hiding):
        return sentence
    named = ", ".join(f"{row['augmenter'].partition('. ')[2]} {row['affinity']:.0%}" for _, row in hiding.iterrows())
    return f"{sentence} Of its augmenters alone, these leave least of what sources show: {named}."


def _affinity_row(row: Mapping[Any, Any]) -> list[str]:
    made_by = f"{row['pipeline']}: {row['augmenter']}" if row["augmenter"] else str(row["pipeline"])
    shares = (row["seen_on_sources"], row["seen_on_copies"], row["affinity"])
    return [
        made_by,
        *(f"{row[name]:,}" for name in ("copies", "labels")),
        *("" if pd.isna(share) else f"{share:.0%}" for share in shares),
        "" if pd.isna(row["diversity"]) else f"{row['diversity']:.2f}",
    ]


def _growth_sentence(curve: pd.DataFrame, n_labels: int) -> str:
    """Say which labels still gain from more train images."""
    by_fraction = {
        fraction: rows.set_index("label")["average_precision"] for fraction, rows in curve.groupby("fraction")
    }
    growth = (by_fraction[1.0] - by_fraction[0.6]).sort_values(ascending=False, kind="stable")
    grows = growth[growth >= _MIN_GROWTH]
    if not len(grows):
        return "From 60 to 100 % of the train images, no label gains: better features would help more than more images."
    named = ", ".join(f"{label} ({gain:+.2f})" for label, gain in grows.head(_MAX_NAMED_LABELS).items())
    more = f" and {len(grows) - _MAX_NAMED_LABELS} more" if len(grows) > _MAX_NAMED_LABELS else ""
    return (
        f"More images would help {len(grows)} of {n_labels} labels, whose average precision still grows from 60 to "
        f"100 % of the train images: {named}{more}."
    )
