"""Thresholds tuned on validation."""

from pathlib import Path

import pandas as pd
import torch

from counterweight.base import manifest
from counterweight.metrics.decisions import Decisions, positive_class, tune
from counterweight.networks.classifier import Classifier
from counterweight.networks.inference import scores_of


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
        As in `counterweight.metrics.decisions.tune`.
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
