import logging

import pytest

from counterweight.runtime.progress import LogProgress, track_progress


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_the_log_has_a_line_per_half_minute_with_rate_and_time_left(logged: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    progress = LogProgress(10_000, "images", clock)
    for _ in range(7):
        clock.now += 10
        progress.update(500)
    assert logged.messages == [
        "1,500 of 10,000 images, 50 per second, 3 min left",
        "3,000 of 10,000 images, 50 per second, 2 min left",
    ]


def test_short_work_is_not_logged(logged: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    progress = LogProgress(100, "images", clock)
    clock.now += 29
    progress.update(100)
    assert logged.messages == []


def test_a_terminal_has_a_bar_and_no_log_lines(
    logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("counterweight.runtime.progress.LOG_INTERVAL", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with track_progress(4, "images") as update:
        update(3)
        update(1)
    assert logged.messages == []
    assert "images:" in capsys.readouterr().err


def test_a_file_has_log_lines_and_no_bar(
    logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("counterweight.runtime.progress.LOG_INTERVAL", 0.0)
    with track_progress(4, "images") as update:
        update(3)
    assert logged.messages[0].startswith("3 of 4 images, ")
    assert capsys.readouterr().err == ""
