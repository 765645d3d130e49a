"""Image files as batches of what a network sees, decoded by worker processes."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler, SequentialSampler

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.geometry import view
from counterweight.networks.distributed import Group, Shares

# Batches that a worker has ready before they are asked for.
AHEAD = 2


class Views(Dataset[tuple[Tensor, ...]]):
    """What a network sees of images, with their targets, read when asked for.

    Parameters
    ----------
    files : sequence of Path
        The images.
    checksums : sequence of str
        What the manifest says of each file; a file that differs is an error.
    how, size : str, (int, int)
        As in `counterweight.images.geometry.view`.
    targets : Tensor of float, shape (n_images, n_labels), optional
        Of each image; without them the second element of an item is empty.
    """

    def __init__(
        self,
        files: Sequence[Path],
        checksums: Sequence[str],
        how: str,
        size: tuple[int, int],
        targets: Tensor | None = None,
    ) -> None:
        self.files = list(files)
        self.checksums = list(checksums)
        self.how = how
        self.size = size
        self.targets = torch.empty(len(self.files), 0) if targets is None else targets

    def __len__(self) -> int:
        """Count the images."""
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """One image, uint8 of shape (height, width, 3), and its targets."""
        pixels = codec.read(self.files[index], self.checksums[index])
        square = view(pixels, self.how, self.size)
        return torch.from_numpy(square.copy()), self.targets[index]


def batches(
    items: Dataset[tuple[Tensor, ...]],
    group: Group,
    *,
    batch_size: int,
    workers: int,
    order: Sampler[Any] | None = None,
    drop_single: bool = False,
    pin_memory: bool = False,
) -> DataLoader[tuple[Tensor, ...]]:
    """Batches of a dataset, in its order or another.

    Parameters
    ----------
    items : Dataset
        Items of tensors.
    group : Group
        The processes that see the batches; this one sees its share of each.
    batch_size : int
        Items a batch of all processes together; the last batch may be smaller.
    workers : int
        Processes that read and decode; 0 does it in this one.
    order : Sampler, optional
        Of the items; see `counterweight.training.sampler`.
    drop_single : bool
        Whether to leave out a last batch of less than two items a process, where there is another batch.
    pin_memory : bool
        Whether batches wait in page-locked memory, from which a GPU copies faster.
    """
    count = len(items)  # type: ignore[arg-type]
    # Batch norm needs two items in each process.
    dropped = drop_single and count > batch_size and 0 < count % batch_size < 2 * group.size
    of_all = BatchSampler(SequentialSampler(range(count)) if order is None else order, batch_size, drop_last=dropped)
    if workers:
        # Workers hand batches over through sockets in a folder, which they share if it is there before them. One that
        # a worker made itself stays behind when it is killed, and fails to go while the worker still writes in it.
        get_temp_dir()
    return DataLoader(
        items,
        batch_sampler=Shares(of_all, group),
        generator=torch.Generator().manual_seed(0),
        num_workers=workers,
        pin_memory=pin_memory,
        prefetch_factor=AHEAD if workers else None,
        persistent_workers=workers > 0,
        worker_init_fn=_give_way if group.device.type == "cpu" else None,
    )


def _give_way(worker: int) -> None:
    """Decode while the network's threads wait: in training, where one of them loses its core, all wait for that one.

    Not at the lowest priority: beside other work on the machine, the network would wait for images most of the time.
    """
    if hasattr(os, "nice"):
        os.nice(10)


class DeadWorkerError(InputError):
    """A worker process ended without a word."""


@contextmanager
def errors_of_workers() -> Iterator[None]:
    """Give an `InputError` that was raised in a worker process its own message back, and say it if one died.

    A DataLoader passes a worker's exception on with the worker's traceback for a message; a user is to read what is
    wrong with which file.

    Raises
    ------
    DeadWorkerError
        If a worker was killed, by the system for want of memory or by a decoder that broke.
    """
    try:
        yield
    except InputError as error:
        raise InputError(str(error).rpartition(f"{InputError.__name__}: ")[2].rstrip()) from None
    except (RuntimeError, EOFError, ConnectionError) as error:
        # While a batch is being handed over, a death is a pipe that is closed.
        if isinstance(error, RuntimeError) and not str(error).startswith("DataLoader worker"):
            raise
        raise DeadWorkerError(
            "a process that reads images ended, perhaps for want of memory. Set COUNTERWEIGHT_WORKERS to fewer, then "
            "run dvc repro: what is done is kept."
        ) from None
