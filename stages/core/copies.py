"""Copies as files: made, looked at, drawn again where they came out bad, and listed with their sources."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import cv2

from stages.core import images
from stages.core.augmentation import Augmentation, copy_seed, fault
from stages.core.balancing import MadeCopy, Source, choose_sources
from stages.core.parallel import for_each


@dataclass(frozen=True)
class Recipe:
    """How copies are made: the augmenters, the seed, and what counts as a bad copy (see `augmentation.fault`)."""

    pipeline: Sequence[Mapping[str, Mapping[str, Any]]]
    seed: int
    format: str
    min_std: float
    min_contrast: float
    max_draws: int


@dataclass(frozen=True)
class Outcome:
    """What `fill` made.

    Attributes
    ----------
    copies : list of MadeCopy
        In the order in which they were planned.
    unfit : list of str
        Images that gave no good copy within ``max_draws``, sorted.
    short : dict of int to int
        Copies that a cluster still lacks, because its images are unfit or have reached the cap.
    """

    copies: list[MadeCopy]
    unfit: list[str]
    short: dict[int, int]


@dataclass(frozen=True)
class _Task:
    source: Source
    number: int


@dataclass(frozen=True)
class _Maker:
    """Makes one copy; a new one for each batch travels to the worker processes."""

    resized: Path
    folder: Path
    recipe: Recipe

    @cached_property
    def augmentation(self) -> Augmentation:
        """The pipeline. OpenCV's own threads are off beside it: the processes use the cores already."""
        cv2.setNumThreads(1)
        return Augmentation(self.recipe.pipeline)

    def __call__(self, task: _Task) -> MadeCopy | None:
        """Make the copy from the first draw that is good; None if none of them is."""
        recipe, source = self.recipe, task.source
        pixels = images.read(self.resized / source.path, source.checksum)
        faults: list[str] = []
        for draw in range(1, recipe.max_draws + 1):
            copy = self.augmentation(pixels, copy_seed(recipe.seed, source.image_id, task.number, draw))
            wrong = fault(copy, pixels, min_std=recipe.min_std, min_contrast=recipe.min_contrast)
            if wrong is None:
                path = copy_name(source.path, task.number)
                checksum = images.write(copy, self.folder / path, recipe.format)
                return MadeCopy(_copy_id(source, task.number), path, source, checksum, tuple(faults))
            faults.append(wrong)
        return None


def fill(
    clusters: Mapping[int, Sequence[Source]],
    needed: Mapping[int, int],
    *,
    resized: Path,
    folder: Path,
    recipe: Recipe,
    cap: int | None,
    workers: int,
) -> Outcome:
    """Make the copies that clusters need, and write them as files.

    Each copy depends on its source, its number and the recipe alone, so the outcome is the same to the byte for any
    number of workers. Where an image turns out unfit, the other images of its cluster take its turns.

    Parameters
    ----------
    clusters : mapping of int to sequence of Source
        Train images of each cluster.
    needed : mapping of int to int
        Copies wanted, by cluster.
    resized, folder : Path
        Where the sources are, and where the copies go.
    recipe : Recipe
        How copies are made.
    cap : int or None
        Most copies of one image.
    workers : int
        Processes.

    Returns
    -------
    Outcome
        The copies, the images that are unfit, and what each cluster still lacks.
    """
    source_of = {source.image_id: (cluster, source) for cluster in clusters for source in clusters[cluster]}
    make = _Maker(resized, folder, recipe)
    copies: list[MadeCopy] = []
    unfit: set[str] = set()
    made: Counter[str] = Counter()
    lacking = Counter(needed)
    while plan := [
        copy
        for cluster, count in lacking.items()
        for copy in choose_sources(
            [source.image_id for source in clusters[cluster]], count, seed=recipe.seed, cap=cap, made=made, unfit=unfit
        )
    ]:
        tasks = [_Task(source_of[copy.source_id][1], copy.number) for copy in plan]
        for planned, copy_or_none in zip(plan, for_each(make, tasks, workers=workers, what="copies"), strict=True):
            if copy_or_none is None:
                unfit.add(planned.source_id)
            else:
                copies.append(copy_or_none)
                made[planned.source_id] += 1
                lacking[source_of[planned.source_id][0]] -= 1
    return Outcome(copies, sorted(unfit), {cluster: count for cluster, count in lacking.items() if count > 0})


def copy_name(name: str, number: int) -> str:
    """Name a copy after its source, so that either can be found from the other.

    Examples
    --------
    >>> copy_name("sea/17.jpg", 2), copy_name("17.5", 2)
    ('sea/17__copy2.jpg', '17.5__copy2')
    """
    path = PurePosixPath(name)
    suffix = path.suffix if path.suffix.lower() in images.SUFFIXES else ""
    return str(path.with_name(f"{path.name.removesuffix(suffix)}__copy{number}{suffix}"))


def _copy_id(source: Source, number: int) -> str:
    """The copy's id: its file, or its file without the suffix where the sheet gives ids without one."""
    has_suffix = PurePosixPath(source.image_id).suffix.lower() in images.SUFFIXES
    return copy_name(source.path if has_suffix else source.image_id, number)
