"""What checking an image finds: whether it can be used, and what is odd about it."""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from counterweight.images.codec import FORMATS, drops_band

# Images of 16 bits are dark if no value reaches an eighth of the full range.
_DARK = 2**13


class ImageCheck(NamedTuple):
    """Result of checking one image."""

    checksum: str  # SHA-256; empty if the image cannot be read
    hash: int | None  # perceptual hash; None if the image is nearly uniform or cannot be read
    problem: str | None  # why the image cannot be used
    peculiarity: str | None = None  # what is odd about an image that can be used
    mirrored: int | None = None  # perceptual hash of the mirror image


def peculiarity(data: bytes) -> str | None:
    """Say what is odd about an image file that can be decoded, and what comes of it; None for most."""
    # Nearly all images are neither, and need not be opened a second time.
    is_deep_png = data[:4] == b"\x89PNG" and data[24:25] == b"\x10"
    if not is_deep_png and data[:2] not in (b"II", b"MM", b"P5"):
        return None
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if drops_band(image):
            return "have a fourth band that is not marked as transparency; it is dropped"
        if image.mode.startswith("I") and int(np.asarray(image).max()) < _DARK:
            return f"have 16 bits, but no value above {_DARK - 1:,} of 65,535, and come out dark; multiply their values"
    return None
