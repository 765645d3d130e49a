from pathlib import Path

import pytest

from counterweight.runtime.side_process import SideProcess

# Prints its option and the question.
ECHO = """import sys, time
question = sys.stdin.read()
time.sleep(float(sys.argv[1]))
print(sys.argv[1])
print(question)
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules outside the project."""
    (tmp_path / "echo.py").write_text(ECHO)
    (tmp_path / "broken.py").write_text("raise SystemExit(3)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def test_the_answer_is_a_list_of_lines() -> None:
    assert SideProcess("echo", "0").ask({"manifest": Path("a.csv")}, timeout=60) == ["0", '{"manifest": "a.csv"}']


@pytest.mark.parametrize("module", ["broken", "no_such_module"])
def test_a_process_that_fails_gives_no_answer(module: str) -> None:
    assert SideProcess(module).ask({}, timeout=60) == []


def test_a_process_that_takes_too_long_is_killed() -> None:
    side = SideProcess("echo", "60")
    assert side.ask({}, timeout=0.5) == []
    assert side.process is not None
    assert side.process.returncode == -9


def test_a_process_that_is_not_asked_ends_with_the_stage() -> None:
    side = SideProcess("echo", "0")
    assert side.process is not None
    assert side.process.communicate(timeout=60)[0] == "0\n\n"  # It closes the pipe, as the end of a stage does.
