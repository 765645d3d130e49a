"""One draw of a copy: its seed, and what may be wrong with what came of it."""

import hashlib

import cv2

from stages.core.scaling import Pixels


def copy_seed(seed: int, source_id: str, number: int, draw: int) -> int:
    """Seed of one draw of one copy, the same wherever and whenever it is made.

    Parameters
    ----------
    seed : int
        ``augment.seed``.
    source_id : str
        The image.
    number, draw : int
        1 for its first copy, and for the first draw of a copy.

    Returns
    -------
    int
        The first 8 bytes of BLAKE2b over the four values.
    """
    key = f"{seed}\0{source_id}\0{number}\0{draw}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")


def fault(copy: Pixels, source: Pixels, *, min_std: float, min_contrast: float) -> str | None:
    """Say what is wrong with a copy: ``uniform``, ``contrast``, or None.

    Parameters
    ----------
    copy, source : arrays of uint8, shape (height, width, 3)
        RGB.
    min_std : float
        Grey levels; a copy whose grey values have a lower standard deviation is nearly uniform.
    min_contrast : float
        Fraction of its source's standard deviation that a copy must keep.
    """
    std = _grey_std(copy)
    if std < min_std:
        return "uniform"
    return "contrast" if std < min_contrast * _grey_std(source) else None


def _grey_std(pixels: Pixels) -> float:
    return float(cv2.meanStdDev(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))[1][0, 0])
