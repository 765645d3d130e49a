"""Run networks on image files: one row of outputs per image."""

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from counterweight.base.timing import count, timed
from counterweight.images import codec
from counterweight.networks import loader
from counterweight.networks.determinism import batch_runner
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.loader import ImageDataset, ImageFiles, Preprocessing
from counterweight.networks.weights import weights_checksum
from counterweight.runtime.cache import Cache, cache_key
from counterweight.runtime.fingerprint import fingerprint
from counterweight.runtime.heap import trim_heap
from counterweight.runtime.parallel import map_isolated
from counterweight.runtime.portable_kernels import uses_portable_kernels
from counterweight.runtime.progress import track_progress
from counterweight.runtime.row_cache import RowCache

# Packages that rows depend on, besides those of `codec` and the code of this module.
PACKAGES = ("torch", "torchvision")

# A CPU is fastest with the largest batch whose layers stay in its cache; a GPU needs many images at once.
CPU_BATCH = 8
GPU_BATCH = 256
# On a CPU, a batch of smaller images has about as many pixels as one of these: a layer's weights are read less often.
_FULL_PIXELS, _MAX_CPU_BATCH = 128 * 128, 64
# A decoding process passes on up to so many batches together, of up to so many bytes: to pass on takes a millisecond,
# as the decoding of a batch of small images does.
_PASSED_ON, _PASSED_BYTES = 4, 2_000_000

# Batches between two calls of `trim_heap`: few enough that free memory does not grow, enough that it costs no time.
_TRIM_EVERY = 16
# A further death of a worker is an error.
_MAX_WORKER_DEATHS = 5

OnRow = Callable[[int, NDArray[np.float32]], None]  # It may be called twice with the same row.
Forward = Callable[[ImageFiles, OnRow], None]


@dataclass(frozen=True)
class Compute:
    """The device of a network, and the number of processes that decode images; 0 decodes them in this process."""

    device: torch.device
    workers: int


def extract_features(
    network: nn.Module, files: ImageFiles, preprocessing: Preprocessing, compute: Compute
) -> NDArray[np.float32]:
    """Run images through a network.

    On a CPU, rows are bit-identical for any order of the images, number of workers and number of threads. On a GPU,
    mixed precision changes about the third digit.

    Parameters
    ----------
    network : Module
        Maps uint8 images (n, height, width, 3) to rows; it is put into evaluation mode. On a CPU, several threads call
        it at once.
    files, preprocessing, compute
        The images, how each becomes the network's input, and the device with decoding processes.

    Returns
    -------
    array of float32, shape (n_images, n_outputs) or, for feature maps, (n_images, channels, height, width)
    """
    rows: dict[int, NDArray[np.float32]] = {}
    _forward_with_retry(network, files, preprocessing, compute, rows.__setitem__)
    return np.stack([*rows.values()]) if rows else np.empty((0, 0), dtype=np.float32)


def extract_features_cached(
    network: nn.Module,
    files: ImageFiles,
    preprocessing: Preprocessing,
    compute: Compute,
    *,
    name: str,
    cache: Cache,
    on_row: OnRow,
    forward: Forward | None = None,
) -> None:
    """Run images through a network as `extract_features` does, but take the rows of known images from a cache.

    Parameters
    ----------
    network, files, preprocessing, compute
        As in `extract_features`.
    name : str
        Identifies the architecture and what runs it; weights are identified by their checksum.
    cache : Cache
        New rows are put there; a kill loses those of a few seconds.
    on_row : callable
        Called with the position of an image and its row: first for cached rows, then for new ones.
    forward : callable, optional
        Runs the images that are not cached, and calls a function with the position and row of each; by default here.
    """
    code = fingerprint([__name__], (*codec.PACKAGES, *PACKAGES))
    depends = {
        "network": name,
        "weights": weights_checksum(network),
        "crop": preprocessing.crop,
        "size": preprocessing.size,
        "device": compute.device.type,
        "portable": uses_portable_kernels(os.environ),
    }
    missing = np.ones(len(files), np.bool_)
    with RowCache(cache, cache_key(code, "rows", depends)) as known:
        for i, row in known.read(files.checksums):
            missing[i] = False
            on_row(i, row)
        rest = np.flatnonzero(missing).tolist()

        def keep(number: int, row: NDArray[np.float32]) -> None:
            i = rest[number]
            known.put(files.checksums[i], row)
            on_row(i, row)

        if forward is None:
            _forward_with_retry(network, files.take(rest), preprocessing, compute, keep)
        else:
            forward(files.take(rest), keep)


