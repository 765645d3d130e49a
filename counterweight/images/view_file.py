"""What a network sees of many images, decoded once into one file that epochs, arms and experiments share."""

import logging
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from operator import attrgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterweight.base.limits import human_bytes
from counterweight.images import codec
from counterweight.images.geometry import network_view
from counterweight.runtime.cache import Cache, cache_key
from counterweight.runtime.file_links import file_checksum
from counterweight.runtime.fingerprint import fingerprint
from counterweight.runtime.parallel import parallel_map

log = logging.getLogger(__name__)

# Part of the cache that one file may take.
_MAX_SHARE = 0.5


@dataclass(frozen=True)
class _Job:
    path: Path
    checksum: str
    offset: int


@dataclass(frozen=True)
class _WriteView:
    """Decode an image, and write what a network sees of it into a file, at its place."""

    file: Path
    crop: str
    size: tuple[int, int]

    def __call__(self, job: _Job) -> None:
        """Write one view."""
        pixels = network_view(codec.read(job.path, job.checksum), self.crop, self.size)
        with self.file.open("r+b") as file:
            file.seek(job.offset)
            file.write(pixels.tobytes())


def open_views(
    paths: Sequence[Path], checksums: Sequence[str], *, crop: str, size: tuple[int, int], cache: Cache, workers: int
) -> NDArray[np.uint8] | None:
    """Map what a network sees of images from disk, after decoding them unless the cache has them.

    Parameters
    ----------
    paths, checksums : sequences of Path and str
        The images and the checksums that they must have.
    crop, size : str, (int, int)
        As in `counterweight.images.geometry.network_view`.
    cache : Cache
        Where the file is kept. Its content is verified at each use.
    workers : int
        Number of processes that decode.

    Returns
    -------
    array of uint8, shape (n_images, height, width, 3), or None
        None if there are no images, or the file would take more than half of the cache, or cannot be written, as on a
        full disk. The images are then to be decoded whenever they are seen.

    Raises
    ------
    InputError
        If an image cannot be read or has another checksum.
    """
    if not paths:
        return None
    shape = (len(paths), size[1], size[0], 3)
    n_bytes = int(np.prod(shape))
    if n_bytes > cache.limit * _MAX_SHARE:
        log.info("decoded images would take %s of the cache, so each epoch decodes them again", human_bytes(n_bytes))
        return None
    content = codec.checksum("\n".join(checksums).encode())
    key = cache_key(fingerprint([__name__], codec.PACKAGES), content, {"crop": crop, "size": size})
    entry = cache.find([key]).get(key)
    if entry is None or not cache.is_whole(entry):
        # Another process may write the same views, so each has a file of its own.
        scratch = cache.scratch_path("views", secrets.token_hex(32))
        if scratch is None or not _reserve(scratch, n_bytes):
            return None
        offsets = count(0, n_bytes // len(paths))
        jobs = [_Job(*job) for job in zip(paths, checksums, offsets, strict=False)]
        try:
            write = _WriteView(scratch, crop, size)
            parallel_map(write, jobs, workers=workers, what="images", name=attrgetter("path"))
            cache.put(key, scratch, file_checksum(scratch))
        except OSError as error:  # The disk is full, or another process has emptied the cache.
            log.info("decoded images cannot be kept (%s), so each epoch decodes them again", error)
            return None
        finally:
            with suppress(OSError):
                scratch.unlink()
        entry = cache.find([key]).get(key)
    return None if entry is None else np.memmap(entry.path, np.uint8, "r", shape=shape)


def _reserve(file: Path, n_bytes: int) -> bool:
    """Create a file of that size, and return whether the disk has space for it."""
    try:
        file.parent.mkdir(exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            reserve = getattr(os, "posix_fallocate", None)  # macOS has none.
            reserve(descriptor, 0, n_bytes) if reserve else os.ftruncate(descriptor, n_bytes)
        finally:
            os.close(descriptor)
    except OSError:
        with suppress(OSError):
            file.unlink()
        return False
    return True
