"""Networks applied to image files: a row of outputs an image."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from torch import Tensor, nn
from torch.nn.functional import linear

from counterweight.base.timing import count, spent
from counterweight.images import codec
from counterweight.networks import backbones
from counterweight.networks.classifier import Classifier
from counterweight.networks.distributed import Group
from counterweight.networks.loader import AHEAD, DeadWorkerError, Views, batches, errors_of_workers
from counterweight.runtime.cache import Cache, key_of
from counterweight.runtime.fingerprint import fingerprint
from counterweight.runtime.malloc import give_back
from counterweight.runtime.parallel import one_by_one
from counterweight.runtime.progress import progress

# What a row depends on, beside the packages of `codec` and the code of this module.
PACKAGES = ("torch", "torchvision")

# On the CPU, the largest batch whose layers stay in the cache is the fastest; a GPU wants many images at once.
CPU_BATCH = 8
GPU_BATCH = 256

# Batches after which free memory is given back: often enough that it does not grow, and too seldom to cost time.
_KEPT_FOR = 16

# Workers that may die before it is called the machine's fault.
_MOST_DEATHS = 5


def rows_of(
    network: nn.Module,
    files: Sequence[Path],
    checksums: Sequence[str],
    *,
    view: str,
    size: tuple[int, int],
    device: torch.device,
    workers: int,
) -> NDArray[np.float32]:
    """Run images through a network.

    A row does not depend on which images share its batch, on the number of workers or on the number of threads: on
    a CPU it is the same to the last bit. On a GPU, mixed precision changes about the third digit.

    Parameters
    ----------
    network : Module
        From uint8 images (n, height, width, 3) to rows; it is put into evaluation mode. On a CPU, several threads call
        it at once.
    files, checksums : sequences of Path and str
        The images, and what the manifest says of them.
    view, size : str, (int, int)
        As in `counterweight.images.geometry.view`.
    device : torch.device
        Where to compute.
    workers : int
        Processes that decode.

    Returns
    -------
    array of float32, shape (n_images, n_outputs), or of maps (n_images, channels, height, width)
        Row i belongs to ``files[i]``.
    """
    rows = _Rows(len(files))
    _look(network, Views(files, checksums, view, size), device, workers, rows.put)
    return rows.array


def hand_over_rows(
    network: nn.Module,
    files: Sequence[Path],
    checksums: Sequence[str],
    *,
    view: str,
    size: tuple[int, int],
    device: torch.device,
    workers: int,
    name: str,
    cache: Cache,
    take: Callable[[int, NDArray[np.float32]], None],
) -> None:
    """Run images through a network as `rows_of` does, those left out that an earlier run has seen.

    Parameters
    ----------
    network, files, checksums, view, size, device, workers
        As in `rows_of`.
    name : str
        What the network is, beside its weights.
    cache : Cache
        Where rows are kept, each as soon as it is there.
    take : callable
        Is given each row's number and the row: first those that were kept.
    """
    code = fingerprint([__name__], (*codec.PACKAGES, *PACKAGES))
    how = {
        "network": name,
        "weights": backbones.checksum_of(network),
        "view": view,
        "size": size,
        "device": device.type,
    }
    keys = [key_of(code, checksum, how) for checksum in checksums]
    entries = cache.find(keys)
    lacking: list[int] = []
    for i, key in enumerate(keys):
        content = cache.read(entries[key]) if key in entries else None
        if content is None:
            lacking.append(i)
        else:
            shape = [int(side) for side in entries[key].note.split("x")]
            take(i, np.frombuffer(content, np.float32).reshape(shape))

    def keep(number: int, row: NDArray[np.float32]) -> None:
        i = lacking[number]
        cache.keep_bytes(keys[i], row.tobytes(), "x".join(map(str, row.shape)))
        take(i, row)

    unseen = Views([files[i] for i in lacking], [checksums[i] for i in lacking], view, size)
    _look(network, unseen, device, workers, keep)


class _Rows:
    """An array whose rows come with their numbers; it is as wide as the first that comes."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.array = np.empty((0, 0), dtype=np.float32)

    def put(self, number: int, row: NDArray[np.float32]) -> None:
        if not len(self.array):
            self.array = np.empty((self.count, *row.shape), dtype=np.float32)
        self.array[number] = row


