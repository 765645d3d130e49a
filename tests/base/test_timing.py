import re
import subprocess
import sys

from tests.workspace import PROJECT


def logged(code: str) -> str:
    """What a process of its own says that it did."""
    code = f"from counterweight.base import timing\n{code}"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_items_seconds_and_memory_are_said() -> None:
    body = (
        "import time\n"
        "with timing.spent('decode'): time.sleep(0.2)\n"
        "with timing.spent('decode'): time.sleep(0.2)\n"
        "timing.count('images', 30)\ntiming.count('images', 10)\n"
        "print(timing.said(5.0))"
    )
    assert re.fullmatch(
        r"40 images \(8\.0 a second\); decode 0\.[4-6] s; at most 0\.\d\d GB in a process", logged(body)
    )


def test_without_items_memory_is_said() -> None:
    assert re.fullmatch(r"at most 0\.\d\d GB in a process", logged("print(timing.said(1.0))"))


def test_what_a_worker_hands_over_is_added() -> None:
    body = (
        "timing.add(({'write': 1.5}, 10**12))\ntiming.add(({'write': 0.25}, 1))\n"
        "print(timing.said(1.0))\nprint(timing.take()[0], timing.take()[0])"
    )
    first, second = logged(body).splitlines()
    assert first == "write 1.8 s; at most 1000.00 GB in a process"
    assert second == "{'write': 1.75} {}"


def test_memory_of_a_process_is_what_it_held() -> None:
    body = "data = bytearray(300_000_000)\nprint(timing.peak_memory() > 300_000_000)"
    assert logged(body) == "True"
