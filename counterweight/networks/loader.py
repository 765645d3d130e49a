"""Load image files as batches of network inputs, decoded by worker processes."""

import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing.connection import Connection
from multiprocessing.util import get_temp_dir
from pathlib import Path
from threading import Thread
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.geometry import network_view
from counterweight.networks.distributed import ProcessGroup, ShardedBatchSampler, is_joined

# Batches that each worker loads in advance.
PREFETCH = 2
# Bytes of the path of a folder in which Python can make a socket, whose path may have 107 on Linux and 103 on macOS.
_LONGEST_FOLDER = 89 if sys.platform == "linux" else 85
_OWN_BYTES = len("/pymp-12345678")  # Of these, what Python adds to the temporary folder.


@dataclass(frozen=True)
class ImageFiles:
    """Image files, each with the checksum that it must have, from the manifest."""

    paths: Sequence[Path]
    checksums: Sequence[str]

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.paths)

    @classmethod
    def of_rows(cls, rows: pd.DataFrame, folder: Path) -> Self:
        """Return the files of a manifest's rows, which are in a folder."""
        return cls([folder / path for path in rows["path"]], rows["checksum"].tolist())

    def take(self, indices: Iterable[int]) -> "ImageFiles":
        """Return the files at these positions, in this order."""
        chosen = list(indices)
        return ImageFiles([self.paths[i] for i in chosen], [self.checksums[i] for i in chosen])

    def sample(self, count: int) -> "ImageFiles":
        """Return the ``count`` files with the smallest checksums: the same in any order."""
        order = sorted(range(len(self)), key=lambda i: (self.checksums[i], self.paths[i]))
        return self.take(order[:count])


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a network's input: ``crop`` is ``none`` or ``center``, ``size`` width and height in pixels.

    See `counterweight.images.geometry.network_view`.
    """

    crop: str
    size: tuple[int, int]


class ImageDataset(Dataset[tuple[Tensor, ...]]):
    """Network inputs of image files, each with its targets; files are read on access.

    A file whose checksum differs is then an `InputError`. Without ``targets``, float of shape (n_images, n_labels), the
    second element of an item is empty.
    """

    def __init__(self, files: ImageFiles, preprocessing: Preprocessing, targets: Tensor | None = None) -> None:
        self.files = files
        self.preprocessing = preprocessing
        self.targets = torch.empty(len(self.files), 0) if targets is None else targets

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one image, uint8 of shape (height, width, 3), and its targets."""
        pixels = codec.read(self.files.paths[index], self.files.checksums[index])
        view = network_view(pixels, self.preprocessing.crop, self.preprocessing.size)
        return torch.from_numpy(view.copy()), self.targets[index]

    def views(self) -> NDArray[np.uint8]:
        """Return what the network sees of all images, shape (n_images, height, width, 3)."""
        return np.stack([self[i][0].numpy() for i in range(len(self))])


class ArrayDataset(Dataset[tuple[Tensor, ...]]):
    """Rows of an array, which may lie on disk, each with its targets; batches are read at once.

    Parameters
    ----------
    inputs : array of uint8 or float32, shape (n, ...)
        What the network takes.
    targets : Tensor of float32, shape (n, n_labels)
        1, 0, or -1 where missing.
    """

    def __init__(self, inputs: NDArray[np.uint8] | NDArray[np.float32], targets: Tensor) -> None:
        self.inputs = inputs
        self.targets = targets

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one row and its targets."""
        return torch.from_numpy(self.inputs[index].copy()), self.targets[index]

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return the rows of a batch and their targets."""
        return torch.from_numpy(np.asarray(self.inputs[indices])), self.targets[indices]


