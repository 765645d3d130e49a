"""Networks applied to image files: a row of outputs an image."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from torch import nn
from tqdm import tqdm

from stages.core import backbones, images, views
from stages.core.cache import Cache, fingerprint, key_of
from stages.core.classifiers import Classifier
from stages.core.parallel import one_by_one
from stages.core.views import AHEAD, DeadWorkerError, Views, batches, errors_of_workers

# What a row depends on, beside the packages of `images`.
PACKAGES = ("torch", "torchvision")

# On the CPU, the largest batch whose layers stay in the cache is the fastest; a GPU wants many images at once.
CPU_BATCH = 8
GPU_BATCH = 256


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
    the CPU it is the same to the last bit. On a GPU, mixed precision changes about the third digit.

    Parameters
    ----------
    network : Module
        From uint8 images (n, height, width, 3) to rows; it is put into evaluation mode.
    files, checksums : sequences of Path and str
        The images, and what the manifest says of them.
    view, size : str, (int, int)
        As in `stages.core.images.view`.
    device : torch.device
        Where to compute.
    workers : int
        Processes that decode.

    Returns
    -------
    array of float32, shape (n_images, n_outputs), or of maps (n_images, channels, height, width)
        Row i belongs to ``files[i]``.
    """
    outputs = _outputs(network, Views(files, checksums, view, size), device, workers)
    return _filled(len(files), enumerate(outputs))


def kept_rows_of(
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
) -> NDArray[np.float32]:
    """Run images through a network as `rows_of` does, those left out that an earlier run has seen.

    Parameters
    ----------
    network, files, checksums, view, size, device, workers
        As in `rows_of`.
    name : str
        What the network is, beside its weights.
    cache : Cache
        Where rows are kept, each as soon as it is there.
    """
    code = fingerprint([backbones, images, views, sys.modules[__name__]], (*images.PACKAGES, *PACKAGES))
    how = {
        "network": name,
        "weights": backbones.checksum_of(network),
        "view": view,
        "size": size,
        "device": device.type,
    }
    keys = [key_of(code, checksum, how) for checksum in checksums]
    entries, lacking = cache.find(keys), []

    def rows() -> Iterator[tuple[int, NDArray[np.float32]]]:
        for i, key in enumerate(keys):
            content = cache.read(entries[key]) if key in entries else None
            if content is None:
                lacking.append(i)
            else:
                shape = [int(side) for side in entries[key].note.split("x")]
                yield i, np.frombuffer(content, np.float32).reshape(shape)
        unseen = Views([files[i] for i in lacking], [checksums[i] for i in lacking], view, size)
        for i, row in zip(lacking, _outputs(network, unseen, device, workers), strict=True):
            cache.keep_bytes(keys[i], row.tobytes(), "x".join(map(str, row.shape)))
            yield i, row

    return _filled(len(files), rows())


def _filled(count: int, numbered: Iterable[tuple[int, NDArray[np.float32]]]) -> NDArray[np.float32]:
    """One array of rows that come with their numbers."""
    rows = np.empty((0, 0), dtype=np.float32)
    for i, row in numbered:
        if not len(rows):
            rows = np.empty((count, *row.shape), dtype=np.float32)
        rows[i] = row
    return rows


def _outputs(network: nn.Module, seen: Views, device: torch.device, workers: int) -> Iterator[NDArray[np.float32]]:
    """What the network says of one image after another, though a worker may die."""
    done, deaths = 0, 0
    while done < len(seen):
        rest = Views(seen.files[done:], seen.checksums[done:], seen.how, seen.size)
        try:
            for row in _undisturbed(network, rest, device, workers):
                yield row
                done += 1
        except DeadWorkerError:
            # Once, that says nothing of an image. The second time, the one that does it is looked for among those that
            # were being read, and if there is none, nobody else reads any more.
            deaths += 1
            if deaths > 1:
                one_by_one(images.read, rest.files[: _batch_size(device) * (1 + AHEAD * workers)], str)
                workers = 0


def _undisturbed(network: nn.Module, seen: Views, device: torch.device, workers: int) -> Iterator[NDArray[np.float32]]:
    """What the network says of one image after another, as long as no worker dies."""
    on_gpu, batch_size = device.type == "cuda", _batch_size(device)
    network.eval().to(device).to(memory_format=torch.channels_last)
    with (
        errors_of_workers(),
        _threads(max(torch.get_num_threads(), 2)),
        torch.inference_mode(),
        torch.autocast(device.type, dtype=torch.bfloat16, enabled=on_gpu),
        tqdm(total=len(seen), desc="images", unit="image", disable=None, leave=False) as bar,
    ):
        for images_seen, _ in batches(seen, batch_size=batch_size, workers=workers, pin_memory=on_gpu):
            # The kernels that are chosen for a smaller batch may round otherwise; so the last one is filled up.
            filler = images_seen[-1:].expand(batch_size - len(images_seen), -1, -1, -1)
            batch = torch.cat([images_seen, filler]).to(device, non_blocking=True)
            yield from network(batch)[: len(images_seen)].float().cpu().numpy()
            bar.update(len(images_seen))


def _batch_size(device: torch.device) -> int:
    return GPU_BATCH if device.type == "cuda" else CPU_BATCH


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute in so many threads. One alone takes other kernels than several, and these round otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def scores_of(
    classifier: Classifier, files: Sequence[Path], checksums: Sequence[str], **how: Any
) -> NDArray[np.float64]:
    """Run images through a classifier: as `rows_of`, with scores from 0 to 1 by its design's sigmoid or softmax."""
    logits = rows_of(classifier, files, checksums, **how).astype(np.float64)
    scores: NDArray[np.float64] = expit(logits) if classifier.design.scores == "sigmoid" else softmax(logits, axis=1)
    return scores
