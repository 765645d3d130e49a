"""Work on many images in batches, on several processes, with results in the order of the items."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from joblib import Parallel, delayed
from tqdm import tqdm

BATCH = 128

Item = TypeVar("Item")
Result = TypeVar("Result")


def _each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [function(item) for item in items]


def for_each(function: Callable[[Item], Result], items: Sequence[Item], *, workers: int, what: str) -> list[Result]:
    """Apply a function to every item.

    Parameters
    ----------
    function : callable
        Takes one item; it must be importable in another process, as must be what it closes over.
    items : sequence
        The items; they travel to the workers in batches of ``BATCH``.
    workers : int
        Processes; with 1, or with items for one batch only, the work is done in this process.
    what : str
        What the progress bar counts. It shows on a terminal only.

    Returns
    -------
    list
        One result an item, in the order of the items whatever the number of workers.
    """
    batches = [items[start : start + BATCH] for start in range(0, len(items), BATCH)]
    done: Iterator[list[Result]] = Parallel(n_jobs=min(workers, max(len(batches), 1)), return_as="generator")(
        delayed(_each)(function, batch) for batch in batches
    )
    results: list[Result] = []
    with tqdm(total=len(items), desc=what, unit="image", disable=None, leave=False) as bar:
        for batch in done:
            results += batch
            bar.update(len(batch))
    return results
