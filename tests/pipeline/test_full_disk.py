"""Every stage on a file system that is full: a small one of its own, in memory; see `tests.pipeline.filling`."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.conftest import STAGES
from tests.workspace import PROJECT, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def small(judged: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the tiny folder on a file system of 96 MB."""
    mount_point = tmp_path_factory.mktemp("small")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", mount_point], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system needs the right to mount one")
    try:
        shutil.copytree(judged, mount_point / "tiny", ignore=shutil.ignore_patterns(".counterweight"))
        yield mount_point / "tiny"
    finally:
        subprocess.run(["umount", mount_point], check=True)


@pytest.mark.parametrize("stage", STAGES)
def test_full_disk_is_said_leaves_nothing_and_costs_nothing_once_there_is_room(stage: str, small: Path) -> None:
    options, count = STAGES[stage]
    command = ["python", "-m", "tests.pipeline.filling", stage, "--outs", *options[1::2][-count:], "--", *options]
    result = json.loads(run(small, *command, PYTHONPATH=str(PROJECT)).stdout)
    assert result["wrong"] == []
    failures = [end for end in result["ends"] if end != "done"]
    assert failures
    assert all(("the disk is full" in end or "on this disk, and" in end) and "Free some" in end for end in failures)
