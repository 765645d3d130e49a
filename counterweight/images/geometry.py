"""Resize and crop images."""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# As torchvision classifiers usually see photographs: Resize(400), CenterCrop(224).
_RESIZE_BEFORE_CROP = 400 / 224

# How many times as long as the size to fill an image may become.
_MAX_OVERLAP = 16

# Worker processes share the cores, so OpenCV's own threads would only compete. Also, a process forked while OpenCV has
# threads hangs when it sets another number of them.
cv2.setNumThreads(1)


@dataclass(frozen=True)
class TargetSize:
    """Size of resized images, in pixels.

    The mode ``stretch`` changes the aspect ratio; ``fit`` keeps the whole image and adds black bars; ``crop`` fills the
    size and trims both ends of the longer side equally.
    """

    width: int
    height: int
    mode: str


def jpeg_reduction(size: tuple[int, int], target: TargetSize) -> int:
    """Return the largest factor (8, 4, 2 or 1) to reduce an image by that needs no enlarging afterwards.

    ``size`` is the width and height of the image, and ``target`` the size that it will be resized to.

    Examples
    --------
    >>> jpeg_reduction((4000, 3000), TargetSize(400, 400, "stretch"))
    4
    >>> jpeg_reduction((4000, 3000), TargetSize(400, 400, "fit"))
    8
    """
    ratios = size[0] / target.width, size[1] / target.height
    ratio = max(ratios) if target.mode == "fit" else min(ratios)
    return next(factor for factor in (8, 4, 2, 1) if factor <= max(ratio, 1))


def resize(pixels: Pixels, target: TargetSize) -> Pixels:
    """Resize an image of uint8, shape (h, w, 3)."""
    h, w = pixels.shape[:2]
    width, height = target.width, target.height
    if target.mode == "stretch":
        return _scale(pixels, width, height)
    if target.mode == "fit":
        scale = min(width / w, height / h)
        inner = _scale(pixels, max(round(w * scale), 1), max(round(h * scale), 1))
        rest = height - inner.shape[0], width - inner.shape[1]
        return np.pad(inner, [(side // 2, side - side // 2) for side in rest] + [(0, 0)])
    return _center_crop(_fill(pixels, width, height), width, height)


def network_view(pixels: Pixels, crop: str, size: tuple[int, int]) -> Pixels:
    """Resize, and possibly crop, an image to a network's input size.

    Parameters
    ----------
    pixels : array of uint8, shape (h, w, 3)
        RGB.
    crop : str
        ``none`` stretches the whole image to ``size``; ``center`` resizes it to fill 400/224 of ``size``, keeping the
        aspect ratio, and crops the center. At 224 pixels, that is the usual Resize(400), CenterCrop(224).
    size : (int, int)
        Width and height of the result, in pixels.
    """
    width, height = size
    if crop == "none":
        return _scale(pixels, width, height)
    filled = round(width * _RESIZE_BEFORE_CROP), round(height * _RESIZE_BEFORE_CROP)
    return _center_crop(_fill(pixels, *filled), width, height)


def _scale(pixels: Pixels, width: int, height: int) -> Pixels:
    """Shrink by area averaging and enlarge by cubic interpolation, each side on its own."""
    h, w = pixels.shape[:2]
    scaled: Any = pixels
    if width < w or height < h:
        scaled = cv2.resize(scaled, (min(width, w), min(height, h)), interpolation=cv2.INTER_AREA)
    if width > w or height > h:
        scaled = cv2.resize(scaled, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(scaled, dtype=np.uint8)


def _fill(pixels: Pixels, width: int, height: int) -> Pixels:
    """Scale an image so that it fills a size, without what is far outside of it."""
    h, w = pixels.shape[:2]
    scale = max(width / w, height / h)
    # A line of pixels would become a huge image.
    if max(w * scale / width, h * scale / height) > _MAX_OVERLAP:
        pixels = _center_crop(pixels, *(min(side, math.ceil(2 * to / scale)) for side, to in ((w, width), (h, height))))
        h, w = pixels.shape[:2]
    return _scale(pixels, max(round(w * scale), width), max(round(h * scale), height))


def _center_crop(pixels: Pixels, width: int, height: int) -> Pixels:
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]
