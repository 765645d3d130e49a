"""Resize all images of a source, in parallel and cached."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path

from counterweight.base.errors import raise_problems
from counterweight.base.limits import BYTES_PER_PIXEL, check_space
from counterweight.base.timing import timed
from counterweight.images import codec
from counterweight.images.geometry import TargetSize, resize
from counterweight.images.sources import ImageSource
from counterweight.runtime.cache import Cache, Entry, cache_key
from counterweight.runtime.fingerprint import fingerprint
from counterweight.runtime.parallel import parallel_map


def resize_images(
    paths: Sequence[str],
    checksums: Sequence[str],
    *,
    source: ImageSource,
    folder: Path,
    size: TargetSize,
    format: str,
    cache: Cache,
    workers: int,
) -> tuple[list[str], list[str]]:
    """Read, resize and write images.

    Parameters
    ----------
    paths, checksums : sequences of str
        Names of the images in ``source``, and their checksums in the manifest.
    source : FolderImages or ArrayImages
        The images.
    folder, size, format : Path, TargetSize, str
        Where to write the images, in which size, and whether as ``jpg`` or ``png``.
    cache : Cache
        Cache of images that earlier runs have resized.
    workers : int
        Number of processes.

    Returns
    -------
    paths, checksums : lists of str
        Paths of the written files, relative to ``folder``, and their checksums.

    Raises
    ------
    InputError
        If an image differs from the manifest, or two images would be written to one file.
    """
    outputs = [codec.output_name(path, format) for path in paths]
    source_of: dict[str, str] = {}
    problems = [
        f"'{path}' and '{source_of[output]}' would both be written as '{output}'. Rename one of them."
        for path, output in zip(paths, outputs, strict=True)
        if source_of.setdefault(output, path) != path
    ]
    raise_problems(problems, source.location)
    code = fingerprint([__name__], codec.PACKAGES)
    options = {**asdict(size), "format": format}
    keys = [cache_key(code, checksum, options) for checksum in checksums]
    cached = cache.find(keys)
    pixels = size.width * size.height * sum(key not in cached for key in keys)
    check_space(folder, pixels * BYTES_PER_PIXEL[format], f"{len(paths)} resized images")
    jobs = [
        _Job(path, checksum, output, key, cached.get(key))
        for path, checksum, output, key in zip(paths, checksums, outputs, keys, strict=True)
    ]
    resize_one = partial(_resize_one, source=source, folder=folder, size=size, format=format, cache=cache)
    return outputs, parallel_map(resize_one, jobs, workers=workers, what="images", name=attrgetter("path"))


@dataclass(frozen=True)
class _Job:
    path: str
    checksum: str
    output: str
    key: str
    entry: Entry | None


def _resize_one(job: _Job, *, source: ImageSource, folder: Path, size: TargetSize, format: str, cache: Cache) -> str:
    """Resize one image and return the checksum of the written file."""
    target = folder / job.output
    if job.entry is not None and cache.restore(job.entry, target):
        return job.entry.checksum
    pixels = source.read(job.path, job.checksum, size)
    with timed("resize"):
        pixels = resize(pixels, size)
    checksum = codec.write(pixels, target, format)
    cache.put(job.key, target, checksum)
    return checksum
