import subprocess
import sys

import pytest

# In a process of its own: what other tests have freed decides where the blocks of this one lie.
FRAGMENTED = """
from pathlib import Path
from counterweight.runtime.heap import trim_heap

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))

large, small = [], []
for _ in range(1_000):
    large.append(bytearray(b"x") * 100_000)  # Zeros might take no memory.
    small.append(bytearray(1_000))
del large
before = resident()
trim_heap()
print(before - resident(), len(small))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps freed memory")
def test_freed_memory_between_small_blocks_is_returned() -> None:
    done = subprocess.run([sys.executable, "-c", FRAGMENTED], capture_output=True, text=True, check=True)
    returned, n_small = map(int, done.stdout.split())
    assert returned > 80_000_000
    assert n_small == 1_000


KEPT = """
import resource
from counterweight.runtime.heap import keep_freed_memory

def page_faults(n_bytes):
    # The pages that the system clears while an array is filled three times.
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        bytearray(b"x") * n_bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with keep_freed_memory():
    page_faults(100_000_000)
    within = page_faults(100_000_000)
print(within, page_faults(100_000_000), 100_000_000 // resource.getpagesize())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be told to keep freed memory")
def test_memory_is_used_again_within_the_block_and_returned_after_it() -> None:
    done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True)
    within, after, pages = map(int, done.stdout.split())
    assert within < pages / 10
    assert after > 2 * pages
