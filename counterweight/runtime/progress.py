"""Progress of long loops: a bar on a terminal, log lines otherwise."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

# Seconds between log lines.
LOG_INTERVAL = 30.0

log = logging.getLogger(__name__)


@contextmanager
def track_progress(total: int, what: str) -> Iterator[Callable[[int], object]]:
    """Show the progress of a loop over ``total`` items, which ``what`` names in the plural.

    Yields
    ------
    callable
        Call it with the number of items finished since the last call.
    """
    if sys.stderr.isatty():
        with tqdm(total=total, desc=what, unit=what.rstrip("s"), leave=False) as bar:
            yield bar.update
    else:
        yield LogProgress(total, what).update


class LogProgress:
    """Log progress with the rate and the remaining time, at most once in `LOG_INTERVAL` seconds of a clock."""

    def __init__(self, total: int, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.what = what
        self.clock = clock
        self.done = 0
        self.started = self.last_logged = clock()

    def update(self, count: int) -> None:
        """Add finished items, and log the progress if it is due."""
        self.done += count
        now = self.clock()
        if now - self.last_logged < LOG_INTERVAL or not self.done:
            return
        self.last_logged = now
        rate = self.done / (now - self.started)
        left = human_duration((self.total - self.done) / rate)
        log.info("%s of %s %s, %.3g per second, %s left", f"{self.done:,}", f"{self.total:,}", self.what, rate, left)


def human_duration(seconds: float) -> str:
    """Format a duration roughly.

    Examples
    --------
    >>> human_duration(8), human_duration(95), human_duration(7_000)
    ('8 s', '2 min', '1.9 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
