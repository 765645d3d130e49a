"""Features of image files, by the network of the section ``features``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import distributions
from pathlib import Path
from threading import Lock
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from counterweight.base.errors import InputError
from counterweight.base.schema import width_and_height
from counterweight.networks.backbones import Backbone, resolve_device
from counterweight.networks.inference import Compute, OnRow, extract_features, extract_features_cached
from counterweight.networks.loader import ImageFiles, Preprocessing
from counterweight.networks.openvino import CALIBRATION_IMAGES, build_engine
from counterweight.networks.weights import load_weights, weights_checksum
from counterweight.runtime.cache import Cache
from counterweight.runtime.parallel import ask_workers, parallel_map

# Images per task of a worker, and images whose rows are awaited at a time, at least.
_PART, _AT_ONCE = 256, 65_536


@dataclass(frozen=True)
class FeatureConfig:
    """The section ``features`` of params.yaml."""

    model: str
    weights: str
    layer: str | None
    crop: str
    input_size: int | Sequence[int]
    engine: str
    seed: int

    def with_engine(self, device: torch.device) -> Self:
        """Replace ``auto`` by the engine for a device that the installed packages have."""
        if self.engine != "auto":
            return self
        # The engines of fewer bits are faster, and change clusters; see benchmarks/README.md.
        has_faster = device.type == "cpu" and any(distributions(name="openvino"))
        return replace(self, engine="openvino" if has_faster else "torch")

    @property
    def is_random(self) -> bool:
        """Whether the weights are random."""
        return self.weights == "random"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what the network takes."""
        return width_and_height(self.input_size)


@dataclass(frozen=True)
class FeatureExtractor:
    """A network with the engine that runs it.

    Attributes
    ----------
    network : Module
        As the engine runs it.
    name : str
        Identifies network and engine in the cache.
    n_features : int
        Features per image.
    is_random : bool
        Whether the weights are random, so that features show color and texture but no labels.
    preprocessing, compute, cache
        See `counterweight.networks.inference.extract_features_cached`.
    """

    network: nn.Module
    name: str
    n_features: int
    is_random: bool
    preprocessing: Preprocessing
    compute: Compute
    cache: Cache

    def extract(self, files: ImageFiles, on_row: OnRow) -> None:
        """Call a function with the position of each image and its features; see `extract_features_cached`."""
        extract_features_cached(
            self.network, files, self.preprocessing, self.compute, name=self.name, cache=self.cache, on_row=on_row
        )

    def features(self, files: ImageFiles) -> NDArray[np.float32]:
        """Return the features of images, shape (n_images, n_features)."""
        rows = np.empty((len(files), self.n_features), dtype=np.float32)
        self.extract(files, rows.__setitem__)
        return rows

    def mirrored(self) -> "FeatureExtractor":
        """Return an extractor of the features of each image's mirror image."""
        return replace(self, network=_Mirrored(self.network), name=f"{self.name}, mirror image")


