"""Kill every stage, and fail its disk, at points in the course of its writes; see `tests.pipeline.disturbing`.

By default two renames and two other points of each stage are tried. With COUNTERWEIGHT_POINTS, every rename is, and so
many other points; 50 take an hour and more.
How many were tried of each stage stands in a file, with ``--junit-xml FILE``.
"""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.conftest import STAGES
from tests.workspace import PROJECT, run

POINTS = os.environ.get("COUNTERWEIGHT_POINTS")
TRIED = ["--points", "2", "--renames", "2"] if POINTS is None else ["--points", POINTS]
# A stage that starts anew at a hundred points takes as many times its own seconds.
pytestmark = pytest.mark.timeout(600 + 100 * int(POINTS or 2))


def disturbed(stage: str, by: str, folder: Path) -> dict[str, Any]:
    options, count = STAGES[stage]
    command = ["python", "-m", "tests.pipeline.disturbing", stage, "--by", by, *TRIED]
    found = run(folder, *command, "--outs", *options[1::2][-count:], "--", *options, PYTHONPATH=str(PROJECT)).stdout
    return dict(json.loads(found))


@pytest.mark.parametrize("stage", STAGES)
def test_stage_that_was_killed_ends_like_one_that_was_not(
    stage: str, judged: Path, record_property: Callable[[str, object], None]
) -> None:
    found = disturbed(stage, "kill", judged)
    for what in ("points", "renames"):
        record_property(what, found[what])
    record_property("tried", len(found["ends"]))
    assert found["wrong"] == []
    assert len(found["ends"]) >= min(found["points"], 2)


@pytest.mark.parametrize("stage", STAGES)
def test_stage_whose_disk_failed_says_so_and_ends_like_one_whose_did_not(
    stage: str, judged: Path, record_property: Callable[[str, object], None]
) -> None:
    found = disturbed(stage, "error", judged)
    for what in ("points", "renames"):
        record_property(what, found[what])
    record_property("tried", len(found["ends"]))
    assert found["wrong"] == []
    # Where only the cache could not be written, a stage is done.
    said = [end for end in found["ends"] if end != "done"]
    assert all("Input/output error" in end or "disk is full" in end or "No space left" in end for end in said)
    assert len(found["ends"]) >= min(found["points"], 2)


@pytest.mark.parametrize(("stage", "kept"), [("resize", 20), ("augment", 20), ("features", 20)])
def test_what_was_done_before_the_kill_is_not_done_again(stage: str, kept: int, judged: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    options, _ = STAGES[stage]
    # The stage is killed when its cache has so many entries.
    killer = (
        "import os, sys\nfrom pathlib import Path\nfrom counterweight.runtime import cache\n"
        "place = cache.Cache._place\n"
        "def counted(self, *given):\n"
        f"    if len(list(Path({str(cache)!r}).glob('*/*'))) == {kept}:\n"
        "        os.kill(os.getpid(), 9)\n"
        "    place(self, *given)\n"
        "cache.Cache._place = counted\n"
        f"from stages.{stage} import main\nmain(sys.argv[1:])\n"
    )
    settings = {"PYTHONPATH": str(PROJECT), "COUNTERWEIGHT_CACHE": str(cache), "COUNTERWEIGHT_WORKERS": "1"}
    killed = run(judged, "python", "-c", killer, *options, check=False, **settings)
    assert killed.returncode == -signal.SIGKILL
    before = {path: path.stat().st_ino for path in cache.glob("*/*")}
    assert len(before) == kept
    run(judged, "python", "-m", f"stages.{stage}", *options, **settings)
    after = {path: path.stat().st_ino for path in cache.glob("*/*")}
    assert {path: after[path] for path in before} == before
    assert len(after) > kept
