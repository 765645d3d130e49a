"""Perceptual hash of an image, nearly equal for nearly equal images."""

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

BITS = 64

# Side in pixels that imagehash resizes to. Area averaging by OpenCV takes a fifth of its time.
_SIDE = 32

# In gray levels of 255: images with less contrast have nothing to hash, and would all look equal.
_MIN_STD = 2.0


def perceptual_hashes(pixels: NDArray[np.uint8]) -> tuple[int | None, int | None]:
    """Return the perceptual hashes of an RGB image and of its mirror image."""
    return perceptual_hash(pixels), perceptual_hash(np.ascontiguousarray(pixels[:, ::-1]))


def perceptual_hash(pixels: NDArray[np.uint8]) -> int | None:
    """Return the 64-bit perceptual hash (pHash) of an RGB image, or None if the image is nearly uniform.

    Parameters
    ----------
    pixels : array of uint8, shape (h, w, 3)
        RGB.
    """
    height, width = pixels.shape[:2]
    size = (min(width, _SIDE), min(height, _SIDE))
    gray = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    if float(np.std(gray)) < _MIN_STD:
        return None
    bits = imagehash.phash(Image.fromarray(gray)).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
