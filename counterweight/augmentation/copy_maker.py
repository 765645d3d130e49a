"""One copy as a file: made, looked at, and drawn again where it came out bad.

Processes that make copies import this module, so that it brings no more than they need; and imgaug, which takes longer
to load than all else, only where a copy is made.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import cv2

from counterweight.augmentation.allocation import MadeCopy, Source
from counterweight.base.timing import spent
from counterweight.images import codec
from counterweight.images.geometry import Pixels
from counterweight.runtime.cache import Cache, Entry

# The note of an image that gave no good copy, and the letters of a note for what was wrong with earlier draws.
UNFIT = "unfit"
FAULTS = {"u": "uniform", "c": "contrast"}


@dataclass(frozen=True)
class Recipe:
    """How copies are made: the augmenters, the seed, and what counts as a bad copy (see `copy_maker.fault`).

    ``kind`` is ``augmented`` or ``plain``, the same bytes. ``mix`` is ``compose``, all augmenters in order, or
    ``equal_parts``, one for each copy, each for as many copies.
    """

    kind: str
    pipeline: Sequence[Mapping[str, Mapping[str, Any]]]
    mix: str
    seed: int
    format: str
    min_std: float
    min_contrast: float
    max_draws: int


@dataclass(frozen=True)
class Task:
    """A copy to make: its source, its number and its turn in the plan, its key in the cache and what is there."""

    source: Source
    number: int
    turn: int
    key: str
    known: Entry | None = None


@dataclass(frozen=True)
class Maker:
    """Makes one copy; a new one for each batch travels to the worker processes."""

    resized: Path
    folder: Path
    recipe: Recipe
    cache: Cache

    @cached_property
    def augmentations(self) -> list[Callable[[Pixels, int], Pixels]]:
        """The pipeline, or its steps."""
        from counterweight.augmentation.imgaug_pipeline import Augmentation

        steps = self.recipe.pipeline
        return [Augmentation([step]) for step in steps] if self.recipe.mix == "equal_parts" else [Augmentation(steps)]

    @cached_property
    def last_read(self) -> dict[Source, Pixels]:
        """The image that was read last."""
        return {}

    def _pixels(self, source: Source) -> Pixels:
        if source not in self.last_read:
            self.last_read.clear()
            self.last_read[source] = codec.read(self.resized / source.path, source.checksum)
            self.last_read[source].setflags(write=False)
        return self.last_read[source]

    def __call__(self, task: Task) -> MadeCopy | None:
        """Make the copy; None if no draw of it is good."""
        path = copy_name(task.source.path, task.number)
        if self.recipe.kind == "plain":
            checksum = codec.duplicate(self.resized / task.source.path, task.source.checksum, self.folder / path)
            return MadeCopy(_copy_id(task.source, task.number), path, task.source, checksum, ())
        return self._known(task, path) or self._augmented(task, path)

    def _known(self, task: Task, path: str) -> MadeCopy | None:
        """The copy as an earlier run made it."""
        entry = task.known
        if entry is None or entry.note == UNFIT or not self.cache.take(entry, self.folder / path):
            return None
        faults = tuple(FAULTS[letter] for letter in entry.note)
        return MadeCopy(_copy_id(task.source, task.number), path, task.source, entry.checksum, faults)

    def _augmented(self, task: Task, path: str) -> MadeCopy | None:
        recipe, source = self.recipe, task.source
        if task.known is not None and task.known.note == UNFIT:
            return None
        augmentation = self.augmentations[task.turn % len(self.augmentations)]
        pixels = self._pixels(source)
        faults: list[str] = []
        for draw in range(1, recipe.max_draws + 1):
            with spent("augmenters"):
                copy = augmentation(pixels, copy_seed(recipe.seed, source.image_id, task.number, draw))
            wrong = fault(copy, pixels, min_std=recipe.min_std, min_contrast=recipe.min_contrast)
            if wrong is None:
                checksum = codec.write(copy, self.folder / path, recipe.format)
                self.cache.keep(task.key, self.folder / path, checksum, "".join(wrong[0] for wrong in faults))
                return MadeCopy(_copy_id(source, task.number), path, source, checksum, tuple(faults))
            faults.append(wrong)
        self.cache.keep_bytes(task.key, b"", UNFIT)
        return None


def copy_name(name: str, number: int) -> str:
    """Name a copy after its source, so that either can be found from the other.

    Examples
    --------
    >>> copy_name("sea/17.jpg", 2), copy_name("17.5", 2)
    ('sea/17__copy2.jpg', '17.5__copy2')
    """
    path = PurePosixPath(name)
    suffix = path.suffix if path.suffix.lower() in codec.SUFFIXES else ""
    return str(path.with_name(f"{path.name.removesuffix(suffix)}__copy{number}{suffix}"))


def _copy_id(source: Source, number: int) -> str:
    """The copy's id: its file, or its file without the suffix where the sheet gives ids without one."""
    has_suffix = PurePosixPath(source.image_id).suffix.lower() in codec.SUFFIXES
    return copy_name(source.path if has_suffix else source.image_id, number)


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
