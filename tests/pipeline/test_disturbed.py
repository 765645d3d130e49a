"""Kill every stage, and fail its disk, at points in the course of its writes; see `tests.pipeline.disturbing`.

By default, each stage is killed at one rename. The slow tests try two renames and two other points per stage or, with
COUNTERWEIGHT_POINTS, every rename and that many other points; 50 take over an hour.
``--junit-xml FILE`` writes a file with the number of points that were tried per stage.
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
ONE_RENAME = ["--points", "0", "--renames", "1"]
SEVERAL_POINTS = ["--points", "2", "--renames", "2"] if POINTS is None else ["--points", POINTS]
# A stage that starts anew at a hundred points takes as many times its own seconds.
pytestmark = pytest.mark.timeout(600 + 100 * int(POINTS or 2))


def disturbed(stage: str, by: str, points: list[str], folder: Path) -> dict[str, Any]:
    options, count = STAGES[stage]
    command = ["python", "-m", "tests.pipeline.disturbing", stage, "--by", by, *points]
    result = run(folder, *command, "--outs", *options[1::2][-count:], "--", *options, PYTHONPATH=str(PROJECT)).stdout
    return dict(json.loads(result))


@pytest.mark.parametrize("stage", STAGES)
def test_stage_that_was_killed_at_a_rename_ends_like_one_that_was_not(stage: str, judged: Path) -> None:
    result = disturbed(stage, "kill", ONE_RENAME, judged)
    assert result["wrong"] == []
    assert result["ends"] == ["killed"]


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_stage_that_was_killed_ends_like_one_that_was_not(
    stage: str, judged: Path, record_property: Callable[[str, object], None]
) -> None:
    result = disturbed(stage, "kill", SEVERAL_POINTS, judged)
    for what in ("points", "renames"):
        record_property(what, result[what])
    record_property("tried", len(result["ends"]))
    assert result["wrong"] == []
    assert len(result["ends"]) >= min(result["points"], 2)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_stage_whose_disk_failed_says_so_and_ends_like_one_whose_did_not(
    stage: str, judged: Path, record_property: Callable[[str, object], None]
) -> None:
    result = disturbed(stage, "error", SEVERAL_POINTS, judged)
    for what in ("points", "renames"):
        record_property(what, result[what])
    record_property("tried", len(result["ends"]))
    assert result["wrong"] == []
    # Where only the cache could not be written, a stage is done.
    failures = [end for end in result["ends"] if end != "done"]
    assert all("Input/output error" in end or "disk is full" in end or "No space left" in end for end in failures)
    assert len(result["ends"]) >= min(result["points"], 2)


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "kept"), [("resize", 20), ("augment", 20), ("features", 5)])
def test_what_was_done_before_the_kill_is_not_done_again(stage: str, kept: int, judged: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    options, _ = STAGES[stage]
    # The stage is killed when its cache has so many entries.
    killer = (
        "import os, sys\nfrom pathlib import Path\nfrom counterweight.runtime import row_cache\n"
        # Four rows of 64 numbers are an entry.
        "from counterweight.runtime.cache import Cache\nrow_cache._MAX_BYTES = 1000\n"
        "def counted(put):\n"
        "    def put_or_die(self, *args):\n"
        f"        if len(list(Path({str(cache)!r}).glob('*/*'))) == {kept}:\n"
        "            os.kill(os.getpid(), 9)\n"
        "        put(self, *args)\n"
        "    return put_or_die\n"
        "Cache.put, Cache.put_bytes = counted(Cache.put), counted(Cache.put_bytes)\n"
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
