"""Two runs at once do each other no damage."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RESIZE, TINY, make_tiny_data
from tests.workspace import PROJECT, make_workspace, run

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-m", "stages.resize", *RESIZE]


def digests(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "data").rglob("*")) if path.is_file()}


def start(folder: Path, *command: str) -> "subprocess.Popen[str]":
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(PROJECT), "DVC_NO_ANALYTICS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_of_two_repros_at_once_one_waits_or_says_so_and_the_outputs_are_whole(tmp_path: Path) -> None:
    make_tiny_data(tmp_path / "data-of-mine")
    inputs = {"data.images": "data-of-mine/images", "data.sheet": "data-of-mine/labels.xlsx"}
    both = make_workspace(tmp_path / "both", TINY | {k: f"../{v}" for k, v in inputs.items()})
    alone = make_workspace(tmp_path / "alone", TINY | {k: f"../{v}" for k, v in inputs.items()})
    run(alone, "dvc", "repro", "resize")
    runs = [start(both, "dvc", "repro", "resize") for _ in range(2)]
    logs = [each.communicate()[1] for each in runs]
    assert min(each.returncode for each in runs) == 0
    assert all("lock" in text for each, text in zip(runs, logs, strict=True) if each.returncode)
    assert "Traceback" not in "".join(logs)
    run(both, "dvc", "repro", "resize")
    assert digests(both) == digests(alone)


def test_a_stage_started_by_hand_during_another_does_no_damage(ingested: Path, tmp_path: Path) -> None:
    shutil.copytree(ingested / "images", tmp_path / "images")
    (tmp_path / "data").mkdir()
    for name in ("params.yaml", "data/manifest.csv"):
        shutil.copy(ingested / name, tmp_path / name)
    run(tmp_path, *COMMAND, PYTHONPATH=str(PROJECT))
    expected = digests(tmp_path)
    runs = [start(tmp_path, *COMMAND) for _ in range(3)]
    logs = [each.communicate()[1] for each in runs]
    assert min(each.returncode for each in runs) == 0
    refused = [text for each, text in zip(runs, logs, strict=True) if each.returncode]
    assert all(
        "another process is writing it. Wait until that has ended, then run dvc repro." in text for text in refused
    )
    assert "Traceback" not in "".join(logs)
    assert digests(tmp_path) == expected
