"""Resize images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from stages.core import images
from stages.core.errors import raise_problems
from stages.core.parallel import for_each
from stages.core.sources import Images


def resize_all(
    paths: Sequence[str],
    checksums: Sequence[str],
    *,
    source: Images,
    target: Path,
    width: int,
    height: int,
    mode: str,
    format: str,
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
    width, height, mode : int, int, str
        As in `stages.core.images.resize`.
    format : str
        ``jpg`` or ``png``.
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
    written = [images.file_name(path, format) for path in paths]
    source_of: dict[str, str] = {}
    problems = [
        f"'{path}' and '{source_of[name]}' would both be written as '{name}'. Rename one of them."
        for path, name in zip(paths, written, strict=True)
        if source_of.setdefault(name, path) != path
    ]
    raise_problems(problems, source.place)
    resize_one = _Resize(source, target, width, height, mode, format)
    jobs = list(zip(paths, checksums, written, strict=True))
    return written, for_each(resize_one, jobs, workers=workers, what="resize")


@dataclass(frozen=True)
class _Resize:
    source: Images
    target: Path
    width: int
    height: int
    mode: str
    format: str

    def __call__(self, job: tuple[str, str, str]) -> str:
        """Resize one image and return the checksum of its file."""
        path, checksum, written = job
        cv2.setNumThreads(1)
        pixels = images.resize(self.source.read(path, checksum), self.width, self.height, self.mode)
        return images.write(pixels, self.target / written, self.format)
