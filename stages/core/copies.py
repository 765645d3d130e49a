"""Copies as files: made, looked at, drawn again where they came out bad, and listed with their sources."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from stages.core import augmentation, images, median, sorting
from stages.core.augmentation import Augmentation, copy_seed, fault
from stages.core.balancing import MadeCopy, Source
from stages.core.cache import Cache, Entry, fingerprint, key_of
from stages.core.parallel import for_each
from stages.core.scaling import Pixels
from stages.core.space import check_space
from stages.core.strategies import Plan
from stages.core.timing import spent

# The note of an image that gave no good copy, and the letters of a note for what was wrong with earlier draws.
UNFIT = "unfit"
FAULTS = {"u": "uniform", "c": "contrast"}


@dataclass(frozen=True)
class Recipe:
    """How copies are made: the augmenters, the seed, and what counts as a bad copy (see `augmentation.fault`).

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
class Outcome:
    """What `fill` made.

    Attributes
    ----------
    copies : list of MadeCopy
        In the order in which they were planned.
    unfit : list of str
        Images that gave no good copy within ``max_draws``, sorted.
    short : dict of str to int
        Copies that a group still lacks, because its images are unfit or have reached the cap.
    """

    copies: list[MadeCopy]
    unfit: list[str]
    short: dict[str, int]


@dataclass(frozen=True)
class _Task:
    source: Source
    number: int
    turn: int
    key: str
    known: Entry | None = None


@dataclass(frozen=True)
class _Maker:
    """Makes one copy; a new one for each batch travels to the worker processes."""

    resized: Path
    folder: Path
    recipe: Recipe
    cache: Cache

    @cached_property
    def augmentations(self) -> list[Augmentation]:
        """The pipeline, or its steps."""
        steps = self.recipe.pipeline
        return [Augmentation([step]) for step in steps] if self.recipe.mix == "equal_parts" else [Augmentation(steps)]

    @cached_property
    def last_read(self) -> dict[Source, Pixels]:
        """The image that was read last."""
        return {}

    def _pixels(self, source: Source) -> Pixels:
        if source not in self.last_read:
            self.last_read.clear()
            self.last_read[source] = images.read(self.resized / source.path, source.checksum)
            self.last_read[source].setflags(write=False)
        return self.last_read[source]

    def __call__(self, task: _Task) -> MadeCopy | None:
        """Make the copy; None if no draw of it is good."""
        path = copy_name(task.source.path, task.number)
        if self.recipe.kind == "plain":
            checksum = images.duplicate(self.resized / task.source.path, task.source.checksum, self.folder / path)
            return MadeCopy(_copy_id(task.source, task.number), path, task.source, checksum, ())
        return self._known(task, path) or self._augmented(task, path)

    def _known(self, task: _Task, path: str) -> MadeCopy | None:
        """The copy as an earlier run made it."""
        entry = task.known
        if entry is None or entry.note == UNFIT or not self.cache.take(entry, self.folder / path):
            return None
        faults = tuple(FAULTS[letter] for letter in entry.note)
        return MadeCopy(_copy_id(task.source, task.number), path, task.source, entry.checksum, faults)

    def _augmented(self, task: _Task, path: str) -> MadeCopy | None:
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
                checksum = images.write(copy, self.folder / path, recipe.format)
                self.cache.keep(task.key, self.folder / path, checksum, "".join(wrong[0] for wrong in faults))
                return MadeCopy(_copy_id(source, task.number), path, source, checksum, tuple(faults))
            faults.append(wrong)
        self.cache.keep_bytes(task.key, b"", UNFIT)
        return None


def fill(
    plan: Plan, sources: Sequence[Source], *, resized: Path, folder: Path, recipe: Recipe, cache: Cache, workers: int
) -> Outcome:
    """Make the copies of a plan, and write them as files.

    Each copy depends on its source, its number, its place in the plan and the recipe alone, so the outcome is the same
    to the byte for any number of workers. Where an image turns out unfit, others take its turns.

    Parameters
    ----------
    plan : Plan
        Which copies are wanted.
    sources : sequence of Source
        The train images.
    resized, folder : Path
        Where the sources are, and where the copies go.
    recipe : Recipe
        How copies are made.
    cache : Cache
        Copies that an earlier run has made come from there.
    workers : int
        Processes.

    Returns
    -------
    Outcome
        The copies, the images that are unfit, and what each group still lacks.
    """
    source_of = {source.image_id: source for source in sources}
    make = _Maker(resized, folder, recipe, cache)
    modules = [images, augmentation, median, sorting, sys.modules[__name__]]
    code = fingerprint(modules, (*images.PACKAGES, *augmentation.PACKAGES))
    copies: list[MadeCopy] = []
    unfit: set[str] = set()
    made: Counter[str] = Counter()
    turn = 0
    while chosen := plan.choose(made, unfit):
        tasks = [
            _Task(source, copy.number, turn + i, _key(code, source, copy.number, turn + i, recipe))
            for i, copy in enumerate(chosen)
            for source in [source_of[copy.source_id]]
        ]
        known = cache.find(task.key for task in tasks)
        tasks = [replace(task, known=known.get(task.key)) for task in tasks]
        turn += len(tasks)
        _check_room(tasks, resized, folder)
        # The copies of an image one after another, so that it is decoded once.
        order = sorted(range(len(tasks)), key=lambda i: tasks[i].source.path)
        in_order = [tasks[i] for i in order]
        made_in_order = for_each(make, in_order, workers=workers, what="copies", name=lambda task: task.source.path)
        done = dict(zip(order, made_in_order, strict=True))
        for i, planned in enumerate(chosen):
            copy_or_none = done[i]
            if copy_or_none is None:
                unfit.add(planned.source_id)
            else:
                copies.append(copy_or_none)
                made[planned.source_id] += 1
    return Outcome(copies, sorted(unfit), plan.lacking(made))


def _check_room(tasks: Sequence[_Task], resized: Path, folder: Path) -> None:
    """Raise if the copies that are to be made, each about as large as its source, have no room."""
    sources = [path for path in {resized / task.source.path for task in tasks} if path.is_file()]
    mean = sum(path.stat().st_size for path in sources) / max(len(sources), 1)
    check_space(folder, mean * sum(task.known is None for task in tasks), f"{len(tasks)} copies")


def _key(code: str, source: Source, number: int, turn: int, recipe: Recipe) -> str:
    """What a copy depends on: its source, its number and, where each has one of the augmenters, which."""
    turns = turn % len(recipe.pipeline) if recipe.mix == "equal_parts" else 0
    given = asdict(recipe) | {"image_id": source.image_id, "number": number, "turn": turns}
    return key_of(code, source.checksum, given)


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
