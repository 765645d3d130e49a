"""The copies of a plan, made by several processes, and others in the place of those that could not be made."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from counterweight.augmentation import copy_maker
from counterweight.augmentation.allocation import MadeCopy, Source
from counterweight.augmentation.copy_maker import Maker, Recipe, Task
from counterweight.augmentation.strategies import Plan
from counterweight.base.limits import check_space
from counterweight.images import codec
from counterweight.runtime.cache import Cache, key_of
from counterweight.runtime.fingerprint import fingerprint
from counterweight.runtime.parallel import for_each

# What copies depend on, beside the packages of `codec` and the code of `copy_maker`.
PACKAGES = ("imaug", "scikit-image", "scipy")


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
    make = Maker(resized, folder, recipe, cache)
    code = fingerprint([copy_maker.__name__], (*codec.PACKAGES, *PACKAGES))
    copies: list[MadeCopy] = []
    unfit: set[str] = set()
    made: Counter[str] = Counter()
    turn = 0
    while chosen := plan.choose(made, unfit):
        tasks = [
            Task(source, copy.number, turn + i, _key(code, source, copy.number, turn + i, recipe))
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


def _check_room(tasks: Sequence[Task], resized: Path, folder: Path) -> None:
    """Raise if the copies that are to be made, each about as large as its source, have no room."""
    sources = [path for path in {resized / task.source.path for task in tasks} if path.is_file()]
    mean = sum(path.stat().st_size for path in sources) / max(len(sources), 1)
    check_space(folder, mean * sum(task.known is None for task in tasks), f"{len(tasks)} copies")


def _key(code: str, source: Source, number: int, turn: int, recipe: Recipe) -> str:
    """What a copy depends on: its source, its number and, where each has one of the augmenters, which."""
    turns = turn % len(recipe.pipeline) if recipe.mix == "equal_parts" else 0
    given = asdict(recipe) | {"image_id": source.image_id, "number": number, "turn": turns}
    return key_of(code, source.checksum, given)
