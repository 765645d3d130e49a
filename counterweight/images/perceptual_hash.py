"""A number by which nearly the same pictures are known."""

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

BITS = 64

# Pixels a side that the library looks at. Brought to them here, by the mean, a picture takes a fifth of the time.
_SIDE = 32

# Grey levels (of 255): what varies less shows nothing that a hash could tell, and all such images would be equal.
_FLAT = 2.0


def perceptual_hash(pixels: NDArray[np.uint8]) -> int | None:
    """The perceptual hash of an image.

    Parameters
    ----------
    pixels : array of uint8, shape (h, w, 3)
        RGB.

    Returns
    -------
    int or None
        64 bits; None of an image that is nearly uniform.
    """
    height, width = pixels.shape[:2]
    size = (min(width, _SIDE), min(height, _SIDE))
    grey = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    if float(np.std(grey)) < _FLAT:
        return None
    bits = imagehash.phash(Image.fromarray(grey)).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
