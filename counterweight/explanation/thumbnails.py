"""Thumbnails as text for an HTML page."""

import base64
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from counterweight.images import codec

# Pixels along the longer side: enough to see a change, and hundreds of thumbnails stay small.
SIDE = 112
_QUALITY = 80


def thumbnail(pixels: NDArray[np.uint8], side: int = SIDE) -> str:
    """Return RGB pixels, shape (height, width, 3), as a ``data:`` URL of a JPEG of at most ``side`` pixels."""
    small = shrink(pixels, side)
    encoded = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return data_url(encoded.tobytes())


def shrink(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return RGB pixels, shape (height, width, 3), with at most ``side`` pixels along the longer side."""
    height, width = pixels.shape[:2]
    scale = min(side / max(height, width), 1)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def data_url(jpeg: bytes) -> str:
    """Return a JPEG file as a ``data:`` URL."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def thumbnails(rows: pd.DataFrame, folder: Path) -> list[str]:
    """Return the thumbnails of a manifest's rows, whose images are in a folder."""
    files = zip(rows["path"], rows["checksum"], strict=True)
    return [thumbnail(codec.read(folder / path, checksum)) for path, checksum in files]


def mean_difference(copy: NDArray[np.uint8], source: NDArray[np.uint8]) -> float:
    """Return the mean absolute difference between the pixels of a copy and its source, in gray levels of 255."""
    height, width = source.shape[:2]
    return float(np.abs(cv2.resize(copy, (width, height)).astype(np.int16) - source.astype(np.int16)).mean())
