"""Features of image files, by the network of the section ``features`` or by a classifier's frozen body."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from torch import Tensor, nn

from counterweight.base.command import device_name
from counterweight.base.schema import width_and_height
from counterweight.networks.backbones import Backbone, resolve_device
from counterweight.networks.classifier import Classifier
from counterweight.networks.inference import Compute, extract_features, extract_features_cached
from counterweight.networks.loader import ImageFiles, Preprocessing
from counterweight.networks.openvino import CALIBRATION_IMAGES, build_engine, fuse_conv_bn
from counterweight.networks.weights import load_weights
from counterweight.runtime.cache import Cache
from counterweight.runtime.parallel import parallel_map

# Images that a worker of another machine takes at a time, and those whose rows are on their way to this one at most.
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

    def extract(self, files: ImageFiles, on_row: Callable[[int, NDArray[np.float32]], None]) -> None:
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
    torch.manual_seed(config.seed)
    network = Backbone(config.model, config.layer, config.size)
    load_weights(network, config.weights)
    preprocessing = Preprocessing(config.crop, config.size)
    runner, engine = build_engine(config.engine, network, files, preprocessing, compute.device)
    name = f"{config.model} to {config.layer} by {engine}"
    return FeatureExtractor(runner, name, network.n_features, config.is_random, preprocessing, compute, cache)


def extract_remotely(
    config: FeatureConfig,
    files: ImageFiles,
    cache: Cache,
    workers: int,
    on_row: Callable[[int, NDArray[np.float32]], None],
) -> None:
    """Extract features on the workers of `counterweight.runtime.parallel.use_executor`, each on its own device.

    Parameters
    ----------
    config, files, cache
        As in `build_feature_extractor`.
    workers : int
        Number of workers.
    on_row : callable
        Called with the position of each image and its features.
    """
    extract = _RemoteExtractor(config, files.sample(CALIBRATION_IMAGES), cache)
    for start in range(0, len(files), _AT_ONCE):
        ends = range(start, min(start + _AT_ONCE, len(files)), _PART)
        parts = [files.take(range(first, min(first + _PART, len(files)))) for first in ends]
        made = parallel_map(
            extract, parts, workers=workers, what=f"parts of {_PART} images", name=_first_and_last, max_batch=1
        )
        for first, rows in zip(ends, made, strict=True):
            for i, row in enumerate(rows):
                on_row(first + i, row)


def _first_and_last(files: ImageFiles) -> str:
    return f"{files.paths[0]} or another up to {files.paths[-1]}"


@dataclass(frozen=True)
class _RemoteExtractor:
    """Extracts features in a process that builds the network with the first part, and keeps it for the next ones."""

    config: FeatureConfig
    calibration: ImageFiles
    cache: Cache

    def __call__(self, files: ImageFiles) -> NDArray[np.float32]:
        key = repr(self)
        if key not in _remote:
            # One process per core, so each computes by one thread and decodes by itself.
            torch.set_num_threads(1)
            compute = Compute(resolve_device(device_name()), 0)
            _remote.clear()
            _remote[key] = build_feature_extractor(self.config, self.calibration, compute, self.cache)
        return _remote[key].features(files)


# The extractor of this process, by the repr of its `_RemoteExtractor`.
_remote: dict[str, FeatureExtractor] = {}


def body_features(
    classifier: Classifier, files: ImageFiles, compute: Compute, cache: Cache | None
) -> NDArray[np.float32]:
    """Return the outputs of a classifier's frozen body, one row per image.

    They are the rows of the section ``features`` if network, weights, layer, crop and size are the same. With a cache,
    all arms, seeds and stages share them.
    """
    body, config = classifier.body, classifier.config
    name = f"{config.model}, frozen"
    if isinstance(body, Backbone):
        name = f"{config.model} to {config.layer} by torch"
        if config.pooling != "average" or config.flip_tta:
            name += f", {config.pooling} pooling{', mirrored' * config.flip_tta}"
        body = fuse_conv_bn(body) if compute.device.type == "cpu" else body
    if cache is None:
        return extract_features(body, files, config.preprocessing, compute)
    rows: dict[int, NDArray[np.float32]] = {}
    extract_features_cached(body, files, config.preprocessing, compute, name=name, cache=cache, on_row=rows.__setitem__)
    return np.stack([rows[i] for i in range(len(files))]) if rows else np.empty((0, 0), dtype=np.float32)


def predict_scores(
    classifier: Classifier, files: ImageFiles, compute: Compute, cache: Cache | None
) -> NDArray[np.float64]:
    """Scores from 0 to 1, shape (n_images, n_labels), by the classifier's sigmoid or softmax; see `body_features`."""
    if classifier.config.frozen:
        # One row at a time, since in a batch rounding may depend on a row's position.
        features = torch.from_numpy(body_features(classifier, files, compute, cache))
        head = classifier.head.cpu().eval()
        with torch.inference_mode():
            rows = [head(row[None].clone()) for row in features]
        logits = torch.cat(rows).double().numpy() if rows else np.empty((0, len(classifier.config.labels)))
    else:
        logits = extract_features(classifier, files, classifier.config.preprocessing, compute).astype(np.float64)
    scores: NDArray[np.float64] = expit(logits) if classifier.config.scores == "sigmoid" else softmax(logits, axis=1)
    return scores
