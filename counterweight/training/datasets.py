"""The rows of a table as a network is trained on them."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from counterweight.base import manifest
from counterweight.networks.classifier import Classifier, Design
from counterweight.networks.distributed import Group
from counterweight.networks.inference import rows_of
from counterweight.networks.loader import Views


def examples(
    classifier: Classifier,
    table: pd.DataFrame,
    *,
    resized: Path,
    copies: Path,
    frozen: bool,
    group: Group,
    workers: int,
) -> Dataset[tuple[Tensor, ...]]:
    """Pairs of input and targets.

    Parameters
    ----------
    classifier : Classifier
        Its design says how it sees an image.
    table : pandas.DataFrame
        Rows of a manifest.
    resized, copies : Path
        Folders of the user's images and of the copies.
    frozen : bool
        Whether the body stays as it is: then its outputs are computed once, and are the inputs.
    group : Group
        The processes that compute them.
    workers : int
        As in `counterweight.networks.inference.rows_of`.

    Returns
    -------
    Dataset
        Inputs are uint8 images (height, width, 3), or features; targets are float32 (n_labels,), -1 where missing.
    """
    targets = torch.tensor(manifest.targets(table), dtype=torch.float32)
    design = classifier.design
    if not frozen:
        return Views(_files(table, resized, copies), table["checksum"].tolist(), design.view, design.size, targets)
    rows = table_features(classifier.body, table, design, resized, copies, group, workers)
    return TensorDataset(torch.tensor(rows), targets)


def _files(table: pd.DataFrame, resized: Path, copies: Path) -> list[Path]:
    return [
        (copies if source_id else resized) / path
        for source_id, path in zip(table["source_id"], table["path"], strict=True)
    ]


def table_features(
    network: nn.Module, table: pd.DataFrame, design: Design, resized: Path, copies: Path, group: Group, workers: int
) -> NDArray[np.float32]:
    """What a network makes of a table's images, each process of its share."""
    mine = table.iloc[group.share(len(table))]
    part = rows_of(
        network, _files(mine, resized, copies), mine["checksum"].tolist(),
        view=design.view, size=design.size, device=group.device, workers=workers,
    )  # fmt: skip
    network.cpu()
    return group.whole_array(part, len(table))
