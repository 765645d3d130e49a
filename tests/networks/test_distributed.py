import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from counterweight.base.errors import InputError
from counterweight.networks.distributed import ProcessGroup, ShardedBatchSampler, init_process_group
from tests.workspace import PROJECT

CPU = torch.device("cpu")

# The second process fails at once; the first runs for some more seconds.
PROGRAM = """
import os, sys, time
import torch
from counterweight.networks import distributed

distributed._GRACE_SECONDS, seconds = map(int, sys.argv[1:])
group = distributed.init_process_group({"COUNTERWEIGHT_DEVICES": "2"}, torch.device("cpu"))
if group.rank:
    print("second", os.getpid(), file=sys.stderr, flush=True)
    os._exit(3)
time.sleep(seconds)
sys.exit("the first has its say")
"""


def run_first_of_two(folder: Path, *seconds: str) -> "subprocess.CompletedProcess[str]":
    """Run two processes; ``seconds`` are those that the first is given to end, and those that it needs."""
    (folder / "program.py").write_text(PROGRAM)
    command = (sys.executable, str(folder / "program.py"), *seconds)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_single_process_has_every_item() -> None:
    assert ProcessGroup(CPU).shard(5) == [0, 1, 2, 3, 4]
    part = torch.arange(5)
    assert ProcessGroup(CPU).all_gather(part, 5) is part


def test_shards_are_equally_long_and_contain_every_item() -> None:
    shards = [ProcessGroup(CPU, rank, 4).shard(10) for rank in range(4)]
    assert shards == [[0, 4, 8], [1, 5, 9], [2, 6, 9], [3, 7, 9]]


def test_shard_is_not_empty_when_there_are_fewer_items_than_processes() -> None:
    assert [ProcessGroup(CPU, rank, 4).shard(2) for rank in range(4)] == [[0], [1], [1], [1]]


def test_each_process_gets_its_shard_of_every_batch() -> None:
    first, second = (ShardedBatchSampler(range(7), 4, ProcessGroup(CPU, rank, 2), drop_last=False) for rank in range(2))
    assert list(first) == [[0, 2], [4, 6]]
    assert list(second) == [[1, 3], [5, 6]]
    assert len(first) == 2


def test_no_process_is_started_by_default() -> None:
    assert init_process_group({}, CPU) == ProcessGroup(CPU)
    assert init_process_group({"COUNTERWEIGHT_DEVICES": "1", "COUNTERWEIGHT_NODES": "1"}, CPU) == ProcessGroup(CPU)


@pytest.mark.parametrize("name", ["COUNTERWEIGHT_DEVICES", "COUNTERWEIGHT_NODES"])
@pytest.mark.parametrize("value", ["0", "two", "-1", ""])
def test_count_that_is_not_a_positive_whole_number_is_an_error(name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"{name} must be a whole number of at least 1, not '{value}'"):
        init_process_group({name: value}, CPU)


def test_several_hosts_without_a_launcher_are_an_error() -> None:
    with pytest.raises(InputError, match="COUNTERWEIGHT_NODES is 2, and neither torchrun nor Slurm"):
        init_process_group({"COUNTERWEIGHT_NODES": "2"}, CPU)


def test_several_processes_on_a_device_that_allows_one_are_an_error() -> None:
    with pytest.raises(InputError, match="ask for 2 processes, and mps allows one"):
        init_process_group({"COUNTERWEIGHT_DEVICES": "2"}, torch.device("mps"))


def test_one_named_gpu_for_several_processes_is_an_error() -> None:
    with pytest.raises(InputError, match="COUNTERWEIGHT_DEVICE=cuda:1 names one GPU"):
        init_process_group({"COUNTERWEIGHT_DEVICES": "2"}, torch.device("cuda:1"))


def test_more_processes_than_gpus_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="COUNTERWEIGHT_DEVICES is 2, and this host has 1 GPUs"):
        init_process_group({"COUNTERWEIGHT_DEVICES": "2"}, torch.device("cuda"))


@pytest.mark.slow
def test_first_process_may_still_end_by_itself_seconds_after_another_failed(tmp_path: Path) -> None:
    result = run_first_of_two(tmp_path, "60", "7")
    assert result.returncode == 1
    assert "the first has its say" in result.stderr
    assert "another process" not in result.stderr


@pytest.mark.slow
def test_first_process_that_does_not_end_after_another_failed_is_killed(tmp_path: Path) -> None:
    result = run_first_of_two(tmp_path, "1", "600")
    assert result.returncode == 1
    assert "another process of this stage ended before its work was done" in result.stderr