def build_loader(
    dataset: Dataset[tuple[Tensor, ...]],
    group: ProcessGroup,
    *,
    batch_size: int,
    workers: int,
    sampler: Sampler[Any] | None = None,
    drop_single: bool = False,
    pin_memory: bool = False,
) -> DataLoader[tuple[Tensor, ...]]:
    """Build the loader of one process of a group, whose processes share each batch.

    Parameters
    ----------
    batch_size : int
        Items per batch, of all processes together; the last batch may be smaller.
    workers : int
        Processes that decode; 0 decodes in this process.
    sampler : Sampler, optional
        Yields the order of the items, such as `counterweight.training.sampler.build_sampler`; by default as they are.
    drop_single : bool
        Whether to drop a last batch with fewer than two items per process, unless it is the only one.
    pin_memory : bool
        Whether batches are put into page-locked memory, from which a GPU copies faster.
    """
    count = len(dataset)  # type: ignore[arg-type]
    # Batch norm needs two items in each process.
    drop_last = drop_single and count > batch_size and 0 < count % batch_size < 2 * group.size
    items = range(count) if sampler is None else sampler
    if workers:
        # Workers pass batches through sockets in a temporary folder, which they share if it exists before they start.
        # A folder that a worker creates itself would be left behind when the worker is killed.
        length, longest = len(os.fsencode(get_temp_dir())) - _OWN_BYTES, _LONGEST_FOLDER - _OWN_BYTES
        if length > longest:
            raise InputError(
                f"environment: the path of the temporary folder has {length} bytes, and processes that pass on images "
                f"make sockets there, with {longest} at most. Set TMPDIR to a shorter one."
            )
    context, ending = None, None
    if workers and is_joined() and "forkserver" in multiprocessing.get_all_start_methods():
        # The threads that join processes may call Python at any moment, and where one does so during a fork, Python
        # before 3.12 stops the new process for good. A fork server has no such threads.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])  # Each worker would import it.
        ending, _ = _owner_pipe()
    return DataLoader(
        dataset,
        batch_sampler=ShardedBatchSampler(items, batch_size, group, drop_last=drop_last),
        collate_fn=_as_it_is if isinstance(dataset, ArrayDataset) else None,
        generator=torch.Generator().manual_seed(0),
        num_workers=workers,
        multiprocessing_context=context,
        pin_memory=pin_memory,
        prefetch_factor=PREFETCH if workers else None,
        persistent_workers=workers > 0,
        worker_init_fn=partial(_start_worker, ending, group.device.type == "cpu"),
    )


def _as_it_is(batch: Any) -> Any:
    return batch


@cache
def _owner_pipe() -> tuple[Connection, Connection]:
    """Return a pipe whose second end is this process's alone, so that the first one closes when this process ends."""
    return multiprocessing.Pipe(duplex=False)


def _start_worker(ending: Connection | None, lower_priority: bool, worker: int) -> None:
    """Give the network's threads precedence: in training, all of them wait for one that loses its core.

    This is not the lowest priority, at which the network would starve for images when the machine has other work.
    When ``ending`` closes, the worker ends: PyTorch watches only a worker's parent, which may be the fork server.
    """
    if lower_priority and hasattr(os, "nice"):
        os.nice(10)
    if ending is not None:
        Thread(target=_end_after, args=(ending,), daemon=True).start()


def _end_after(ending: Connection) -> None:
    with suppress(EOFError, OSError):
        ending.recv_bytes()
    os._exit(1)


class DeadWorkerError(InputError):
    """A worker process was killed."""


@contextmanager
def worker_errors() -> Iterator[None]:
    """Restore the message of an `InputError` from a worker process, and report a worker that died.

    A DataLoader replaces the message of a worker's exception by the worker's traceback.

    Raises
    ------
    DeadWorkerError
        If a worker was killed, by the system for lack of memory or by a crash of a decoder.
    """
    try:
        yield
    except InputError as error:
        raise InputError(str(error).rpartition(f"{InputError.__name__}: ")[2].rstrip()) from None
    except (RuntimeError, EOFError, ConnectionError) as error:
        # A worker that dies while it passes a batch on is a closed pipe, an EOFError or a ConnectionError.
        if isinstance(error, RuntimeError) and not str(error).startswith("DataLoader worker"):
            raise
        raise DeadWorkerError(
            "a process that reads images was killed, perhaps for lack of memory. Set COUNTERWEIGHT_WORKERS to fewer, "
            "then run dvc repro: finished work is kept."
        ) from None