def _look(
    network: nn.Module,
    seen: Views,
    device: torch.device,
    workers: int,
    take: Callable[[int, NDArray[np.float32]], None],
) -> None:
    """Hand over what the network says of one image after another, with its number, though a worker may die."""
    done, deaths = 0, 0
    while done < len(seen):
        suspects: Sequence[Path] = []
        rest = Views(seen.files[done:], seen.checksums[done:], seen.how, seen.size)
        try:
            # The death of a worker is an error wherever this process happens to be, so that all is done in here.
            with errors_of_workers():
                for row in _outputs(network, rest, device, workers):
                    take(done, row)
                    done += 1
        except DeadWorkerError:
            deaths += 1
            if deaths > _MOST_DEATHS:
                raise
            # Once, that says nothing of an image. From the second time on, the one that does it is looked for among
            # those that were being read; not in here, where the error still holds the other workers of that time.
            read = _batch_size(device) * (_at_once(network, device) + AHEAD * workers)
            suspects = seen.files[done : done + read] if deaths > 1 else []
        if suspects:
            one_by_one(codec.read, suspects, str)
            workers = 1


def _outputs(network: nn.Module, seen: Views, device: torch.device, workers: int) -> Iterator[NDArray[np.float32]]:
    """What the network says of one image after another."""
    on_gpu, batch_size, at_once = device.type == "cuda", _batch_size(device), _at_once(network, device)
    network.eval().to(device).to(memory_format=torch.channels_last)
    with (
        _runner(network, device) as run,
        _linear_by_row(network) if device.type == "cpu" else nullcontext(),
        torch.inference_mode(),
        torch.autocast(device.type, dtype=torch.bfloat16, enabled=on_gpu),
        progress(len(seen), "images") as more_done,
    ):
        decoded = iter(batches(seen, Group(device), batch_size=batch_size, workers=workers, pin_memory=on_gpu))
        for number in itertools.count(1):
            with spent("wait for decoded images"):
                ready = [images_seen for images_seen, _ in itertools.islice(decoded, at_once)]
            if not ready:
                break
            with spent("network"):
                parts = [images_seen.to(device, non_blocking=True) for images_seen in ready]
                # The kernels that are chosen for a smaller batch may round otherwise; so the last one is filled up.
                filler = parts[-1][-1:].expand(batch_size - len(parts[-1]), -1, -1, -1)
                rows = run(torch.cat([*parts, filler]))[: sum(map(len, parts))].float().cpu().numpy()
            yield from rows
            count("images seen by the network", len(rows))
            more_done(len(rows))
            if number % max(_KEPT_FOR // at_once, 1) == 0:
                give_back()


def _batch_size(device: torch.device) -> int:
    return GPU_BATCH if device.type == "cuda" else CPU_BATCH


def _at_once(network: nn.Module, device: torch.device) -> int:
    """Batches that are handed over together: two a thread, so that one that is slow holds up no other."""
    return int(getattr(network, "at_once", 2 * torch.get_num_threads() if device.type == "cpu" else 1))


@contextmanager
def _runner(network: nn.Module, device: torch.device) -> Iterator[Callable[[Tensor], Tensor]]:
    """What takes whole batches through a network: on a CPU, a thread a batch, of which none waits for another.

    One thread takes other kernels than several together, and these round otherwise; so it is one everywhere.
    """
    if device.type != "cpu" or hasattr(network, "at_once"):
        yield network
        return

    def rows(batch: Tensor) -> Tensor:
        with torch.inference_mode():
            outputs: Tensor = network(batch)
        return outputs

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # Each for itself: a new thread would learn of it from its first operation on many values, and not before.
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield lambda seen: torch.cat(list(pool.map(rows, torch.split(seen, CPU_BATCH))))
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _linear_by_row(network: nn.Module) -> Iterator[None]:
    """Multiply each row of a batch by itself: on some processors its place among others decides how it is rounded."""
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    for layer in layers:
        layer.forward = partial(_by_row, layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _by_row(layer: nn.Linear, inputs: Tensor) -> Tensor:
    # Each at the beginning of memory of its own, for alignment decides, too.
    return torch.cat([linear(inputs[i : i + 1].clone(), layer.weight, layer.bias) for i in range(len(inputs))])


def scores_of(
    classifier: Classifier, files: Sequence[Path], checksums: Sequence[str], **how: Any
) -> NDArray[np.float64]:
    """Run images through a classifier: as `rows_of`, with scores from 0 to 1 by its design's sigmoid or softmax."""
    logits = rows_of(classifier, files, checksums, **how).astype(np.float64)
    scores: NDArray[np.float64] = expit(logits) if classifier.design.scores == "sigmoid" else softmax(logits, axis=1)
    return scores
