"""Pictures of explanations: the image in gray, colored where it speaks for or against a label."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from counterweight.images import codec
from counterweight.images.geometry import Pixels
from counterweight.metrics.charts import COLORS

# As in the charts, which color-blind readers can tell apart: orange for the label, blue against it.
_FOR, _AGAINST = (np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) for color in (COLORS[1], COLORS[2]))
# Of the color at the strongest place, the rest being the picture; and of the picture, how much of its contrast is left.
_STRENGTH, _CONTRAST = 0.75, 0.7
# Width of the border, as a fraction of the shorter side.
_BORDER = 0.1


def overlay(view: Pixels, evidence: NDArray[np.float32]) -> Pixels:
    """Color what speaks for a label orange, and what speaks against it blue.

    Parameters
    ----------
    view : array of uint8, shape (height, width, 3)
        What the network sees.
    evidence : array of float32, shape (height, width)
        Positive where the image speaks for the label. The strongest place gets the fullest color.
    """
    gray = cv2.cvtColor(view, cv2.COLOR_RGB2GRAY)[..., None] * _CONTRAST + 255 * (1 - _CONTRAST) / 2
    strongest = np.abs(evidence).max()
    strength = (np.abs(evidence) / strongest if strongest > 0 else np.zeros_like(evidence))[..., None] * _STRENGTH
    color = np.where(evidence[..., None] > 0, _FOR, _AGAINST)
    return np.asarray((gray * (1 - strength) + color * strength).round(), dtype=np.uint8)


def border_share(evidence: NDArray[np.float32]) -> float:
    """Return which part of the evidence for a label lies within a tenth of the edge; NaN if there is none.

    Examples
    --------
    >>> evidence = np.zeros((10, 10), np.float32)
    >>> evidence[0, 0], evidence[5, 5] = 1, 3
    >>> border_share(evidence)
    0.25
    """
    positive = np.maximum(evidence, 0).astype(np.float64)
    width = max(round(_BORDER * min(evidence.shape)), 1)
    total, inside = positive.sum(), positive[width:-width, width:-width].sum()
    return float(1 - inside / total) if total > 0 else float("nan")


def border_shares(maps: Mapping[str, NDArray[np.float32]]) -> dict[str, float]:
    """Return the mean of `border_share` for each arm, to three digits, and as ``area`` the border's part of a picture.

    The mean is over images with evidence by every arm; without any, the result is empty.
    """
    shares = {arm: np.array([border_share(evidence) for evidence in of_arm]) for arm, of_arm in maps.items()}
    usable = np.isfinite(list(shares.values())).all(axis=0) if shares else np.empty(0, dtype=np.bool_)
    if not usable.any():
        return {}
    means = {arm: round(float(of_arm[usable].mean()), 3) for arm, of_arm in shares.items()}
    even = np.ones(next(iter(maps.values())).shape[1:], dtype=np.float32)
    return means | {"area": round(border_share(even), 3)}


def write_pictures(views: NDArray[np.uint8], maps: NDArray[np.float32], arm: str, folder: Path) -> None:
    """Write for each image ``0.jpg``, what the networks see, and ``0-arm.jpg``, its `overlay`.

    Parameters
    ----------
    views : array of uint8, shape (n_images, height, width, 3)
    maps : array of float32, shape (n_images, height, width)
        The result of `counterweight.explanation.attribution.explain`.
    arm : str
        Whose networks were explained.
    folder : Path
        Where the pictures go.
    """
    for number, (view, evidence) in enumerate(zip(views, maps, strict=True)):
        codec.write(view, folder / f"{number}.jpg", "jpg")
        codec.write(overlay(view, evidence), folder / f"{number}-{arm}.jpg", "jpg")
