"""Check in parallel that images can be decoded.

Worker processes import this module, so it imports neither pandas nor other packages that they do not use.
"""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath

from counterweight.base.errors import name_some
from counterweight.images.image_check import ImageCheck
from counterweight.images.sources import ImageSource
from counterweight.runtime.parallel import parallel_map

log = logging.getLogger(__name__)

# Bytes of a file name. File systems allow 255, and the names of copies are longer than their source's.
MAX_NAME_BYTES = 200


def validate_images(
    source: ImageSource, paths: Sequence[str], *, max_pixels: int, workers: int
) -> tuple[list[ImageCheck], dict[int, str]]:
    """Read every image to its last byte, and warn of odd ones.

    Parameters
    ----------
    source : FolderImages or ArrayImages
        The images.
    paths : sequence of str
        Name of each row's image in ``source``; empty names are skipped.
    max_pixels : int
        Most pixels per image.
    workers : int
        Number of processes.

    Returns
    -------
    checks : list of ImageCheck
        Result per row, without a checksum if the name is empty.
    problems : dict of int to str
        Problem of each unreadable image, by row from 0.
    """
    check = partial(_check, source=source, max_pixels=max_pixels)
    checks = parallel_map(check, paths, workers=workers, what="images")
    odd: dict[str, list[str]] = {}
    for path, result in zip(paths, checks, strict=True):
        if result.peculiarity:
            odd.setdefault(result.peculiarity, []).append(path)
    for peculiarity, names in odd.items():
        log.warning("%s images %s: %s", f"{len(names):,}", peculiarity, name_some(names))
    return checks, {i: check.problem for i, check in enumerate(checks) if check.problem}


def _check(path: str, source: ImageSource, max_pixels: int) -> ImageCheck:
    if not path:
        return ImageCheck("", None, None)
    length = len(PurePosixPath(path).name.encode())
    if length > MAX_NAME_BYTES:
        limit = f"more than the {MAX_NAME_BYTES} that leave room for the names of its copies"
        return ImageCheck("", None, f"{path} has a name of {length} bytes, {limit}")
    return source.check(path, max_pixels)