class _Mirrored(nn.Module):
    """Passes the mirror images of uint8 images (n, height, width, 3) to a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        if hasattr(network, "batches_at_once"):
            self.batches_at_once = network.batches_at_once

    def forward(self, images: Tensor) -> Tensor:
        rows: Tensor = self.network(images.flip(2))
        return rows


def build_feature_extractor(
    config: FeatureConfig, files: ImageFiles, compute: Compute, cache: Cache
) -> FeatureExtractor:
    """Build the network of the params and load its weights.

    Parameters
    ----------
    config : FeatureConfig
        The network.
    files : ImageFiles
        All train images, some of which calibrate ``openvino_int8``.
    compute, cache
        See `FeatureExtractor`.

    Raises
    ------
    InputError
        If the weights cannot be loaded, or the engine cannot run the network.
    """
    config = config.with_engine(compute.device)
    torch.manual_seed(config.seed)
    network = Backbone(config.model, config.layer, config.size)
    load_weights(network, config.weights)
    preprocessing = Preprocessing(config.crop, config.size)
    runner, engine = build_engine(config.engine, network, files, preprocessing, compute.device)
    name = f"{config.model} to {config.layer} by {engine}"
    return FeatureExtractor(runner, name, network.n_features, config.is_random, preprocessing, compute, cache)


def extract_remotely(
    extractor: FeatureExtractor,
    config: FeatureConfig,
    files: ImageFiles,
    workers: int,
    device_name: Callable[[], str],
    on_row: OnRow,
) -> str:
    """Extract features on the workers of `counterweight.runtime.parallel.use_executor`, each on its own device.

    Parameters
    ----------
    extractor : FeatureExtractor
        Built here from the same config. Its cache is searched before images are sent to the workers.
    config, files
        As in `build_feature_extractor`.
    workers : int
        Number of workers.
    device_name : callable
        Called in a worker, it returns the worker's device.
    on_row : callable
        Called with the position of each image and its features.

    Returns
    -------
    str
        Number and kind of the devices, for a log.

    Raises
    ------
    InputError
        If devices are of several kinds, whose rows would differ.
    """
    kinds = {str(kind) for kind in ask_workers(_DeviceKind(device_name))}
    if len(kinds) > 1:
        raise InputError(
            f"environment: the workers compute on {' and '.join(sorted(kinds))}, whose features differ in the third "
            "digit. Set COUNTERWEIGHT_DEVICE=cpu for all of them, or start only those with a GPU."
        )
    kind = kinds.pop()
    checksum = weights_checksum(extractor.network)
    extract = _RemoteExtractor(config, files.sample(CALIBRATION_IMAGES), device_name, checksum)
    at_once = max(_AT_ONCE, 4 * workers * _PART)

    def forward(missing: ImageFiles, keep: OnRow) -> None:
        for start in range(0, len(missing), at_once):
            firsts = range(start, min(start + at_once, len(missing)), _PART)
            parts = [missing.take(range(first, min(first + _PART, len(missing)))) for first in firsts]
            what = f"parts of {_PART} images"
            made = parallel_map(extract, parts, workers=workers, what=what, name=_first_and_last, max_batch=1)
            for first, rows in zip(firsts, made, strict=True):
                for i, row in enumerate(rows):
                    keep(first + i, row)

    compute = Compute(torch.device(kind), 0)
    extract_features_cached(
        extractor.network, files, extractor.preprocessing, compute, name=extractor.name, cache=extractor.cache,
        on_row=on_row, forward=forward,
    )  # fmt: skip
    return f"{workers} workers, each on {kind}"


def _first_and_last(files: ImageFiles) -> str:
    return f"{files.paths[0]} or another up to {files.paths[-1]}"


@dataclass(frozen=True)
class _DeviceKind:
    """Says in a worker on what kind of device it computes."""

    device_name: Callable[[], str]

    def __call__(self) -> str:
        return resolve_device(self.device_name()).type


@dataclass(frozen=True)
class _RemoteExtractor:
    """Extracts features in a process that builds the network with the first part, and keeps it for the next ones."""

    config: FeatureConfig
    calibration: ImageFiles
    device_name: Callable[[], str]
    checksum: str  # of the weights: a worker may outlive the file that it read

    def __call__(self, files: ImageFiles) -> NDArray[np.float32]:
        key = repr(self)
        # Threads of one process share the network, which an extraction changes: its layout, device and layers' methods.
        with _extracting:
            if key not in _built:
                # Workers are as many as there are cores, so each computes by one thread and decodes by itself.
                torch.set_num_threads(1)
                compute = Compute(resolve_device(self.device_name()), 0)
                _built.clear()
                _built[key] = build_feature_extractor(self.config, self.calibration, compute, Cache(Path(), 0))
            extractor = _built[key]
            return extract_features(extractor.network, files, extractor.preprocessing, extractor.compute)


# The extractor of this process, by the repr of its `_RemoteExtractor`, and the lock of those who build or use it.
_built: dict[str, FeatureExtractor] = {}
_extracting = Lock()
