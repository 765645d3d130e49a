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
from counterweight.networks.classifier import Classifier, ModelConfig
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.inference import Compute, extract_features
from counterweight.networks.loader import ImageDataset, ImageFiles


@dataclass(frozen=True)
class ArmImages:
    """The folders of an arm's images: the user's own, resized, and the copies."""

    resized: Path
    copies: Path

    def files(self, table: pd.DataFrame) -> ImageFiles:
        """Return the image file of each row of a manifest."""
        paths = [
            (self.copies if source_id else self.resized) / path
            for source_id, path in zip(table["source_id"], table["path"], strict=True)
        ]
        return ImageFiles(paths, table["checksum"].tolist())


def build_dataset(
    classifier: Classifier,
    table: pd.DataFrame,
    *,
    frozen: bool,
    images: ArmImages,
    group: ProcessGroup,
    workers: int,
) -> Dataset[tuple[Tensor, ...]]:
    """Build pairs of input and targets.

    Parameters
    ----------
    classifier : Classifier
        Its config says how it sees an image.
    table : pandas.DataFrame
        Rows of a manifest.
    frozen : bool
        Whether the body is not trained. Its outputs are then computed once, and are the inputs.
    images : ArmImages
        Where the images are.
    group : ProcessGroup
        The processes that compute those outputs.
    workers : int
        Processes that decode images for them.

    Returns
    -------
    Dataset
        Inputs are uint8 images (height, width, 3), or features; targets are float32 (n_labels,), -1 where missing.
    """
    targets, config = torch.tensor(manifest.targets(table), dtype=torch.float32), classifier.config
    if not frozen:
        return ImageDataset(images.files(table), config.preprocessing, targets)
    features = table_features(classifier.body, table, config, images, group, workers)
    return TensorDataset(torch.tensor(features), targets)


def table_features(
    network: nn.Module, table: pd.DataFrame, config: ModelConfig, images: ArmImages, group: ProcessGroup, workers: int
) -> NDArray[np.float32]:
    """Run the images of a table through a network; each process computes its shard.

    Returns
    -------
    array of float32, shape (n_images, n_outputs)
        The same in all processes.
    """
    shard = table.iloc[group.shard(len(table))]
    compute = Compute(group.device, workers)
    part = extract_features(network, images.files(shard), config.preprocessing, compute)
    network.cpu()
    return group.all_gather_array(part, len(table))
