"""Batches on a real Dask scheduler with real workers. `make test` installs Dask."""

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
from counterweight.runtime.dask_pool import dask_workers
from counterweight.runtime.parallel import MAX_BATCH, parallel_map
from tests.conftest import AUGMENT, FEATURES, RESIZE
from tests.workspace import PROJECT, run

pytest.importorskip("distributed", reason="make cluster installs Dask")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Dask's commands in a folder; they are ended after the test."""
    started: list[subprocess.Popen[str]] = []

    def command(folder: Path, *words: str) -> subprocess.Popen[str]:
        with (tmp_path / f"{len(started)}.log").open("w") as log:
            # A process group of its own, to end a worker together with its nanny.
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
            # A nanny that is restarting its worker may miss the signal.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=10)


@pytest.fixture
def address(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> str:
    """A scheduler without workers."""
    start(tmp_path, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    for _ in range(300):
        match = re.search(r"tcp://127\.0\.0\.1:\d+", (tmp_path / "0.log").read_text())
        if match:
            return match[0]
        time.sleep(0.1)
    raise AssertionError((tmp_path / "0.log").read_text())


def squared(number: int) -> tuple[int, int]:
    """Return a number's square and the id of the process that computed it."""
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
        with dask_workers({"COUNTERWEIGHT_SCHEDULER": address}, 1) as workers:
            if workers == 2:
                return address
        time.sleep(0.5)
    raise AssertionError("the scheduler does not have two workers")


@pytest.mark.slow
def test_all_batches_are_done_even_if_a_worker_is_killed(two_workers: str) -> None:
    with dask_workers({"COUNTERWEIGHT_SCHEDULER": two_workers}, 1) as workers:
        ((_, victim),) = parallel_map(squared, [0], workers=workers, what="numbers")
        assert victim != os.getpid()
        killer = subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {victim}"])
        numbers = parallel_map(squared, range(6 * MAX_BATCH), workers=workers, what="numbers")
        assert killer.wait() == 0
        later = parallel_map(squared, range(6 * MAX_BATCH), workers=workers, what="numbers")
    for results in (numbers, later):
        assert [square for square, _ in results] == [number**2 for number in range(6 * MAX_BATCH)]
    assert victim not in {process for _, process in later}


@pytest.mark.slow
def test_item_that_kills_every_worker_is_named(two_workers: str) -> None:
    with (
        dask_workers({"COUNTERWEIGHT_SCHEDULER": two_workers}, 1) as workers,
        pytest.raises(InputError, match="image '200' kills its worker process"),
    ):
        parallel_map(deadly, range(3 * MAX_BATCH), workers=workers, what="numbers")


def test_stages_write_the_same_bytes_as_on_one_machine(
    start: Callable[..., subprocess.Popen[str]], address: str, augmented: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(
        augmented, folder, ignore=shutil.ignore_patterns(".counterweight", "resized", "features.npy", "augmented")
    )
    start(folder, "worker", address, "--nthreads", "1", "--no-dashboard")
    for stage, options in (("resize", RESIZE), ("features", FEATURES), ("augment", AUGMENT)):
        command = ["python", "-m", f"stages.{stage}", *options]
        run(folder, *command, PYTHONPATH=str(PROJECT), COUNTERWEIGHT_SCHEDULER=address)
    for outs, at_least in (("data/resized", 20), ("features", 5), ("augmented", 20)):
        expected, written = (
            {
                path.relative_to(project): path.read_bytes()
                for path in (project / outs).rglob("*")
                # Outputs of sheet and export, if another test has run them already.
                if path.is_file() and path.name != "balanced.xlsx" and "dataset" not in path.parts
            }
            for project in (augmented, folder)
        )
        assert len(expected) > at_least
        assert written == expected


def test_a_worker_in_another_folder_is_an_error(
    start: Callable[..., subprocess.Popen[str]], address: str, tmp_path: Path
) -> None:
    start(tmp_path, "worker", address, "--nthreads", "1", "--no-dashboard")
    with (
        pytest.raises(InputError, match=rf"runs in {tmp_path}\. Start it in {Path.cwd()}\."),
        dask_workers({"COUNTERWEIGHT_SCHEDULER": address}, 1),
    ):
        pass


def test_a_scheduler_without_workers_is_an_error(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_pool, "TIMEOUT", 1)
    with (
        pytest.raises(InputError, match=rf"the scheduler at {address} has no worker\. Start one\."),
        dask_workers({"COUNTERWEIGHT_SCHEDULER": address}, 1),
    ):
        pass


def test_a_scheduler_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_pool, "TIMEOUT", 1)
    with (
        pytest.raises(InputError, match=r"no scheduler answers at COUNTERWEIGHT_SCHEDULER=tcp://127\.0\.0\.1:9 "),
        dask_workers({"COUNTERWEIGHT_SCHEDULER": "tcp://127.0.0.1:9"}, 1),
    ):
        pass


def test_without_a_scheduler_this_machine_runs_the_batches() -> None:
    with dask_workers({}, 3) as workers:
        assert workers == 3
