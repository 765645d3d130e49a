"""Every stage on a file system that is full: a small one of its own, in memory; see `tests.pipeline.filling`."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.conftest import STAGES
from tests.workspace import PROJECT, run


@pytest.fixture(scope="module")
def small(judged: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the tiny folder on a file system of 96 MB."""
    place = tmp_path_factory.mktemp("small")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system needs the right to mount one")
    try:
        shutil.copytree(judged, place / "tiny", ignore=shutil.ignore_patterns(".counterweight"))
        yield place / "tiny"
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("stage", STAGES)
def test_full_disk_is_said_leaves_nothing_and_costs_nothing_once_there_is_room(stage: str, small: Path) -> None:
    options, count = STAGES[stage]
    command = ["python", "-m", "tests.pipeline.filling", stage, "--outs", *options[1::2][-count:], "--", *options]
    found = json.loads(run(small, *command, PYTHONPATH=str(PROJECT)).stdout)
    assert found["wrong"] == []
    said = [end for end in found["ends"] if end != "done"]
    assert said
    assert all(("the disk is full" in end or "on this disk, and" in end) and "Free some" in end for end in said)
