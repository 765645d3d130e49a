import pytest

from counterweight.onboarding.next_steps import duration, next_steps


def test_the_steps_are_the_command_its_time_and_its_result() -> None:
    assert next_steps(6_000, 12, 4) == [
        "next: dvc repro resizes 6,000 images, shows what is wrong with them, compares remedies and trains 12 networks",
        "time: about 4 minutes on 4 cores; a GPU shortens all but the resizing",
        "then: open results/report.html",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1 minute"), (61, "2 minutes"), (5399, "90 minutes"), (5401, "2 hours"), (360_000, "100 hours")],
)
def test_times_are_rounded_up_to_minutes_or_hours(seconds: float, text: str) -> None:
    assert duration(seconds) == text
