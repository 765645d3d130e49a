"""Several processes, with one GPU each, that share work on one host or more; Lightning starts them."""

import logging
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import Popen
from threading import Thread
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed
from torch.utils.data import BatchSampler, Sampler

from counterweight.base.errors import InputError
from counterweight.runtime.stand_ins import stand_ins

# Rows per process that are gathered at a time: those of all processes must fit on a GPU.
_GATHER_ROWS = 4_096

# Seconds that the first process has to end by itself after another has failed.
_GRACE_SECONDS = 20

_PEER_ENDED = (
    "another process of this stage ended before its work was done. The reason is above or in the log of its host; if "
    "there is none, the system killed it, perhaps for lack of memory. Mend that, then start the stage again: finished "
    "work is kept."
)


@dataclass(frozen=True)
class ProcessGroup:
    """A group of processes that share work, from the view of one of them, with its device.

    ``rank`` is the number of this process; process 0 writes the results. ``size`` processes run on ``nodes`` hosts.
    """

    device: torch.device
    rank: int = 0
    size: int = 1
    nodes: int = 1

    def __str__(self) -> str:
        """Describe the devices, for a log."""
        if self.size == 1:
            return str(self.device)
        return f"{self.size} x {self.device.type}" + (f" on {self.nodes} hosts" if self.nodes > 1 else "")

    def shard(self, count: int) -> list[int]:
        """Indices of this process's items out of ``count``; repeats of the last item make all shards equally long.

        Examples
        --------
        >>> [ProcessGroup(torch.device("cpu"), rank, 3).shard(7) for rank in range(3)]
        [[0, 3, 6], [1, 4, 6], [2, 5, 6]]
        """
        return [min(i, count - 1) for i in range(self.rank, math.ceil(count / self.size) * self.size, self.size)]

    def all_gather(self, part: Tensor, count: int) -> Tensor:
        """Gather the results of all shards, shape (n_shard, ...), in the order of the items, shape (count, ...).

        Gradients flow to the part of this process, and not to those of others.
        """
        if self.size == 1:
            return part
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(self.size)]
        with peer_errors():
            distributed.all_gather(parts, part.detach().contiguous())
        parts[self.rank] = part
        return torch.stack(parts, dim=1).flatten(0, 1)[:count]

    def all_gather_array(self, part: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Gather arrays as `all_gather` gathers tensors, some thousand rows at a time."""
        if self.size == 1:
            return part
        whole = np.empty((count, *part.shape[1:]), dtype=np.float32)
        for start in range(0, len(part), _GATHER_ROWS):
            chunk = torch.from_numpy(part[start : start + _GATHER_ROWS]).to(self.device)
            offset = start * self.size
            rows = self.all_gather(chunk, min(len(chunk) * self.size, count - offset)).cpu().numpy()
            whole[offset : offset + len(rows)] = rows
        return whole


class ShardedBatchSampler(BatchSampler):
    """Yield the shard of each batch that belongs to one process; items have the same order in all processes."""

    def __init__(
        self, items: Sampler[Any] | Iterable[int], batch_size: int, group: ProcessGroup, *, drop_last: bool
    ) -> None:
        super().__init__(items, batch_size, drop_last)
        self.group = group

    def __iter__(self) -> Iterator[list[Any]]:
        """Iterate over the batches of one epoch."""
        for batch in super().__iter__():
            yield [batch[i] for i in self.group.shard(len(batch))]


@contextmanager
def peer_errors() -> Iterator[None]:
    """Raise an `InputError` if torch.distributed reports that another process ended during the operations inside."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
            raise
        raise InputError(_PEER_ENDED) from None


def init_process_group(environment: Mapping[str, str], device: torch.device) -> ProcessGroup:
    """Start the processes that the environment asks for, or join those that torchrun or Slurm started.

    New processes run the same command from its start, and call this function, too.

    Parameters
    ----------
    environment : mapping of str to str
        ``COUNTERWEIGHT_DEVICES``, processes per host, and ``COUNTERWEIGHT_NODES``, hosts; both default to 1.
    device : torch.device
        The CPU, or ``cuda`` for one GPU per process.

    Raises
    ------
    InputError
        If one of them is not a positive whole number, or the device or the launcher does not allow as many processes.
    """
    devices, nodes = (_count(environment, name) for name in ("COUNTERWEIGHT_DEVICES", "COUNTERWEIGHT_NODES"))
    if devices * nodes == 1:
        return ProcessGroup(device)
    if nodes > 1 and not {"LOCAL_RANK", "SLURM_PROCID"} & environment.keys():
        raise InputError(
            f"environment: COUNTERWEIGHT_NODES is {nodes}, and neither torchrun nor Slurm started this process, so the "
            "other hosts would never join. Start the stage by one of them, or unset it."
        )
    if device.type not in ("cpu", "cuda"):
        raise InputError(
            f"environment: COUNTERWEIGHT_DEVICES and COUNTERWEIGHT_NODES ask for {devices * nodes} processes, and "
            f"{device.type} allows one. Unset them, or set COUNTERWEIGHT_DEVICE to cpu or cuda."
        )
    if device.type == "cuda" and device.index is not None:
        raise InputError(
            f"environment: COUNTERWEIGHT_DEVICE={device} names one GPU, and COUNTERWEIGHT_DEVICES and "
            f"COUNTERWEIGHT_NODES ask for {devices * nodes} processes. Set COUNTERWEIGHT_DEVICE to cuda."
        )
    if device.type == "cuda" and devices > torch.cuda.device_count():
        raise InputError(
            f"environment: COUNTERWEIGHT_DEVICES is {devices}, and this host has {torch.cuda.device_count()} GPUs. "
            "Set it to at most as many."
        )
    with stand_ins():
        from lightning.fabric import Fabric

    for name in ("lightning.fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    fabric = Fabric(accelerator=device.type, devices=devices, num_nodes=nodes, strategy="ddp")
    fabric.launch()
    children: list[Popen[bytes]] = getattr(fabric.strategy.launcher, "procs", [])
    Thread(target=_watch, args=(tuple(children),), name="process watcher", daemon=True).start()
    # Lightning would watch them, too, and when one fails, kill this process before it can report the reason.
    children.clear()
    if fabric.global_rank:
        # Process 0 logs what all processes have in common.
        logging.getLogger().setLevel(logging.ERROR)
    return ProcessGroup(fabric.device, fabric.global_rank, fabric.world_size, nodes)


def is_joined() -> bool:
    """Whether this process is one of several that compute together, or will be."""
    return distributed.is_available() and distributed.is_initialized()


def _watch(children: Sequence[Popen[bytes]]) -> None:
    """End all processes some seconds after one has failed: NCCL would wait for half an hour."""
    while not any(child.poll() for child in children):
        if all(child.returncode == 0 for child in children):
            return
        time.sleep(1)
    time.sleep(_GRACE_SECONDS)
    for child in children:
        child.kill()
    logging.getLogger(__name__).error(_PEER_ENDED)
    os._exit(1)


def _count(environment: Mapping[str, str], name: str) -> int:
    value = environment.get(name, "1")
    if not value.isdecimal() or int(value) < 1:
        raise InputError(f"environment: {name} must be a whole number of at least 1, not '{value}'. Correct it.")
    return int(value)
