"""Batches on a real scheduler with real workers. `make test` installs Dask."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from counterweight.base.errors import InputError
from counterweight.runtime import dask_pool
from counterweight.runtime.dask_pool import scheduled
from counterweight.runtime.parallel import BATCH, for_each
from tests.conftest import AUGMENT, RESIZE
from tests.workspace import PROJECT, run

pytest.importorskip("distributed", reason="make cluster installs Dask")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts one of Dask's commands in a folder, and ends it after the test."""
    started: list[subprocess.Popen[str]] = []

    def command(folder: Path, *words: str) -> subprocess.Popen[str]:
        with (tmp_path / f"{len(started)}.log").open("w") as log:
            # In a group of its own: a worker has a nanny, and both are to end.
            process = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]],
                cwd=folder, env={**os.environ, "PYTHONPATH": str(PROJECT)}, stderr=log, text=True,
                start_new_session=True,
            )  # fmt: skip
        started.append(process)
        return process

    yield command
    for process in started:
        os.killpg(process.pid, signal.SIGTERM)
    for process in started:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            # A nanny may not hear of it while it starts its worker anew.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=10)


@pytest.fixture
def address(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> str:
    """A scheduler without workers."""
    start(tmp_path, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    for _ in range(300):
        found = re.search(r"tcp://127\.0\.0\.1:\d+", (tmp_path / "0.log").read_text())
        if found:
            return found[0]
        time.sleep(0.1)
    raise AssertionError((tmp_path / "0.log").read_text())


def squared(number: int) -> tuple[int, int]:
    """A number's square, and the process that made it."""
    time.sleep(0.01)
    return number**2, os.getpid()


def deadly(number: int) -> int:
    if number == 200:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.fixture
def two_workers(start: Callable[..., subprocess.Popen[str]], address: str) -> str:
    """The address of a scheduler with two workers."""
    for _ in range(2):
        start(PROJECT, "worker", address, "--nthreads", "1", "--no-dashboard")
    for _ in range(120):
        with scheduled({"COUNTERWEIGHT_SCHEDULER": address}, 1) as workers:
            if workers == 2:
                return address
        time.sleep(0.5)
    raise AssertionError("there are no two workers")


def test_batches_are_done_though_a_worker_is_killed(two_workers: str) -> None:
    with scheduled({"COUNTERWEIGHT_SCHEDULER": two_workers}, 1) as workers:
        ((_, victim),) = for_each(squared, [0], workers=workers, what="numbers")
        assert victim != os.getpid()
        killer = subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {victim}"])
        numbers = for_each(squared, range(6 * BATCH), workers=workers, what="numbers")
        assert killer.wait() == 0
        later = for_each(squared, range(6 * BATCH), workers=workers, what="numbers")
    for found in (numbers, later):
        assert [square for square, _ in found] == [number**2 for number in range(6 * BATCH)]
    assert victim not in {process for _, process in later}


def test_item_that_kills_every_worker_is_named(two_workers: str) -> None:
    with (
        scheduled({"COUNTERWEIGHT_SCHEDULER": two_workers}, 1) as workers,
        pytest.raises(InputError, match="image '200' ends the process that works on it"),
    ):
        for_each(deadly, range(3 * BATCH), workers=workers, what="numbers")


def test_stages_write_the_same_bytes_as_on_one_machine(
    start: Callable[..., subprocess.Popen[str]], address: str, augmented: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(augmented, folder, ignore=shutil.ignore_patterns(".counterweight", "resized", "augmented"))
    start(folder, "worker", address, "--nthreads", "1", "--no-dashboard")
    for stage, options in (("resize", RESIZE), ("augment", AUGMENT)):
        command = ["python", "-m", f"stages.{stage}", *options]
        run(folder, *command, PYTHONPATH=str(PROJECT), COUNTERWEIGHT_SCHEDULER=address)
    for outs in ("data/resized", "augmented"):
        here, there = (
            {
                path.relative_to(place): path.read_bytes()
                for path in (place / outs).rglob("*")
                # These are there if a test has run split or export already.
                if path.is_file() and path.name != "balanced.xlsx" and "dataset" not in path.parts
            }
            for place in (augmented, folder)
        )
        assert len(here) > 20
        assert there == here


def test_worker_in_another_folder_is_an_error(
    start: Callable[..., subprocess.Popen[str]], address: str, tmp_path: Path
) -> None:
    start(tmp_path, "worker", address, "--nthreads", "1", "--no-dashboard")
    with (
        pytest.raises(InputError, match=rf"is in {tmp_path}\. Start it in {Path.cwd()}\."),
        scheduled({"COUNTERWEIGHT_SCHEDULER": address}, 1),
    ):
        pass


def test_scheduler_without_workers_is_an_error(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_pool, "PATIENCE", 1)
    with (
        pytest.raises(InputError, match=rf"the scheduler at {address} has no worker\. Start some\."),
        scheduled({"COUNTERWEIGHT_SCHEDULER": address}, 1),
    ):
        pass


def test_scheduler_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_pool, "PATIENCE", 1)
    with (
        pytest.raises(InputError, match=r"no scheduler answers at COUNTERWEIGHT_SCHEDULER=tcp://127\.0\.0\.1:9 "),
        scheduled({"COUNTERWEIGHT_SCHEDULER": "tcp://127.0.0.1:9"}, 1),
    ):
        pass


def test_without_a_scheduler_the_work_is_done_here() -> None:
    with scheduled({}, 3) as workers:
        assert workers == 3
