import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import INGEST, TINY, make_tiny_data
from tests.workspace import PROJECT, make_workspace, run, write_params
from tools.repro import is_whole, keep, restore

STAGES = """\
schema: '2.0'
stages:
  ingest:
    cmd: python -m stages.ingest
    deps:
    - path: labels.xlsx
      md5: 1234
    outs:
    - path: data/manifest.csv
      md5: 5678
    - path: data/labels.csv
      md5: 9012
  resize:
    cmd: python -m stages.resize
    outs:
    - path: data/resized.csv
      md5: 3456
"""
PATHS = {"data.images": "../mine/images", "data.sheet": "../mine/labels.xlsx"}
COMMAND = [sys.executable, "-m", "tools.repro", "ingest"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    make_tiny_data(tmp_path / "mine")
    return make_workspace(tmp_path / "project", TINY | PATHS)


@pytest.mark.parametrize("length", [0, 1, 100, 200, STAGES.index("  resize"), len(STAGES) - 1])
def test_a_part_of_a_dvc_lock_is_not_whole(length: int) -> None:
    assert not is_whole(STAGES[:length].encode(), STAGES.encode())


def test_a_dvc_lock_with_new_stages_or_outputs_is_whole() -> None:
    more = STAGES + "    - path: data/resized\n      md5: 7\n  features:\n    cmd: python -m stages.features\n"
    assert is_whole(more.encode(), STAGES.encode())
    assert is_whole(STAGES.encode(), None)


def test_a_part_is_replaced_by_what_was_kept(folder: Path) -> None:
    (folder / "dvc.lock").write_text(STAGES)
    keep()
    (folder / "dvc.lock").write_text(STAGES[:150])
    keep()
    assert restore()
    assert (folder / "dvc.lock").read_text() == STAGES
    assert not restore()


@pytest.mark.slow
def test_a_table_changed_by_hand_stops_the_run_and_is_kept(project: Path) -> None:
    run(project, *COMMAND, PYTHONPATH=str(PROJECT))
    table = project / "data/manifest.csv"
    changed = table.read_text().replace("train", "test", 1)
    table.unlink()
    table.write_text(changed)
    result = run(project, *COMMAND, check=False, PYTHONPATH=str(PROJECT))
    assert (result.returncode, table.read_text()) == (1, changed)
    assert result.stderr == (
        "repro: no finished run wrote what these outputs hold, and it would be overwritten: data/manifest.csv. If you "
        "changed them, make the change in your sheet or in params.yaml. Then, or after a dvc repro that was stopped, "
        "drop it here: dvc checkout --force data/manifest.csv\n"
    )
    run(project, "dvc", "checkout", "--force", "data/manifest.csv")
    assert "didn't change, skipping" in run(project, *COMMAND, PYTHONPATH=str(PROJECT)).stdout


@pytest.mark.slow
def test_plain_dvc_repro_stops_at_a_manifest_changed_by_hand_and_keeps_it(project: Path) -> None:
    run(project, "dvc", "repro", "ingest", PYTHONPATH=str(PROJECT))
    table = project / "data/manifest.csv"
    written = table.read_text()
    table.unlink()
    table.write_text(written.replace("train", "test", 1))
    result = run(project, "dvc", "repro", "ingest", check=False, PYTHONPATH=str(PROJECT))
    assert (result.returncode != 0, table.read_text() != written) == (True, True)
    message = (
        "data/manifest.csv: no stage wrote what it holds. If you changed it, make the change in your sheet or in "
        "params.yaml instead. Delete the file, then run dvc repro.\n"
    )
    assert f"ingest: {message}" in result.stderr
    reader = run(project, "dvc", "repro", "--single-item", "resize", check=False, PYTHONPATH=str(PROJECT))
    assert f"resize: {message}" in reader.stderr
    assert not (project / "data/resized").exists()
    table.unlink()
    run(project, "dvc", "repro", "ingest", PYTHONPATH=str(PROJECT))
    assert table.read_text() == written


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_stage_that_dvc_runs(sent: signal.Signals, project: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(PROJECT), "DVC_NO_ANALYTICS": "1"}
    process = subprocess.Popen(
        [*COMMAND[:-1], "features"], cwd=project, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    pid = ""
    while not pid and process.poll() is None:
        time.sleep(0.05)
        found = subprocess.run(["pgrep", "-f", "stages.features"], capture_output=True, text=True, check=False)
        pid = next(
            (pid for pid in found.stdout.split() if str(project) == str(Path(f"/proc/{pid}/cwd").readlink())), ""
        )
    process.send_signal(sent)
    process.communicate(timeout=60)
    assert process.returncode != 0
    # DVC does not wait for its stage, which needs a moment to end its own processes.
    for _ in range(200):
        if not Path(f"/proc/{pid}").exists():
            break
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.slow
def test_a_kill_while_dvc_lock_is_written_loses_nothing(project: Path) -> None:
    run(project, *COMMAND, PYTHONPATH=str(PROJECT))
    lock = project / "dvc.lock"
    whole = lock.read_bytes()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(PROJECT), "DVC_NO_ANALYTICS": "1"}
    for delay in (0.0, 0.001, 0.003, 0.01):
        written = lock.stat().st_mtime_ns
        options = ["dvc", "repro", "--force", "ingest"]
        options = [sys.executable, "-m", "tools.repro", *options[2:]]
        process = subprocess.Popen(options, cwd=project, env=environment, start_new_session=True)
        while lock.stat().st_mtime_ns == written and process.poll() is None:
            time.sleep(0.0005)
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        run(project, *COMMAND, PYTHONPATH=str(PROJECT))
        assert lock.read_bytes() == whole


@pytest.mark.slow
def test_what_an_interrupted_stage_wrote_is_no_change_by_hand(project: Path) -> None:
    run(project, *COMMAND, PYTHONPATH=str(PROJECT))
    table = project / "data/labels.csv"
    table.unlink()
    table.write_text("half of it\n")
    (project / ".dvc/tmp/repro.running").touch()
    result = run(project, *COMMAND, PYTHONPATH=str(PROJECT))
    assert "dvc checkout" not in result.stderr
    assert table.read_text().startswith("label,")
    assert not (project / ".dvc/tmp/repro.running").exists()


@pytest.mark.slow
def test_the_part_that_a_kill_left_is_replaced_at_the_next_start(project: Path) -> None:
    run(project, *COMMAND, PYTHONPATH=str(PROJECT))
    lock, kept = project / "dvc.lock", project / ".dvc/tmp/dvc.lock"
    whole = lock.read_bytes()
    shutil.copy(lock, kept)
    for part in (b"", whole[:400]):
        (project / ".dvc/tmp/repro.running").touch()
        lock.write_bytes(part)
        result = run(project, *COMMAND, PYTHONPATH=str(PROJECT))
        assert "the last run was killed while DVC wrote dvc.lock" in result.stderr
        assert "didn't change, skipping" in result.stdout
        assert lock.read_bytes() == whole


@pytest.mark.slow
def test_a_manifest_that_a_stopped_stage_wrote_is_no_change_by_hand(project: Path) -> None:
    run(project, "dvc", "repro", "ingest", PYTHONPATH=str(PROJECT))
    write_params(project / "params.yaml", TINY | PATHS | {"data.validation": 0.4})
    run(
        project, sys.executable, "-m", "stages.ingest", *INGEST[4:], PYTHONPATH=str(PROJECT)
    )  # DVC knows nothing of it.
    written = (project / "data/manifest.csv").read_text()
    run(project, "dvc", "repro", "ingest", PYTHONPATH=str(PROJECT))
    assert (project / "data/manifest.csv").read_text() == written