def _forward_with_retry(
    network: nn.Module, files: ImageFiles, preprocessing: Preprocessing, compute: Compute, on_row: OnRow
) -> None:
    """Pass each image's position and row to a callback, in order, restarting workers that die."""
    device, workers, done, deaths = compute.device, compute.workers, 0, 0
    while done < len(files):
        suspects: Sequence[Path] = []
        rest = ImageDataset(files.take(range(done, len(files))), preprocessing)
        try:
            # A worker's death raises an error anywhere in this process, so the callback runs in here, too.
            with loader.worker_errors():
                for row in _forward(network, rest, Compute(device, workers)):
                    on_row(done, row)
                    done += 1
        except loader.DeadWorkerError:
            deaths += 1
            if deaths > _MAX_WORKER_DEATHS:
                raise
            # One death may be chance. From the second on, look for an image that kills its process among those that
            # were being read; not in this block, where the exception still holds the other workers.
            at_once, per_pass = _batches(network, device, preprocessing.size)
            read = _batch_size(network, device, preprocessing.size) * (at_once + per_pass * loader.PREFETCH * workers)
            suspects = files.paths[done : done + read] if deaths > 1 else []
        if suspects:
            map_isolated(codec.read, suspects, str)
            workers = 1


def _forward(network: nn.Module, dataset: ImageDataset, compute: Compute) -> Iterator[NDArray[np.float32]]:
    """Yield one row per image."""
    device = compute.device
    on_gpu, batch_size = device.type == "cuda", _batch_size(network, device, dataset.preprocessing.size)
    at_once, per_pass = _batches(network, device, dataset.preprocessing.size)
    network.eval().to(device).to(memory_format=torch.channels_last)
    with (
        batch_runner(network, device, batch_size) as run,
        torch.inference_mode(),
        torch.autocast(device.type, dtype=torch.bfloat16, enabled=on_gpu),
        track_progress(len(dataset), "images") as advance,
    ):
        group, workers = ProcessGroup(device), compute.workers
        passed_on = per_pass * batch_size
        passes = iter(loader.build_loader(dataset, group, batch_size=passed_on, workers=workers, pin_memory=on_gpu))
        for number in itertools.count(1):
            with timed("wait for decoded images"):
                decoded = [images for images, _ in itertools.islice(passes, at_once // per_pass)]
            if not decoded:
                break
            with timed("network"):
                parts = [images.to(device, non_blocking=True) for images in decoded]
                # Smaller batches may use kernels that round differently, so the last batch is padded.
                padding = parts[-1][-1:].expand(-len(parts[-1]) % batch_size, -1, -1, -1)
                rows = run(torch.cat([*parts, padding]))[: sum(map(len, parts))].float().cpu().numpy()
            yield from rows
            count("images seen by the network", len(rows))
            advance(len(rows))
            if number % max(_TRIM_EVERY // at_once, 1) == 0:
                trim_heap()


def _batch_size(network: nn.Module, device: torch.device, size: tuple[int, int]) -> int:
    """Return the images per batch. ``size`` is their width and height."""
    if device.type == "cuda":
        return GPU_BATCH
    if device.type != "cpu" or hasattr(network, "batches_at_once"):
        return CPU_BATCH
    doublings = max(round(math.log2(_FULL_PIXELS / math.prod(size))), 0)
    return min(CPU_BATCH << doublings, _MAX_CPU_BATCH)


def _batches(network: nn.Module, device: torch.device, size: tuple[int, int]) -> tuple[int, int]:
    """Return the batches per call of the network, and of those the batches that a decoding process passes on together.

    ``size`` is the width and height of the images.
    """
    at_once = _batches_at_once(network, device)
    most = min(_PASSED_ON, _PASSED_BYTES // (3 * math.prod(size) * _batch_size(network, device, size)))
    return at_once, max(count for count in range(1, max(most, 1) + 1) if at_once % count == 0)


def _batches_at_once(network: nn.Module, device: torch.device) -> int:
    """Batches per call: on a CPU two per thread, so that a slow batch does not leave other threads idle."""
    return int(getattr(network, "batches_at_once", 2 * torch.get_num_threads() if device.type == "cpu" else 1))
