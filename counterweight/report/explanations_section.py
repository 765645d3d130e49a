"""The page's section about why networks give labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from counterweight.explanation.thumbnails import thumbnail
from counterweight.images import codec
from counterweight.report.arm_results import NETWORKS

# Pixels along the longer side of a picture.
_SIDE = 160
_METHODS = {
    "gradcam": "the last feature maps, weighted by their gradients (Grad-CAM)",
    "occlusion": "how much squares that are painted over change the score (occlusion)",
    "lime": "a linear model of what many superpixels together change (LIME)",
}


def explanations_section(table: pd.DataFrame, summary: Mapping[str, Any], pictures: Path) -> dict[str, Any]:
    """Show what speaks for labels in the eyes of the networks without and with copies.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per image: ``picture``, its number; ``image_id``, ``reason``, ``label``; ``labeled``, 1, 0 or -1 if
        unknown; and ``probability_ARM`` and ``predicted_ARM`` of both arms.
    summary : mapping
        ``method``, and ``border_share``, the result of `counterweight.explanation.overlay.border_shares`.
    pictures : Path
        The pictures, see `counterweight.explanation.overlay.write_pictures`.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_dict("records"):
        names = (f"{row['picture']}.jpg", f"{row['picture']}-nothing.jpg", f"{row['picture']}-copies.jpg")
        images = [thumbnail(codec.read(pictures / name), _SIDE) for name in names]
        groups.setdefault(_title(row["reason"]), []).append(
            {"images": images, "name": row["image_id"], "label": row["label"], "caption": _caption(row)}
        )
    return {
        "method": _METHODS.get(summary["method"], ""),
        "has_blue": summary["method"] != "gradcam",
        "groups": list(groups.items()),
        "border": _border_sentence(summary["border_share"]),
    }


def _title(reason: str) -> str:
    arm = reason.removeprefix("only right by ")
    return f"Right {NETWORKS[arm]} alone" if arm != reason else reason.capitalize()


def _caption(row: Mapping[Any, Any]) -> str:
    labeled = {1: "labeled", 0: "not labeled", -1: "unknown whether labeled"}[row["labeled"]]
    predictions = (
        f"{network} {'yes' if row[f'predicted_{arm}'] else 'no'} ({row[f'probability_{arm}']:.0%})"
        for arm, network in NETWORKS.items()
    )
    return f"{row['image_id']}: {labeled} {row['label']}; {', '.join(predictions)}"


def _border_sentence(shares: Mapping[str, float]) -> str:
    """Say how much of the evidence lies at the edge, where labels seldom are."""
    if not shares:
        return ""
    without, with_copies, area = (shares[name] for name in ("nothing", "copies", "area"))
    return (
        f"In these pictures, {without:.0%} of what speaks for the labels lies within a tenth of the edge without "
        f"copies, and {with_copies:.0%} with them; that border is {area:.0%} of the picture. Look whether what lies "
        "there is what the label names."
    )
