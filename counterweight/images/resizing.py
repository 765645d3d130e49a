"""Resize images."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path

from counterweight.base.errors import raise_problems
from counterweight.base.limits import BYTES_PER_PIXEL, check_space
from counterweight.base.timing import spent
from counterweight.images import codec
from counterweight.images.geometry import Wanted, resize
from counterweight.images.sources import Images
from counterweight.runtime.cache import Cache, Entry, key_of
from counterweight.runtime.fingerprint import fingerprint
from counterweight.runtime.parallel import for_each


def resize_all(
    paths: Sequence[str],
    checksums: Sequence[str],
    *,
    source: Images,
    target: Path,
    wanted: Wanted,
    format: str,
    cache: Cache,
    workers: int,
) -> tuple[list[str], list[str]]:
    """Read, resize and write images.

    Parameters
    ----------
    paths, checksums : sequences of str
        The images' names in ``source``, and what the manifest says of them.
    source : FolderImages or ArrayImages
        The images.
    target : Path
        Folder to write to.
    wanted : Wanted
        To what they are brought.
    format : str
        ``jpg`` or ``png``.
    cache : Cache
        What an earlier run has resized comes from there.
    workers : int
        Processes.

    Returns
    -------
    paths, checksums : lists of str
        Of the files written, relative to ``target``.

    Raises
    ------
    InputError
        If an image is not as the manifest says, or two would be written under one name.
    """
    written = [codec.file_name(path, format) for path in paths]
    source_of: dict[str, str] = {}
    problems = [
        f"'{path}' and '{source_of[name]}' would both be written as '{name}'. Rename one of them."
        for path, name in zip(paths, written, strict=True)
        if source_of.setdefault(name, path) != path
    ]
    raise_problems(problems, source.place)
    code = fingerprint([__name__], codec.PACKAGES)
    how = {**asdict(wanted), "format": format}
    keys = [key_of(code, checksum, how) for checksum in checksums]
    known = cache.find(keys)
    pixels = wanted.width * wanted.height * sum(key not in known for key in keys)
    check_space(target, pixels * BYTES_PER_PIXEL[format], f"{len(paths)} resized images")
    jobs = [
        _Job(path, checksum, name, key, known.get(key))
        for path, checksum, name, key in zip(paths, checksums, written, keys, strict=True)
    ]
    resize_one = _Resize(source, target, wanted, format, cache)
    return written, for_each(resize_one, jobs, workers=workers, what="images", name=attrgetter("path"))


@dataclass(frozen=True)
class _Job:
    path: str
    checksum: str
    written: str
    key: str
    known: Entry | None


@dataclass(frozen=True)
class _Resize:
    source: Images
    target: Path
    wanted: Wanted
    format: str
    cache: Cache

    def __call__(self, job: _Job) -> str:
        """Resize one image and return the checksum of its file."""
        target = self.target / job.written
        if job.known is not None and self.cache.take(job.known, target):
            return job.known.checksum
        pixels = self.source.read(job.path, job.checksum, self.wanted)
        with spent("resize"):
            pixels = resize(pixels, self.wanted)
        checksum = codec.write(pixels, target, self.format)
        self.cache.keep(job.key, target, checksum)
        return checksum
