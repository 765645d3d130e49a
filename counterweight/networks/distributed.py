"""Several processes at one piece of work, a GPU each, on one host or on several: by Lightning."""

import logging
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import Popen
from threading import Thread
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed
from torch.utils.data import Sampler

from counterweight.base.errors import InputError

# Rows of each process that are put together at a time: those of all must find room on a GPU.
_PART = 4_096

# Seconds that the first process has to end by itself, once another has failed.
_GRACE = 20

_ENDED = (
    "another process of this stage ended before its work was done. Why stands above or in the log of its host; if it "
    "says nothing, the system has killed it, perhaps for want of memory. Mend that, then start the stage again: what "
    "is done is kept."
)


@dataclass(frozen=True)
class Group:
    """The processes that do one piece of work together, as one of them sees them.

    Attributes
    ----------
    device : torch.device
        Where this one computes.
    rank : int
        Its number, from 0; the first writes what comes of the work.
    size : int
        How many there are.
    nodes : int
        On how many hosts.
    """

    device: torch.device
    rank: int = 0
    size: int = 1
    nodes: int = 1

    def __str__(self) -> str:
        """What they compute on, for a log."""
        if self.size == 1:
            return str(self.device)
        return f"{self.size} x {self.device.type}" + (f" on {self.nodes} hosts" if self.nodes > 1 else "")

    def share(self, count: int) -> list[int]:
        """Which of ``count`` items are this one's; as many for each process, for which the last item may be repeated.

        Examples
        --------
        >>> [Group(torch.device("cpu"), rank, 3).share(7) for rank in range(3)]
        [[0, 3, 6], [1, 4, 6], [2, 5, 6]]
        """
        return [min(i, count - 1) for i in range(self.rank, math.ceil(count / self.size) * self.size, self.size)]

    def whole(self, part: Tensor, count: int) -> Tensor:
        """Put what all processes have of their shares together, in the order of the items.

        Parameters
        ----------
        part : Tensor, shape (n_share, ...)
            Of this process. Its gradient, and no other's, is followed.
        count : int
            How many items there are.

        Returns
        -------
        Tensor, shape (count, ...)
            The same in all processes.
        """
        if self.size == 1:
            return part
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(self.size)]
        with errors_of_others():
            distributed.all_gather(parts, part.detach().contiguous())
        parts[self.rank] = part
        return torch.stack(parts, dim=1).flatten(0, 1)[:count]

    def whole_array(self, part: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Put arrays together as `whole` does tensors, some thousand rows at a time."""
        if self.size == 1:
            return part
        whole = np.empty((count, *part.shape[1:]), dtype=np.float32)
        for start in range(0, len(part), _PART):
            some = torch.from_numpy(part[start : start + _PART]).to(self.device)
            at = start * self.size
            rows = self.whole(some, min(len(some) * self.size, count - at)).cpu().numpy()
            whole[at : at + len(rows)] = rows
        return whole


class Shares(Sampler[list[Any]]):
    """What one process sees of each batch.

    Parameters
    ----------
    batches : Sampler of lists
        All of each batch, the same in all processes.
    group : Group
        The processes.
    """

    def __init__(self, batches: Sampler[list[Any]], group: Group) -> None:
        self.batches = batches
        self.group = group

    def __iter__(self) -> Iterator[list[Any]]:
        """Shares of one epoch's batches."""
        for batch in self.batches:
            yield [batch[i] for i in self.group.share(len(batch))]

    def __len__(self) -> int:
        """Count the batches."""
        return len(self.batches)  # type: ignore[arg-type]


@contextmanager
def errors_of_others() -> Iterator[None]:
    """Say it in our words if another process has ended before what is done together in here was done.

    Raises
    ------
    InputError
        If one has.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
            raise
        raise InputError(_ENDED) from None


def group_of(environment: Mapping[str, str], device: torch.device) -> Group:
    """Start the processes that the environment asks for, or join those that torchrun or Slurm has started.

    The others run the same command from its beginning, and come to this place too.

    Parameters
    ----------
    environment : mapping of str to str
        ``COUNTERWEIGHT_DEVICES``, processes a host, and ``COUNTERWEIGHT_NODES``, hosts; 1 where they are not set.
    device : torch.device
        What each computes on: the CPU, or a GPU of its own.

    Raises
    ------
    InputError
        If one is not a whole number of at least 1, or there are fewer GPUs.
    """
    devices, nodes = (_count(environment, name) for name in ("COUNTERWEIGHT_DEVICES", "COUNTERWEIGHT_NODES"))
    if devices * nodes == 1:
        return Group(device)
    if nodes > 1 and not {"LOCAL_RANK", "SLURM_PROCID"} & environment.keys():
        raise InputError(
            f"environment: COUNTERWEIGHT_NODES is {nodes}, and neither torchrun nor Slurm has started this process, so "
            "the other hosts would be waited for in vain. Start the stage by one of them, or unset it."
        )
    if device.type not in ("cpu", "cuda"):
        raise InputError(
            f"environment: {devices * nodes} processes are asked for, and on {device.type} there is one. Unset "
            "COUNTERWEIGHT_DEVICES, or set COUNTERWEIGHT_DEVICE to cpu or cuda."
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
    from lightning.fabric import Fabric

    for name in ("lightning.fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    fabric = Fabric(accelerator=device.type, devices=devices, num_nodes=nodes, strategy="ddp")
    fabric.launch()
    _watch_instead(getattr(fabric.strategy.launcher, "procs", []))
    if fabric.global_rank:
        # What all of them have to say, the first says.
        logging.getLogger().setLevel(logging.ERROR)
    return Group(fabric.device, fabric.global_rank, fabric.world_size, nodes)


def _watch_instead(children: list[Popen[bytes]]) -> None:
    """Look after the processes that Lightning has started in its place, and take them off the list that it looks at.

    As soon as one fails, it would kill this one, which is mostly about to say what has happened.
    """
    Thread(target=_watch, args=(tuple(children),), name="watch of processes", daemon=True).start()
    children.clear()


def _watch(children: Sequence[Popen[bytes]]) -> None:
    """Once a process has failed, end this one and all others, unless it ends by itself: NCCL waits for half an hour."""
    while not any(child.poll() for child in children):
        if all(child.returncode == 0 for child in children):
            return
        time.sleep(1)
    time.sleep(_GRACE)
    for child in children:
        child.kill()
    logging.getLogger(__name__).error(_ENDED)
    os._exit(1)


def _count(environment: Mapping[str, str], name: str) -> int:
    value = environment.get(name, "1")
    if not value.isdecimal() or int(value) < 1:
        raise InputError(f"environment: {name} must be a whole number of at least 1, not '{value}'. Correct it.")
    return int(value)
