"""The rows of a table as a network is trained on them."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from stages.core import manifest
from stages.core.classifiers import Classifier
from stages.core.inference import rows_of, scores_of
from stages.core.processes import Group
from stages.core.views import Views


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
        As in `stages.core.inference.rows_of`.

    Returns
    -------
    Dataset
        Inputs are uint8 images (height, width, 3), or features; targets are float32 (n_labels,), -1 where missing.
    """
    files = [
        (copies if source_id else resized) / path
        for source_id, path in zip(table["source_id"], table["path"], strict=True)
    ]
    checksums = table["checksum"].tolist()
    targets = torch.tensor(manifest.targets(table), dtype=torch.float32)
    design = classifier.design
    if not frozen:
        return Views(files, checksums, design.view, design.size, targets)
    mine = group.share(len(files))
    part = rows_of(
        classifier.body, [files[i] for i in mine], [checksums[i] for i in mine],
        view=design.view, size=design.size, device=group.device, workers=workers,
    )  # fmt: skip
    classifier.cpu()
    return TensorDataset(torch.tensor(group.whole_array(part, len(files))), targets)


def validation_scores(
    classifier: Classifier, table: pd.DataFrame, *, resized: Path, device: torch.device, workers: int
) -> NDArray[np.float64]:
    """Scores of the user's own images, shape (n_images, n_labels), as the evaluation computes them.

    Parameters
    ----------
    classifier, table, resized, device, workers
        As in `examples`; the table has no copies.
    """
    design = classifier.design
    return scores_of(
        classifier,
        [resized / path for path in table["path"]],
        table["checksum"].tolist(),
        view=design.view,
        size=design.size,
        device=device,
        workers=workers,
    )
