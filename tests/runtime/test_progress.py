import logging

import pytest

from counterweight.runtime.progress import Lines, progress


class Clock:
    """Goes only when it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_log_has_a_line_each_half_minute_with_rate_and_time_left(logged: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    lines = Lines(10_000, "images", clock)
    for _ in range(7):
        clock.now += 10
        lines.update(500)
    assert logged.messages == [
        "1,500 of 10,000 images, 50 a second, 3 min left",
        "3,000 of 10,000 images, 50 a second, 2 min left",
    ]


def test_short_work_is_not_talked_of(logged: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    lines = Lines(100, "images", clock)
    clock.now += 29
    lines.update(100)
    assert logged.messages == []


def test_terminal_has_a_bar_and_no_lines(
    logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("counterweight.runtime.progress.EVERY", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress(4, "images") as update:
        update(3)
        update(1)
    assert logged.messages == []
    assert "images:" in capsys.readouterr().err


def test_file_has_lines_and_no_bar(
    logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("counterweight.runtime.progress.EVERY", 0.0)
    with progress(4, "images") as update:
        update(3)
    assert logged.messages[0].startswith("3 of 4 images, ")
    assert capsys.readouterr().err == ""
