"""Small pictures for a page: images as text that HTML can hold."""

import base64
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from counterweight.images import codec

# Pixels along the longer side: enough to see a change, and a page of some hundred stays small.
SIDE = 112
_QUALITY = 80


def thumbnail(pixels: NDArray[np.uint8]) -> str:
    """An image as a ``data:`` address of a small JPEG.

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
    """Thumbnails of image files.

    Parameters
    ----------
    files, checksums : sequences of Path and str
        The images, and what the manifest says of them.
    """
    return [thumbnail(codec.read(file, known)) for file, known in zip(files, checksums, strict=True)]


def change(copy: NDArray[np.uint8], source: NDArray[np.uint8]) -> float:
    """How much a copy differs from its source: the mean difference of their pixels, in grey levels of 255."""
    height, width = source.shape[:2]
    return float(np.abs(cv2.resize(copy, (width, height)).astype(np.int16) - source.astype(np.int16)).mean())
