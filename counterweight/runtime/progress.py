"""How far a long loop is: a bar on a terminal, else a line in the log now and then."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

# Seconds between two lines of a log.
EVERY = 30.0

log = logging.getLogger(__name__)


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[int], object]]:
    """Show the progress of a loop.

    Parameters
    ----------
    total : int
        Items in all.
    what : str
        What they are, in the plural.

    Yields
    ------
    callable
        Takes how many more are done.
    """
    if sys.stderr.isatty():
        with tqdm(total=total, desc=what, unit=what.rstrip("s"), leave=False) as bar:
            yield bar.update
    else:
        yield Lines(total, what).update


class Lines:
    """Progress as lines of a log, at most one in `EVERY` seconds, with the rate and the time that is left.

    Parameters
    ----------
    total, what
        As in `progress`.
    clock : callable
        Seconds since some moment.
    """

    def __init__(self, total: int, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.what = what
        self.clock = clock
        self.done = 0
        self.started = self.said = clock()

    def update(self, count: int) -> None:
        """Count more items as done, and say so if it is time."""
        self.done += count
        now = self.clock()
        if now - self.said < EVERY or not self.done:
            return
        self.said = now
        rate = self.done / (now - self.started)
        log.info(
            "%s of %s %s, %.3g a second, %s left",
            f"{self.done:,}", f"{self.total:,}", self.what, rate, in_words((self.total - self.done) / rate),
        )  # fmt: skip


def in_words(seconds: float) -> str:
    """Roughly how long.

    Examples
    --------
    >>> in_words(8), in_words(95), in_words(7_000)
    ('8 s', '2 min', '1.9 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
