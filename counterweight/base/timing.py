"""Where the time of a stage goes: items, and seconds by kind of work, summed over all processes."""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Seconds by kind of work, and peak memory in bytes.
Taken = tuple[dict[str, float], int]

# Of this process, since they were last taken.
_seconds: defaultdict[str, float] = defaultdict(float)
_items: Counter[str] = Counter()
# The most memory of a worker that handed over its seconds.
_peaks = [0]


@contextmanager
def spent(kind: str) -> Iterator[None]:
    """Count the seconds of a block as one kind of work, such as ``decode``."""
    started = time.perf_counter()
    try:
        yield
    finally:
        _seconds[kind] += time.perf_counter() - started


def count(what: str, number: int) -> None:
    """Count items that are done."""
    _items[what] += number


def take() -> Taken:
    """What a worker hands over: its seconds by kind, which are then counted from 0 again, and its peak memory."""
    taken = dict(_seconds)
    _seconds.clear()
    return taken, peak_memory()


def add(taken: Taken) -> None:
    """Add what a worker handed over."""
    for kind, seconds in taken[0].items():
        _seconds[kind] += seconds
    _peaks.append(taken[1])


def said(elapsed: float) -> str:
    """What was counted, for the log.

    Parameters
    ----------
    elapsed : float
        Seconds that the stage took.

    Returns
    -------
    str
        Such as ``40 images (8.0 a second); decode 1.2 s, write 0.3 s; at most 0.21 GB in a process``.
    """
    parts = [
        ", ".join(f"{number:,} {what} ({number / max(elapsed, 1e-9):.1f} a second)" for what, number in _items.items()),
        ", ".join(f"{kind} {seconds:.1f} s" for kind, seconds in _seconds.items()),
        f"at most {max(peak_memory(), *_peaks) / 1e9:.2f} GB in a process",
    ]
    return "; ".join(part for part in parts if part)


def peak_memory() -> int:
    """The most bytes that this process has held in memory; 0 where nobody knows."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return _peak_by_rusage()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def _peak_by_rusage() -> int:
    # On Linux a new program's begins with what its parent held; elsewhere there is nothing better.
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
