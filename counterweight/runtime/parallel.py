"""Parallel map over images: batches on several processes, results in the order of the items."""

import math
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from multiprocessing import resource_tracker
from typing import Any, TypeVar, cast

from joblib import Parallel, delayed
from joblib.externals.loky import ProcessPoolExecutor

from counterweight.base import timing
from counterweight.base.errors import InputError
from counterweight.runtime.progress import track_progress

# Items per batch: enough to amortize the transfer, few enough to keep all processes busy to the end.
MIN_BATCH, MAX_BATCH = 16, 128

Item = TypeVar("Item")
Result = TypeVar("Result")

Ask = Callable[[Callable[[], Any]], Collection[Any]]

_executor: ContextVar[Executor | None] = ContextVar("_executor", default=None)
_ask: ContextVar[Ask | None] = ContextVar("_ask", default=None)


def _map_batch(function: Callable[[Item], Result], items: Sequence[Item]) -> tuple[list[Result], timing.Timings]:
    return [function(item) for item in items], timing.drain()


def parallel_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    what: str,
    name: Callable[[Item], str] = str,
    max_batch: int | None = None,
) -> list[Result]:
    """Apply a function to every item.

    Parameters
    ----------
    function : callable
        Takes one item; it is pickled, with what it closes over, for the worker processes.
    items : sequence
        The items, sent to the workers in batches.
    workers : int
        Number of processes; with 1, or for a single batch, the work is done in this process.
    what : str
        Name of the items in the log and progress, in the plural.
    name : callable
        Returns the name of an item for an error message.
    max_batch : int, optional
        Items per batch at most, `MAX_BATCH` by default; fewer for items that take long.

    Returns
    -------
    list
        One result per item, in the order of the items.

    Raises
    ------
    InputError
        If an item kills its worker process twice; the message names it.
    """
    most = MAX_BATCH if max_batch is None else max_batch
    size = most if len(items) <= most else min(max(math.ceil(len(items) / (4 * workers)), MIN_BATCH), most)
    batches = [items[start : start + size] for start in range(0, len(items), size)]
    results: list[Result] = []
    deaths = 0
    with track_progress(len(items), what) as more_done:
        while batches:
            try:
                for batch, timings in _map_batches(function, batches, workers):
                    results += batch
                    timing.merge(timings)
                    more_done(len(batch))
                    del batches[0]
            except _worker_death_errors():
                # One death may be by chance, such as the system running out of memory, so try again first.
                deaths += 1
                if deaths > 1:
                    results += map_isolated(function, batches[0], name)
                    more_done(len(batches.pop(0)))
    timing.count(what, len(items))
    return results


def map_isolated(
    function: Callable[[Item], Result], items: Sequence[Item], name: Callable[[Item], str]
) -> list[Result]:
    """Apply a function to one item after another in a separate process; raise InputError with the item that kills it.

    The parameters are as in `parallel_map`.
    """
    results: list[Result] = []
    with ProcessPoolExecutor(max_workers=1) as executor:
        for item in items:
            try:
                results.append(executor.submit(function, item).result())
            except BrokenProcessPool:
                raise InputError(
                    f"image '{name(item)}' kills its worker process: it needs more memory than is available, or "
                    "crashes its decoder. Replace the file or delete its row."
                ) from None
    return results


@contextmanager
def use_executor(executor: Executor, ask: Ask | None = None) -> Iterator[None]:
    """Run the batches of `parallel_map` on an executor, perhaps on other machines, within the block.

    ``ask`` calls a function on each of its workers, for `ask_workers`.
    """
    tokens = _executor.set(executor), _ask.set(ask)
    try:
        yield
    finally:
        _executor.reset(tokens[0])
        _ask.reset(tokens[1])


def ask_workers(function: Callable[[], Result]) -> set[Result]:
    """Return the different answers of all workers of `use_executor`; without one, this process answers."""
    ask = _ask.get()
    return {function()} if ask is None else set(ask(function))


def _worker_death_errors() -> tuple[type[Exception], ...]:
    """Exceptions that signal a dead worker, here or, after several attempts, on a Dask scheduler."""
    dask = sys.modules.get("distributed")
    return (BrokenProcessPool,) if dask is None else (BrokenProcessPool, dask.KilledWorker)


def _map_batches(
    function: Callable[[Item], Result], batches: Sequence[Sequence[Item]], workers: int
) -> Iterator[tuple[list[Result], timing.Timings]]:
    """Yield the results of batches. Tasks are listed up front, since the caller shortens its list meanwhile."""
    executor = _executor.get()
    if executor is not None:
        return executor.map(partial(_map_batch, function), list(batches))
    tasks = [delayed(_map_batch)(function, batch) for batch in batches]
    return run_tasks(tasks, workers)


def run_tasks(tasks: Sequence[Any], workers: int) -> Iterator[Any]:
    """Run calls that joblib delays on processes of their own, and return an iterator of the results in their order."""
    processes = min(workers, len(tasks))
    parallel = Parallel(n_jobs=processes, return_as="generator")
    with _without_interrupts() if processes > 1 else nullcontext():
        return cast(Iterator[Any], parallel(tasks))


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start processes that do not get Ctrl-C, which the terminal sends to all: this one ends the others."""
    resource_tracker.ensure_running()  # Its start, with the first process, would let the signal through again.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
