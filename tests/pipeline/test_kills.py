"""Kill every stage at points in the course of its writes; see `tests.pipeline.killing`.

COUNTERWEIGHT_KILLS is how many points of each kind to try, by default 2; 50 take an hour.
"""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.conftest import AUGMENT, CLUSTER, EVALUATE, FEATURES, FILL, INGEST, RESIZE, SPLIT, TRAIN
from tests.workspace import PROJECT, run

COMPARE = (
    "--original-metrics results/balanced/metrics.json --original-labels results/balanced/labels.csv "
    "--balanced-metrics results/balanced/metrics.json --balanced-labels results/balanced/labels.csv "
    "--table results/comparison.csv --json results/comparison.json --chart results/comparison.svg"
).split()
# Each stage's options, and how many of the last of them are its outputs.
STAGES = {
    "ingest": (INGEST, 5),
    "resize": (RESIZE, 2),
    "features": (FEATURES, 1),
    "fill": (FILL, 3),
    "cluster": (CLUSTER, 2),
    "augment": (AUGMENT, 4),
    "split": (SPLIT, 1),
    "train": (TRAIN, 2),
    "evaluate": (EVALUATE, 8),
    "compare": (COMPARE, 3),
}
POINTS = os.environ.get("COUNTERWEIGHT_KILLS", "2")


@pytest.fixture(scope="module")
def judged(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny folder after evaluate, to kill stages in."""
    folder = tmp_path_factory.mktemp("killed") / "tiny"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns(".counterweight"))
    run(folder, "python", "-m", "stages.evaluate", *EVALUATE, PYTHONPATH=str(PROJECT))
    return folder


@pytest.mark.parametrize("stage", STAGES)
def test_stage_that_was_killed_ends_like_one_that_was_not(stage: str, judged: Path) -> None:
    options, count = STAGES[stage]
    outs = options[1::2][-count:]
    command = ["python", "-m", "tests.pipeline.killing", stage, "--points", POINTS, "--outs", *outs, "--", *options]
    found = json.loads(run(judged, *command, PYTHONPATH=str(PROJECT)).stdout)
    assert found["wrong"] == []
    assert found["tried"] >= min(found["points"], 2)


@pytest.mark.parametrize(("stage", "kept"), [("resize", 20), ("augment", 20), ("features", 20)])
def test_what_was_done_before_the_kill_is_not_done_again(stage: str, kept: int, judged: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    options, _ = STAGES[stage]
    # The stage is killed when its cache has so many entries.
    killer = (
        "import os, sys\nfrom pathlib import Path\nfrom stages.core import cache\n"
        "place = cache.Cache._place\n"
        "def counted(self, *given):\n"
        f"    if len([p for p in Path({str(cache)!r}).rglob('*') if p.is_file()]) == {kept}:\n"
        "        os.kill(os.getpid(), 9)\n"
        "    place(self, *given)\n"
        "cache.Cache._place = counted\n"
        f"from stages.{stage} import main\nmain(sys.argv[1:])\n"
    )
    settings = {"PYTHONPATH": str(PROJECT), "COUNTERWEIGHT_CACHE": str(cache), "COUNTERWEIGHT_WORKERS": "1"}
    killed = run(judged, "python", "-c", killer, *options, check=False, **settings)
    assert killed.returncode == -signal.SIGKILL
    before = {path: path.stat().st_ino for path in cache.rglob("*") if path.is_file()}
    assert len(before) == kept
    run(judged, "python", "-m", f"stages.{stage}", *options, **settings)
    after = {path: path.stat().st_ino for path in cache.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    assert len(after) > kept
