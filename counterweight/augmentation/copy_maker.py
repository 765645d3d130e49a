"""Generate one copy, check it, and retry if it is unusable.

Worker processes import this module, so it imports little; imgaug, the slowest import, only when a copy is generated.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Self

import cv2

from counterweight.augmentation.allocation import MadeCopy, Source
from counterweight.base.timing import timed
from counterweight.images import codec
from counterweight.images.geometry import Pixels
from counterweight.runtime.cache import Cache, Entry

# The cache's note for an image without a usable copy, and the letters of its notes for rejected draws.
UNUSABLE = "unusable"
QUALITY_PROBLEMS = {"u": "uniform", "c": "contrast"}


@dataclass(frozen=True)
class CopyConfig:
    """How copies are made: the augmenters, the seed, and the limits of `quality_problem`.

    ``copy_mode`` is ``augmented``, or ``plain`` for the source's own bytes. ``composition`` is ``compose`` to apply all
    augmenters in order, or ``equal_parts`` to apply one per copy, each to the same number of copies.
    """

    copy_mode: str
    pipeline: Sequence[Mapping[str, Mapping[str, Any]]]
    composition: str
    seed: int
    format: str
    min_std: float
    min_contrast: float
    max_draws: int

    @classmethod
    def from_params(cls, augment: Mapping[str, Any], image_format: str, pipeline: str | None = None) -> Self:
        """Read the section ``augment`` of params.yaml; a pipeline's name, or ``plain``, replaces what it says."""
        mode = augment["copy_mode"] if pipeline is None else "plain" if pipeline == "plain" else "augmented"
        steps = [] if pipeline == "plain" else augment["pipelines"][pipeline or augment["pipeline"]]
        return cls(mode, steps, augment["composition"], augment["seed"], image_format, **augment["quality"])


@dataclass(frozen=True, slots=True)
class CopyJob:
    """A copy to make: its source, its number, its index in the plan, its cache key and the cache's entry for it.

    ``after`` is the number of draws that are not to be used again.
    """

    source: Source
    number: int
    plan_index: int
    after: int = 0
    key: str = ""
    entry: Entry | None = None


@dataclass(frozen=True)
class CopyMaker:
    """Make one copy; each batch of jobs takes a new instance to a worker process."""

    resized: Path
    folder: Path
    config: CopyConfig
    cache: Cache

    @cached_property
    def pipelines(self) -> list[Callable[[Pixels, int], Pixels]]:
        """The whole pipeline, or one pipeline per step for ``equal_parts``."""
        from counterweight.augmentation.imgaug_pipeline import AugmentationPipeline

        steps = self.config.pipeline
        parts = [[step] for step in steps] if self.config.composition == "equal_parts" else [steps]
        return [AugmentationPipeline(part) for part in parts]

    def __call__(self, job: CopyJob) -> MadeCopy | None:
        """Make the copy; return None if no draw of it is usable."""
        path = copy_name(job.source.path, job.number)
        result = self._write(job, self.folder / path)
        return None if result is None else MadeCopy(_copy_id(job.source, job.number), path, job.source, *result)

    def _write(self, job: CopyJob, path: Path) -> tuple[str, tuple[str, ...]] | None:
        """Write a copy, from the cache if it is there; return its checksum and its rejections."""
        if self.config.copy_mode == "plain":
            return codec.copy_file(self.resized / job.source.path, job.source.checksum, path), ()
        if job.entry is not None:
            if job.entry.note == UNUSABLE:
                return None
            if self.cache.restore(job.entry, path):
                return job.entry.checksum, tuple(QUALITY_PROBLEMS[letter] for letter in job.entry.note)
        config, source = self.config, _read(self.resized / job.source.path, job.source.checksum)
        augment = self.pipelines[job.plan_index % len(self.pipelines)]
        rejections: list[str] = []
        for draw in range(job.after + 1, job.after + config.max_draws + 1):
            with timed("augmenters"):
                copy = augment(source, copy_seed(config.seed, job.source.image_id, job.number, draw))
            problem = quality_problem(copy, source, min_std=config.min_std, min_contrast=config.min_contrast)
            if problem is None:
                checksum = codec.write(copy, path, config.format)
                self.cache.put(job.key, path, checksum, "".join(rejection[0] for rejection in rejections))
                return checksum, tuple(rejections)
            rejections.append(problem)
        self.cache.put_bytes(job.key, b"", UNUSABLE)
        return None


@lru_cache(maxsize=1)  # The copies of an image are made one after another.
def _read(path: Path, checksum: str) -> Pixels:
    pixels = codec.read(path, checksum)
    pixels.setflags(write=False)
    return pixels


def copy_name(name: str, number: int) -> str:
    """Return the name of a copy, which contains that of its source.

    Examples
    --------
    >>> copy_name("sea/17.jpg", 2), copy_name("17.5", 2)
    ('sea/17__copy2.jpg', '17.5__copy2')
    """
    path = PurePosixPath(name)
    suffix = path.suffix if path.suffix.lower() in codec.SUFFIXES else ""
    return str(path.with_name(f"{path.name.removesuffix(suffix)}__copy{number}{suffix}"))


def _copy_id(source: Source, number: int) -> str:
    """The copy's id: its file name if ids have a suffix in the sheet, else the source's id with the copy's number."""
    has_suffix = PurePosixPath(source.image_id).suffix.lower() in codec.SUFFIXES
    return copy_name(source.path if has_suffix else source.image_id, number)


def copy_seed(seed: int, source_id: str, number: int, draw: int) -> int:
    """Return the seed of one draw of one copy, independent of process and order: 8 bytes of BLAKE2b over the values.

    ``number`` counts the copies of an image and ``draw`` the draws of a copy, both from 1.
    """
    key = f"{seed}\0{source_id}\0{number}\0{draw}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")


def quality_problem(copy: Pixels, source: Pixels, *, min_std: float, min_contrast: float) -> str | None:
    """Return what makes a copy unusable: ``uniform``, ``contrast``, or None.

    Parameters
    ----------
    copy, source : arrays of uint8, shape (height, width, 3)
        RGB.
    min_std : float
        Gray levels; a copy whose gray values have a lower standard deviation is ``uniform``.
    min_contrast : float
        Fraction of its source's standard deviation below which a copy lacks ``contrast``.
    """
    std = _gray_std(copy)
    if std < min_std:
        return "uniform"
    return "contrast" if std < min_contrast * _gray_std(source) else None


def _gray_std(pixels: Pixels) -> float:
    return float(cv2.meanStdDev(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))[1][0, 0])
