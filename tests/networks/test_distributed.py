import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import BatchSampler, SequentialSampler

from counterweight.base.errors import InputError
from counterweight.networks.distributed import Group, Shares, group_of
from tests.workspace import PROJECT

CPU = torch.device("cpu")

# The second process fails at once, and the first goes on for some seconds.
PROGRAM = """
import os, sys, time
import torch
from counterweight.networks import distributed

distributed._GRACE, seconds = map(int, sys.argv[1:])
group = distributed.group_of({"COUNTERWEIGHT_DEVICES": "2"}, torch.device("cpu"))
if group.rank:
    print("second", os.getpid(), file=sys.stderr, flush=True)
    os._exit(3)
time.sleep(seconds)
sys.exit("the first has its say")
"""


def ended(folder: Path, *seconds: str) -> "subprocess.CompletedProcess[str]":
    """How the first of two processes ends that has some seconds to do so, and needs some."""
    (folder / "program.py").write_text(PROGRAM)
    command = (sys.executable, str(folder / "program.py"), *seconds)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_process_alone_has_every_item() -> None:
    assert Group(CPU).share(5) == [0, 1, 2, 3, 4]
    part = torch.arange(5)
    assert Group(CPU).whole(part, 5) is part


def test_shares_are_of_one_length_and_hold_every_item() -> None:
    shares = [Group(CPU, rank, 4).share(10) for rank in range(4)]
    assert shares == [[0, 4, 8], [1, 5, 9], [2, 6, 9], [3, 7, 9]]


def test_process_has_a_share_of_fewer_items_than_processes() -> None:
    assert [Group(CPU, rank, 4).share(2) for rank in range(4)] == [[0], [1], [1], [1]]


def test_each_process_sees_its_share_of_every_batch() -> None:
    batches = BatchSampler(SequentialSampler(range(7)), 4, drop_last=False)
    first, second = (Shares(batches, Group(CPU, rank, 2)) for rank in range(2))
    assert list(first) == [[0, 2], [4, 6]]
    assert list(second) == [[1, 3], [5, 6]]
    assert len(first) == 2


def test_nothing_is_started_where_nothing_is_asked_for() -> None:
    assert group_of({}, CPU) == Group(CPU)
    assert group_of({"COUNTERWEIGHT_DEVICES": "1", "COUNTERWEIGHT_NODES": "1"}, CPU) == Group(CPU)


@pytest.mark.parametrize("name", ["COUNTERWEIGHT_DEVICES", "COUNTERWEIGHT_NODES"])
@pytest.mark.parametrize("value", ["0", "two", "-1", ""])
def test_count_that_is_none_is_an_error(name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"{name} must be a whole number of at least 1, not '{value}'"):
        group_of({name: value}, CPU)


def test_hosts_without_a_launcher_are_an_error() -> None:
    with pytest.raises(InputError, match="COUNTERWEIGHT_NODES is 2, and neither torchrun nor Slurm"):
        group_of({"COUNTERWEIGHT_NODES": "2"}, CPU)


def test_several_processes_on_a_device_that_takes_one_are_an_error() -> None:
    with pytest.raises(InputError, match="2 processes are asked for, and on mps there is one"):
        group_of({"COUNTERWEIGHT_DEVICES": "2"}, torch.device("mps"))


def test_one_gpu_for_several_processes_is_an_error() -> None:
    with pytest.raises(InputError, match="COUNTERWEIGHT_DEVICE=cuda:1 names one GPU"):
        group_of({"COUNTERWEIGHT_DEVICES": "2"}, torch.device("cuda:1"))


def test_more_processes_than_gpus_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="COUNTERWEIGHT_DEVICES is 2, and this host has 1 GPUs"):
        group_of({"COUNTERWEIGHT_DEVICES": "2"}, torch.device("cuda"))


def test_process_ends_by_itself_though_another_has_failed_seconds_ago(tmp_path: Path) -> None:
    done = ended(tmp_path, "60", "7")
    assert done.returncode == 1
    assert "the first has its say" in done.stderr
    assert "another process" not in done.stderr


def test_process_that_does_not_end_after_another_has_failed_is_ended(tmp_path: Path) -> None:
    done = ended(tmp_path, "1", "600")
    assert done.returncode == 1
    assert "another process of this stage ended before its work was done" in done.stderr
