"""Work on many images in batches, on several processes, with results in the order of the items."""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky import ProcessPoolExecutor

from counterweight.base import timing
from counterweight.base.errors import InputError
from counterweight.runtime.progress import progress

# Items of a batch: not so few that handing them over costs, and so many batches that all processes end together.
FEWEST, BATCH = 16, 128

Item = TypeVar("Item")
Result = TypeVar("Result")

_elsewhere: ContextVar[Executor | None] = ContextVar("_elsewhere", default=None)


def _each(function: Callable[[Item], Result], items: Sequence[Item]) -> tuple[list[Result], timing.Taken]:
    return [function(item) for item in items], timing.take()


def for_each(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    what: str,
    name: Callable[[Item], str] = str,
) -> list[Result]:
    """Apply a function to every item.

    Parameters
    ----------
    function : callable
        Takes one item; it must be importable in another process, as must be what it closes over.
    items : sequence
        The items; they travel to the workers in batches of at most ``BATCH``.
    workers : int
        Processes; with 1, or with items for one batch only, the work is done in this process.
    what : str
        What is counted, in the log and by `counterweight.runtime.progress.progress`.
    name : callable
        What to call an item in an error.

    Returns
    -------
    list
        One result an item, in the order of the items whatever the number of workers.

    Raises
    ------
    InputError
        If an item kills the process that works on it twice; it is named.
    """
    size = BATCH if len(items) <= BATCH else min(max(math.ceil(len(items) / (4 * workers)), FEWEST), BATCH)
    batches = [items[start : start + size] for start in range(0, len(items), size)]
    results: list[Result] = []
    deaths = 0
    with progress(len(items), what) as more_done:
        while batches:
            try:
                for batch, taken in _in_order(function, batches, workers):
                    results += batch
                    timing.add(taken)
                    more_done(len(batch))
                    del batches[0]
            except _deaths():
                # A worker was killed, perhaps by the system for want of memory: once, that says nothing of an image.
                deaths += 1
                if deaths > 1:
                    results += one_by_one(function, batches[0], name)
                    more_done(len(batches.pop(0)))
    timing.count(what, len(items))
    return results


def one_by_one(function: Callable[[Item], Result], items: Sequence[Item], name: Callable[[Item], str]) -> list[Result]:
    """Apply a function to each item in a process that works on nothing else, and name the item that kills it.

    Parameters
    ----------
    function, items, name
        As in `for_each`.

    Raises
    ------
    InputError
        If the process dies.
    """
    results: list[Result] = []
    with ProcessPoolExecutor(max_workers=1) as alone:
        for item in items:
            try:
                results.append(alone.submit(function, item).result())
            except BrokenProcessPool:
                raise InputError(
                    f"image '{name(item)}' ends the process that works on it: it needs more memory than there is, or "
                    "breaks its decoder. Replace the file or delete its row."
                ) from None
    return results


@contextmanager
def done_by(executor: Executor) -> Iterator[None]:
    """Let an executor's workers, on other machines perhaps, do the batches of `for_each` in here."""
    before = _elsewhere.set(executor)
    try:
        yield
    finally:
        _elsewhere.reset(before)


def _deaths() -> tuple[type[Exception], ...]:
    """How it is said that a worker died: of a process here, and of several one after another on a scheduler."""
    scheduler = sys.modules.get("distributed")
    return (BrokenProcessPool,) if scheduler is None else (BrokenProcessPool, scheduler.KilledWorker)


def _in_order(
    function: Callable[[Item], Result], batches: Sequence[Sequence[Item]], workers: int
) -> Iterator[tuple[list[Result], timing.Taken]]:
    """Results of batches; what is to be done is listed first, since the caller shortens its list as they come."""
    executor = _elsewhere.get()
    if executor is not None:
        return executor.map(partial(_each, function), list(batches))
    tasks = [delayed(_each)(function, batch) for batch in batches]
    done: Iterator[tuple[list[Result], timing.Taken]] = Parallel(
        n_jobs=min(workers, len(tasks)), return_as="generator"
    )(tasks)
    return done
