"""Profile of a stage: items, seconds by kind of work and peak memory, over all its processes."""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Seconds by kind of work, and peak memory in bytes.
Timings = tuple[dict[str, float], int]

# Since the last `drain` of this process.
_seconds: defaultdict[str, float] = defaultdict(float)
_items: Counter[str] = Counter()
# Peak memory of the workers that were merged.
_peaks = [0]


@contextmanager
def timed(kind: str) -> Iterator[None]:
    """Add the seconds that a block takes to one kind of work, such as ``decode``."""
    start = time.perf_counter()
    try:
        yield
    finally:
        _seconds[kind] += time.perf_counter() - start


def count(what: str, number: int) -> None:
    """Add to the number of finished items of a kind, such as ``images``."""
    _items[what] += number


def drain() -> Timings:
    """Return a worker's seconds by kind of work, which are reset, and its peak memory in bytes."""
    seconds = dict(_seconds)
    _seconds.clear()
    return seconds, peak_memory()


def merge(timings: Timings) -> None:
    """Add what `drain` returned in a worker."""
    for kind, seconds in timings[0].items():
        _seconds[kind] += seconds
    _peaks.append(timings[1])


def summary(elapsed: float) -> str:
    """Format the profile of a stage that took ``elapsed`` seconds.

    Such as ``40 images (8.0 per second); decode 1.2 s, write 0.3 s; at most 0.21 GB per process``.
    """
    items = [f"{number:,} {what} ({number / max(elapsed, 1e-9):.1f} per second)" for what, number in _items.items()]
    seconds = [f"{kind} {seconds:.1f} s" for kind, seconds in _seconds.items()]
    memory = [f"at most {max(peak_memory(), *_peaks) / 1e9:.2f} GB per process"]
    return "; ".join(", ".join(part) for part in (items, seconds, memory) if part)


def peak_memory() -> int:
    """Return the peak resident memory of this process in bytes; 0 if the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    except OSError:
        if sys.platform == "win32":
            return 0
    import resource  # Not for Linux, where a new process starts with its parent's peak.

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
