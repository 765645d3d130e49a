"""The rows of a table as a network is trained on them."""

from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from stages.base import manifest
from stages.core.backbones import Backbone
from stages.core.classifiers import Classifier, Design
from stages.core.decisions import Decisions, positive_class
from stages.core.inference import rows_of, scores_of
from stages.core.norms import Moments, fit_norms, norms_of
from stages.core.processes import Group
from stages.core.tuning import tune
from stages.core.views import Views

# To which a body is fitted: a hundred points or more of each, for 64 directions of bilinear pooling.
FITTED_IMAGES = 256


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
    targets = torch.tensor(manifest.targets(table), dtype=torch.float32)
    design = classifier.design
    if not frozen:
        return Views(_files(table, resized, copies), table["checksum"].tolist(), design.view, design.size, targets)
    rows = _rows(classifier.body, table, design, resized, copies, group, workers)
    return TensorDataset(torch.tensor(rows), targets)


def fit_body(
    classifier: Classifier,
    table: pd.DataFrame,
    *,
    norms: bool,
    resized: Path,
    copies: Path,
    group: Group,
    workers: int,
) -> None:
    """Fit what a torchvision network needs to know of train images before training begins.

    That is bilinear pooling, where the network has it, and batch norm, see `stages.core.norms`.

    Parameters
    ----------
    classifier : Classifier
        It is changed.
    table : pandas.DataFrame
        Train rows of a manifest; of those that are no copies, `FITTED_IMAGES` are looked at, evenly drawn.
    norms : bool
        Whether batch norm is to be fitted: where the body is trained, and did not begin with random weights. What of
        it did is left alone.
    resized, copies, group, workers
        As in `examples`.
    """
    body = classifier.body
    if not isinstance(body, Backbone):
        return
    own = table[table["source_id"] == ""]
    looked_at = own.iloc[:: ceil(len(own) / FITTED_IMAGES)]
    how = (looked_at, classifier.design, resized, copies, group, workers)
    if body.bilinear is not None:
        body.bilinear.fit(torch.tensor(_rows(_Maps(body), *how)))
    came = norms_of(body.cut, but=body.fresh)
    if norms and came:
        with Moments(_Maps(body), came) as moments:
            fit_norms(came, _rows(moments, *how))


class _Maps(nn.Module):
    """A backbone without its pooling."""

    def __init__(self, body: Backbone) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        return self.body.maps(images)


def decided(
    classifier: Classifier,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    *,
    measure: str,
    resized: Path,
    device: torch.device,
    workers: int,
) -> Decisions:
    """Tune what turns a classifier's scores into labels on validation images, whose scores are as those of evaluation.

    Parameters
    ----------
    classifier : Classifier
        As it is to be saved.
    train, validation : pandas.DataFrame
        Rows of a manifest. Of two classes, the one that is rarer among those of train that are no copies is positive.
    measure : str
        As in `stages.core.tuning.tune`.
    resized, device, workers
        As in `examples`; validation has no copies.
    """
    design = classifier.design
    scores = scores_of(
        classifier, [resized / path for path in validation["path"]], validation["checksum"].tolist(),
        view=design.view, size=design.size, device=device, workers=workers,
    )  # fmt: skip
    counts = (manifest.targets(train[train["source_id"] == ""]) == 1).sum(axis=0)
    positive = positive_class(design.task, design.labels, counts)
    return tune(manifest.targets(validation), scores, design.labels, design.task, positive, measure=measure)


def _files(table: pd.DataFrame, resized: Path, copies: Path) -> list[Path]:
    return [
        (copies if source_id else resized) / path
        for source_id, path in zip(table["source_id"], table["path"], strict=True)
    ]


def _rows(
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
