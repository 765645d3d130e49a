"""Build the dataset that a classifier is trained on from the rows of a manifest."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from counterweight.base import manifest
from counterweight.networks.classifier import Classifier
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.inference import Compute, extract_features
from counterweight.networks.loader import ImageDataset, ImageFiles, Preprocessing


@dataclass(frozen=True)
class ArmImages:
    """An arm's images, and what runs them through a network.

    Attributes
    ----------
    resized, copies : Path
        The folders of the user's own images, resized, and of the copies.
    group, workers : ProcessGroup, int
        The processes that train, and how many others decode images for each of them.
    """

    resized: Path
    copies: Path
    group: ProcessGroup
    workers: int

    def files(self, table: pd.DataFrame) -> ImageFiles:
        """Return the image file of each row of a manifest."""
        paths = [
            (self.copies if source_id else self.resized) / path
            for source_id, path in zip(table["source_id"], table["path"], strict=True)
        ]
        return ImageFiles(paths, table["checksum"].tolist())

    def features(self, network: nn.Module, table: pd.DataFrame, preprocessing: Preprocessing) -> NDArray[np.float32]:
        """Return a network's outputs, one row per image of a table; each process computes its shard and gets all."""
        shard = self.files(table.iloc[self.group.shard(len(table))])
        part = extract_features(network, shard, preprocessing, Compute(self.group.device, self.workers))
        network.cpu()
        return self.group.all_gather_array(part, len(table))


def build_dataset(
    classifier: Classifier, table: pd.DataFrame, images: ArmImages, *, frozen: bool
) -> Dataset[tuple[Tensor, ...]]:
    """Build pairs of input and targets from the rows of a manifest.

    Inputs are uint8 images (height, width, 3) as the classifier sees them; or, if its body is ``frozen``, the body's
    outputs, which are computed once. Targets are float32 (n_labels,), -1 where missing.
    """
    targets = torch.tensor(manifest.targets(table), dtype=torch.float32)
    preprocessing = classifier.config.preprocessing
    if not frozen:
        return ImageDataset(images.files(table), preprocessing, targets)
    return TensorDataset(torch.tensor(images.features(classifier.body, table, preprocessing)), targets)
