import os
import time

import pytest

from stages.core.errors import InputError
from stages.core.parallel import for_each


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
def test_results_stand_in_the_order_of_the_items(workers: int) -> None:
    assert for_each(str, range(300), workers=workers, what="count") == [str(item) for item in range(300)]


def test_results_stand_in_the_order_of_the_items_whatever_is_done_first() -> None:
    assert for_each(last_batch_first, range(300), workers=2, what="count") == list(range(300))


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_gives_nothing(workers: int) -> None:
    assert for_each(str, [], workers=workers, what="count") == []


def test_one_worker_is_this_process() -> None:
    assert set(for_each(process_of, range(300), workers=1, what="count")) == {os.getpid()}


def test_one_batch_is_done_in_this_process() -> None:
    assert set(for_each(process_of, range(128), workers=2, what="count")) == {os.getpid()}


def test_several_batches_are_done_in_other_processes() -> None:
    assert os.getpid() not in for_each(process_of, range(129), workers=2, what="count")


@pytest.mark.parametrize("workers", [1, 2])
def test_an_input_error_stays_one_across_processes(workers: int) -> None:
    with pytest.raises(InputError, match=r"row 200: no image\."):
        for_each(refuse_200, range(300), workers=workers, what="count")
