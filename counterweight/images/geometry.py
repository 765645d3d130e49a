"""Images brought to a size, and what a network sees of them."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# How a torchvision classifier looks at a photograph: the shorter side to 400, then the central 224.
_CENTRE = 400 / 224

# The processes share the cores; OpenCV's own threads in each would only get in each other's way. And a process that is
# forked while OpenCV has threads waits for these forever, if it asks for another number of them.
cv2.setNumThreads(1)


@dataclass(frozen=True)
class Wanted:
    """To what images are brought.

    Attributes
    ----------
    width, height : int
        In pixels.
    mode : str
        ``stretch`` changes the shape; ``fit`` keeps all of the image and adds black bars; ``crop`` fills the size and
        cuts the longer side evenly.
    """

    width: int
    height: int
    mode: str


def reduction(size: tuple[int, int], wanted: Wanted) -> int:
    """By how much an image may be reduced before it is resized, so that nothing is enlarged afterwards.

    Parameters
    ----------
    size : (int, int)
        Width and height of the image.
    wanted : Wanted
        To what it will be resized.

    Returns
    -------
    int
        8, 4, 2 or 1.

    Examples
    --------
    >>> reduction((4000, 3000), Wanted(400, 400, "stretch")), reduction((4000, 3000), Wanted(400, 400, "fit"))
    (4, 8)
    """
    ratios = size[0] / wanted.width, size[1] / wanted.height
    spare = max(ratios) if wanted.mode == "fit" else min(ratios)
    return next(factor for factor in (8, 4, 2, 1) if factor <= max(spare, 1))


def resize(pixels: Pixels, wanted: Wanted) -> Pixels:
    """Bring an image of uint8, shape (h, w, 3), to one size."""
    h, w = pixels.shape[:2]
    width, height, mode = wanted.width, wanted.height, wanted.mode
    if mode == "stretch":
        return _scaled(pixels, width, height)
    if mode == "fit":
        scale = min(width / w, height / h)
        inner = _scaled(pixels, max(round(w * scale), 1), max(round(h * scale), 1))
        canvas = np.zeros((height, width, 3), np.uint8)
        top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
        canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        return canvas
    scale = max(width / w, height / h)
    return _centre(_scaled(pixels, max(round(w * scale), width), max(round(h * scale), height)), width, height)


def view(pixels: Pixels, how: str, size: tuple[int, int]) -> Pixels:
    """What a network sees of an image.

    Parameters
    ----------
    pixels : array of uint8, shape (h, w, 3)
        RGB.
    how : str
        ``whole``: everything, resized. ``centre``: the centre after the image was resized, its shape kept, to fill
        400/224 of ``size``, so that 224 gives the usual Resize(400), CenterCrop(224).
    size : (int, int)
        Width and height of the outcome, in pixels.
    """
    width, height = size
    if how == "whole":
        return _scaled(pixels, width, height)
    h, w = pixels.shape[:2]
    scale = max(round(width * _CENTRE) / w, round(height * _CENTRE) / h)
    return _centre(_scaled(pixels, round(w * scale), round(h * scale)), width, height)


def _scaled(pixels: Pixels, width: int, height: int) -> Pixels:
    """Shrink by the mean of the pixels that fall together, enlarge by cubic interpolation; each side on its own."""
    h, w = pixels.shape[:2]
    scaled: Any = pixels
    if width < w or height < h:
        scaled = cv2.resize(scaled, (min(width, w), min(height, h)), interpolation=cv2.INTER_AREA)
    if width > w or height > h:
        scaled = cv2.resize(scaled, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(scaled, dtype=np.uint8)


def _centre(pixels: Pixels, width: int, height: int) -> Pixels:
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]
