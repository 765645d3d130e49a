import re
import subprocess
import sys

from tests.workspace import PROJECT


def printed(code: str) -> str:
    """Return what a process of its own prints."""
    code = f"from counterweight.base import timing\n{code}"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_summary_has_items_seconds_and_memory() -> None:
    body = (
        "import time\n"
        "with timing.timed('decode'): time.sleep(0.2)\n"
        "with timing.timed('decode'): time.sleep(0.2)\n"
        "timing.count('images', 30)\ntiming.count('images', 10)\n"
        "print(timing.summary(5.0))"
    )
    assert re.fullmatch(
        r"40 images \(8\.0 per second\); decode 0\.[4-6] s; at most 0\.\d\d GB per process", printed(body)
    )


def test_summary_without_items_has_memory() -> None:
    assert re.fullmatch(r"at most 0\.\d\d GB per process", printed("print(timing.summary(1.0))"))


def test_timings_of_workers_are_added() -> None:
    body = (
        "timing.merge(({'write': 1.5}, 10**12))\ntiming.merge(({'write': 0.25}, 1))\n"
        "print(timing.summary(1.0))\nprint(timing.drain()[0], timing.drain()[0])"
    )
    first, second = printed(body).splitlines()
    assert first == "write 1.8 s; at most 1000.00 GB per process"
    assert second == "{'write': 1.75} {}"


def test_peak_memory_is_that_of_the_process() -> None:
    body = "data = bytearray(300_000_000)\nprint(timing.peak_memory() > 300_000_000)"
    assert printed(body) == "True"
