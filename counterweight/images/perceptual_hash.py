"""Perceptual hash of an image, nearly equal for nearly equal images."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

BITS = 64

# Side in pixels of what is transformed. Area averaging by OpenCV takes a fifth of the time of ImageHash's resizing.
_SIDE = 32
# Side of the square of the lowest frequencies, one bit each.
_LOW = 8

# In gray levels of 255: images with less contrast have nothing to hash, and would all look equal.
_MIN_STD = 2.0


def perceptual_hashes(pixels: NDArray[np.uint8]) -> tuple[int | None, int | None]:
    """Return the perceptual hashes of an RGB image and of its mirror image."""
    return perceptual_hash(pixels), perceptual_hash(np.ascontiguousarray(pixels[:, ::-1]))


def perceptual_hash(pixels: NDArray[np.uint8]) -> int | None:
    """Return the 64-bit perceptual hash (pHash) of an RGB image, or None if the image is nearly uniform.

    A bit says whether a frequency of the brightness, by the discrete cosine transform, is above their median. The bits
    are those of ImageHash's ``phash``, which takes nearly twice as long.

    Parameters
    ----------
    pixels : array of uint8, shape (h, w, 3)
        RGB.
    """
    from scipy.fft import dctn  # It takes a tenth of a second that stages without hashes need not wait.

    height, width = pixels.shape[:2]
    size = (min(width, _SIDE), min(height, _SIDE))
    gray = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    if float(np.std(gray)) < _MIN_STD:
        return None
    if size != (_SIDE, _SIDE):
        gray = np.asarray(Image.fromarray(gray).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS))
    lowest = dctn(gray.astype(np.float64))[:_LOW, :_LOW].ravel()
    middle = np.sort(lowest)[BITS // 2 - 1 : BITS // 2 + 1]
    return int.from_bytes(np.packbits(lowest > middle.mean()).tobytes(), "big")
