from pathlib import Path

import pytest

from counterweight.runtime.side_process import SideProcess

# Prints its option and its input.
ECHO = """import sys, time
line = sys.stdin.read()
time.sleep(float(sys.argv[1]))
print(sys.argv[1])
print(line)
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules outside the project."""
    (tmp_path / "echo.py").write_text(ECHO)
    (tmp_path / "broken.py").write_text("raise SystemExit(3)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def test_what_the_process_prints_is_a_list_of_lines() -> None:
    assert SideProcess("echo", "0").finish(timeout=60) == ["0", "go", ""]


@pytest.mark.parametrize("module", ["broken", "no_such_module"])
def test_a_process_that_fails_gives_no_lines(module: str) -> None:
    assert SideProcess(module).finish(timeout=60) == []


def test_a_process_that_takes_too_long_is_killed() -> None:
    side = SideProcess("echo", "60")
    assert side.finish(timeout=0.5) == []
    assert side.process is not None
    assert side.process.returncode == -9


def test_a_process_that_may_not_work_ends_with_the_stage() -> None:
    side = SideProcess("echo", "0")
    assert side.process is not None
    assert side.process.communicate(timeout=60)[0] == "0\n\n"  # It closes the pipe, as the end of a stage does.
