"""The page's section about why networks give labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from counterweight.explanation.thumbnails import thumbnail
from counterweight.images import codec

# Pixels along the longer side of a picture.
_SIDE = 160
# Area of the border, a tenth of the shorter side wide, of a square picture.
_BORDER_AREA = 1 - 0.8**2
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
        unknown; and ``score_ARM`` and ``answer_ARM`` of both arms.
    summary : mapping
        ``method``, and ``border_share`` by arm.
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
        "groups": list(groups.items()),
        "border": _border_sentence(summary["border_share"]),
    }


def _title(reason: str) -> str:
    arm = reason.removeprefix("only right by ")
    return f"Right by {arm} alone" if arm != reason else reason.capitalize()


def _caption(row: Mapping[Any, Any]) -> str:
    labeled = {1: "", 0: "not ", -1: "perhaps "}[row["labeled"]]
    said = (
        f"{arm} says {'yes' if row[f'answer_{arm}'] else 'no'} ({row[f'score_{arm}']:.2f})"
        for arm in ("nothing", "copies")
    )
    return f"{row['image_id']} is {labeled}labeled {row['label']}; {', '.join(said)}"


def _border_sentence(shares: Mapping[str, float | None]) -> str:
    """Say how much of the evidence lies at the edge, where neither should look more than at the rest."""
    without, with_copies = shares.get("nothing"), shares.get("copies")
    if without is None or with_copies is None:
        return ""
    return (
        f"{without:.0%} of what speaks for these labels lies within a tenth of the edge without copies, and "
        f"{with_copies:.0%} with them; that border is {_BORDER_AREA:.0%} of a square picture. A network that looks at "
        "the border much more with copies has learned what copies have there."
    )
