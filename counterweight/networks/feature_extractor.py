"""The network that features come from, ready to be run on image files."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from counterweight.networks.backbones import Backbone
from counterweight.networks.inference import Compute, extract_features_cached
from counterweight.networks.loader import ImageFiles, Preprocessing
from counterweight.networks.openvino import build_engine
from counterweight.networks.weights import load_weights
from counterweight.runtime.cache import Cache

SIZE = (224, 224)  # The size that ImageNet-trained ResNets were trained on.


@dataclass(frozen=True)
class FeatureConfig:
    """The section ``features`` of params.yaml."""

    model: str
    weights: str
    layer: str
    crop: str
    engine: str
    seed: int


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
    preprocessing, compute, cache
        See `counterweight.networks.inference.extract_features_cached`.
    """

    network: nn.Module
    name: str
    n_features: int
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
    network = Backbone(config.model, config.layer, SIZE)
    load_weights(network, config.weights)
    preprocessing = Preprocessing(config.crop, SIZE)
    runner, engine = build_engine(config.engine, network, files, preprocessing, compute.device)
    name = f"{config.model} to {config.layer} by {engine}"
    return FeatureExtractor(runner, name, network.n_features, preprocessing, compute, cache)
