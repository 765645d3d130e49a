"""Networks applied to image files: a row of outputs an image."""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from torch import nn
from tqdm import tqdm

from stages.core import backbones, images, networks
from stages.core.cache import Cache, fingerprint, key_of
from stages.core.classifiers import Classifier
from stages.core.views import Views, batches, errors_of_workers

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
    rows = np.empty((0, 0), dtype=np.float32)
    done = 0
    for outputs in _batches_of_rows(network, files, checksums, view=view, size=size, device=device, workers=workers):
        if done == 0:
            rows = np.empty((len(files), *outputs.shape[1:]), dtype=np.float32)
        rows[done : done + len(outputs)] = outputs
        done += len(outputs)
    return rows


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
    code = fingerprint([backbones, images, networks, sys.modules[__name__]], (*images.PACKAGES, *PACKAGES))
    how = {"network": name, "weights": _checksum(network), "view": view, "size": size, "device": device.type}
    keys = [key_of(code, checksum, how) for checksum in checksums]
    known = cache.find(keys)
    contents = [cache.read(known[key]) if key in known else None for key in keys]
    lacking = [i for i, content in enumerate(contents) if content is None]
    made = iter(lacking)
    shape: tuple[int, ...] = ()
    for outputs in _batches_of_rows(
        network, [files[i] for i in lacking], [checksums[i] for i in lacking],
        view=view, size=size, device=device, workers=workers,
    ):  # fmt: skip
        shape = outputs.shape[1:]
        for row, i in zip(outputs, made, strict=False):
            contents[i] = row.tobytes()
            cache.keep_bytes(keys[i], row.tobytes(), "x".join(map(str, shape)))
    if not lacking:
        shape = tuple(int(side) for side in known[keys[0]].note.split("x"))
    return np.frombuffer(b"".join(content or b"" for content in contents), np.float32).reshape(len(files), *shape)


def _checksum(network: nn.Module) -> str:
    """SHA-256 of a network's weights and buffers."""
    digest = hashlib.sha256()
    for name, values in network.state_dict().items():
        digest.update(name.encode() + values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _batches_of_rows(
    network: nn.Module,
    files: Sequence[Path],
    checksums: Sequence[str],
    *,
    view: str,
    size: tuple[int, int],
    device: torch.device,
    workers: int,
) -> Iterator[NDArray[np.float32]]:
    """Outputs of one batch after another, in the order of the files."""
    on_gpu = device.type == "cuda"
    batch_size = GPU_BATCH if on_gpu else CPU_BATCH
    if not files:
        return
    network.eval().to(device).to(memory_format=torch.channels_last)
    loader = batches(Views(files, checksums, view, size), batch_size=batch_size, workers=workers, pin_memory=on_gpu)
    with (
        errors_of_workers(),
        _threads(max(torch.get_num_threads(), 2)),
        torch.inference_mode(),
        torch.autocast(device.type, dtype=torch.bfloat16, enabled=on_gpu),
        tqdm(total=len(files), desc="images", unit="image", disable=None, leave=False) as bar,
    ):
        for views, _ in loader:
            # The kernels that are chosen for a smaller batch may round otherwise; so the last one is filled up.
            filler = views[-1:].expand(batch_size - len(views), -1, -1, -1)
            batch = torch.cat([views, filler]).to(device, non_blocking=True)
            yield network(batch)[: len(views)].float().cpu().numpy()
            bar.update(len(views))


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
