import sys
from pathlib import Path

import pytest

from counterweight.runtime.malloc import trim_heap

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps freed memory")


def resident() -> int:
    """Return the anonymous resident memory of this process in bytes."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))


def test_freed_memory_between_small_blocks_is_returned() -> None:
    large, small = [], []
    for _ in range(1_000):
        large.append(bytearray(100_000))
        small.append(bytearray(1_000))
    del large
    before = resident()
    trim_heap()
    assert before - resident() > 80_000_000
    assert len(small) == 1_000
