import sys
from pathlib import Path

import pytest

from counterweight.runtime.malloc import give_back

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only glibc has anything to give back")


def resident() -> int:
    """Bytes of memory that are this process's own."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))


def test_free_memory_between_small_blocks_is_given_back() -> None:
    large, small = [], []
    for _ in range(1_000):
        large.append(bytearray(100_000))
        small.append(bytearray(1_000))
    del large
    before = resident()
    give_back()
    assert before - resident() > 80_000_000
    assert len(small) == 1_000
