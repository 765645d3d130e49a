"""Build the dataset that a classifier is trained on from the rows of a manifest."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from counterweight.base import manifest
from counterweight.images.view_file import open_views
from counterweight.networks.classifier import Classifier
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.inference import Compute, extract_features
from counterweight.networks.loader import ArrayDataset, ImageDataset, ImageFiles, Preprocessing
from counterweight.networks.prediction import body_features
from counterweight.runtime.cache import Cache


@dataclass(frozen=True)
class ArmImages:
    """An arm's images, and what runs them through a network.

    Attributes
    ----------
    resized, copies : Path
        The folders of the user's own images, resized, and of the copies.
    group, workers : ProcessGroup, int
        The processes that train, and how many others decode images for each of them.
    cache : Cache
        For the features of frozen bodies.
    """

    resized: Path
    copies: Path
    group: ProcessGroup
    workers: int
    cache: Cache

    @property
    def compute(self) -> Compute:
        """What runs images through a network."""
        return Compute(self.group.device, self.workers)

    def files(self, table: pd.DataFrame) -> ImageFiles:
        """Return the image file of each row of a manifest."""
        paths = [
            (self.copies if source_id else self.resized) / path
            for source_id, path in zip(table["source_id"], table["path"], strict=True)
        ]
        return ImageFiles(paths, table["checksum"].tolist())

    def views(self, files: ImageFiles, preprocessing: Preprocessing) -> NDArray[np.uint8] | None:
        """Return what a network sees of images; None if the cache has no room for it."""
        return open_views(
            files.paths, files.checksums, crop=preprocessing.crop, size=preprocessing.size, cache=self.cache,
            workers=max(self.workers, 1),
        )  # fmt: skip

    def features(self, network: nn.Module, table: pd.DataFrame, preprocessing: Preprocessing) -> NDArray[np.float32]:
        """Return a network's outputs, one row per image of a table; each process computes its shard and gets all."""
        shard = self.files(table.iloc[self.group.shard(len(table))])
        part = extract_features(network, shard, preprocessing, self.compute)
        network.cpu()
        return self.group.all_gather_array(part, len(table))

    def frozen_features(self, classifier: Classifier, table: pd.DataFrame) -> NDArray[np.float32]:
        """Return the outputs of a frozen body in the same way, from the cache as far as they are there."""
        part = body_features(classifier, self.files(table.iloc[self.group.shard(len(table))]), self.compute, self.cache)
        classifier.body.cpu()
        return self.group.all_gather_array(part, len(table))


def build_dataset(classifier: Classifier, table: pd.DataFrame, images: ArmImages) -> Dataset[tuple[Tensor, ...]]:
    """Build pairs of input and targets from the rows of a manifest.

    Inputs are uint8 images (height, width, 3) as the classifier sees them, decoded once if the cache has room for them;
    or, if its body is frozen, the body's outputs, which are computed once. Targets are float32 (n_labels,), -1 where
    missing.
    """
    targets = torch.tensor(manifest.targets(table), dtype=torch.float32)
    if classifier.config.frozen:
        return ArrayDataset(images.frozen_features(classifier, table), targets)
    files, preprocessing = images.files(table), classifier.config.preprocessing
    # Several processes would have to agree on which of them decodes.
    views = images.views(files, preprocessing) if images.group.size == 1 else None
    return ImageDataset(files, preprocessing, targets) if views is None else ArrayDataset(views, targets)


def all_of(dataset: Dataset[tuple[Tensor, ...]]) -> tuple[Tensor, Tensor]:
    """Return the features and the targets of all images of a frozen classifier's dataset."""
    assert isinstance(dataset, ArrayDataset)
    return torch.from_numpy(dataset.inputs), dataset.targets
