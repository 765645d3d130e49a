"""Thumbnails as text for an HTML page."""

import base64
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from counterweight.images import codec

# Pixels along the longer side: enough to see a change, and hundreds of thumbnails stay small.
SIDE = 112
_QUALITY = 80


def thumbnail(pixels: NDArray[np.uint8]) -> str:
    """Return a small JPEG as a ``data:`` URL.

    Parameters
    ----------
    pixels : array of uint8, shape (height, width, 3)
        RGB.
    """
    height, width = pixels.shape[:2]
    scale = min(SIDE / max(height, width), 1)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def thumbnails(files: Sequence[Path], checksums: Sequence[str]) -> list[str]:
    """Return the thumbnails of image files, which must have these ``checksums``."""
    return [thumbnail(codec.read(file, checksum)) for file, checksum in zip(files, checksums, strict=True)]


def mean_difference(copy: NDArray[np.uint8], source: NDArray[np.uint8]) -> float:
    """Return the mean absolute difference between the pixels of a copy and its source, in gray levels of 255."""
    height, width = source.shape[:2]
    return float(np.abs(cv2.resize(copy, (width, height)).astype(np.int16) - source.astype(np.int16)).mean())
