import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from counterweight.base.errors import InputError
from counterweight.runtime.parallel import parallel_map


def refuse_200(item: int) -> int:
    if item == 200:
        raise InputError("row 200: no image.")
    return item


def last_batch_first(item: int) -> int:
    if item == 0:
        time.sleep(0.5)
    return item


def process_of(_: int) -> int:
    return os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_in_the_order_of_the_items(workers: int) -> None:
    assert parallel_map(str, range(300), workers=workers, what="count") == [str(item) for item in range(300)]


def test_results_are_in_order_if_a_later_batch_is_done_first() -> None:
    assert parallel_map(last_batch_first, range(300), workers=2, what="count") == list(range(300))


@pytest.mark.parametrize("workers", [1, 2])
def test_no_items_give_no_results(workers: int) -> None:
    assert parallel_map(str, [], workers=workers, what="count") == []


def test_one_worker_is_this_process() -> None:
    assert set(parallel_map(process_of, range(300), workers=1, what="count")) == {os.getpid()}


def test_one_batch_is_done_in_this_process() -> None:
    assert set(parallel_map(process_of, range(128), workers=2, what="count")) == {os.getpid()}


def test_several_batches_are_done_in_other_processes() -> None:
    assert os.getpid() not in parallel_map(process_of, range(129), workers=2, what="count")


@pytest.mark.parametrize("workers", [1, 2])
def test_an_input_error_crosses_processes(workers: int) -> None:
    with pytest.raises(InputError, match=r"row 200: no image\."):
        parallel_map(refuse_200, range(300), workers=workers, what="count")


def die_of_200(item: int) -> int:
    if item == 200:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def die_once(job: tuple[int, Path]) -> int:
    item, mark = job
    if item == 200 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_the_batch_of_a_worker_that_died_once_is_repeated(tmp_path: Path) -> None:
    jobs = [(item, tmp_path / "died") for item in range(600)]
    assert parallel_map(die_once, jobs, workers=2, what="count") == list(range(600))
    assert (tmp_path / "died").exists()


def test_an_item_that_kills_its_worker_twice_is_named() -> None:
    with pytest.raises(
        InputError, match=r"image 'photo 200' kills its worker process: .* Replace the file or delete its row"
    ):
        parallel_map(die_of_200, range(600), workers=2, what="count", name=lambda item: f"photo {item}")


def test_items_that_kill_workers_only_at_first_are_done_in_isolation(tmp_path: Path) -> None:
    jobs = [(item, tmp_path / f"died {item // 300}") for item in range(600)]
    assert parallel_map(die_twice, jobs, workers=2, what="count") == list(range(600))


def die_twice(job: tuple[int, Path]) -> int:
    item, mark = job
    if item in (200, 500) and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


@pytest.mark.parametrize(
    "module",
    ["counterweight.images.validation", "counterweight.images.resizing", "counterweight.augmentation.copy_maker"],
)
def test_worker_processes_import_no_heavy_packages(module: str) -> None:
    heavy = "{'imgaug', 'pandas', 'scipy', 'sklearn', 'torch'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"


def test_few_items_that_take_long_are_spread_over_processes_one_at_a_time() -> None:
    assert set(parallel_map(process_of, [1, 2, 3, 4], workers=2, what="shards")) == {os.getpid()}
    assert os.getpid() not in parallel_map(process_of, [1, 2, 3, 4], workers=2, what="shards", max_batch=1)
