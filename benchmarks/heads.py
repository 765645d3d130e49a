"""A linear head on frozen ResNet-18 features (up to layer3), trained in a second once there are features."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import nn
from torch.utils.data import TensorDataset

from counterweight.metrics.decisions import tune
from counterweight.metrics.per_label import average_precisions, label_rates
from counterweight.networks.backbones import Backbone
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.inference import Compute, extract_features
from counterweight.networks.loader import ImageFiles, Preprocessing
from counterweight.networks.weights import load_weights
from counterweight.training.losses import Objective, build_loss
from counterweight.training.optimizer import FitConfig, OptimizerConfig
from counterweight.training.sampler import build_sampler
from counterweight.training.trainer import fit

SIZE = (224, 224)


def features_of(project: Path, table: pd.DataFrame, weights: str) -> NDArray[np.float32]:
    """Features of the resized images and the copies that a table names."""
    backbone = Backbone("resnet18", "layer3", SIZE)
    load_weights(backbone, weights)
    files = [
        project / ("augmented/images" if source else "data/resized") / path
        for source, path in zip(table["source_id"], table["path"], strict=True)
    ]
    images = ImageFiles(files, table["checksum"].tolist())
    return extract_features(backbone, images, Preprocessing("none", SIZE), Compute(torch.device("cpu"), 1))


def head_scores(
    features: NDArray[np.float32], targets: NDArray[np.int8], splits: NDArray[np.object_], loss: str
) -> NDArray[np.float64]:
    """Train a linear head on the rows of train and return its scores of all rows."""
    torch.manual_seed(0)
    head = nn.Linear(features.shape[1], targets.shape[1])
    parts = {
        split: TensorDataset(
            torch.tensor(features[splits == split]), torch.tensor(targets[splits == split], dtype=torch.float32)
        )
        for split in ("train", "val")
    }
    train = targets[splits == "train"]
    fit(
        head,
        Objective(
            build_loss(loss.removeprefix("weighted_"), train, weighted=loss.startswith("weighted_")),
            build_loss("bce", train, weighted=False),
            "sigmoid",
            "average_precision",
        ),
        parts["train"],
        parts["val"],
        sampler=build_sampler(len(train), 0),
        config=FitConfig(OptimizerConfig("adam", 1e-2, 0.0, "none", 200), patience=20, batch_size=128),
        group=ProcessGroup(torch.device("cpu")),
    )
    with torch.inference_mode():
        return np.asarray(expit(head(torch.tensor(features)).numpy().astype(np.float64)))


def judged(
    targets: NDArray[np.int8], scores: NDArray[np.float64], splits: NDArray[np.object_], labels: Sequence[str]
) -> dict[str, float]:
    """MAP, and macro F1 by 0.5, by one threshold and by one a label tuned on validation, of validation and test."""
    parts = {split: (targets[splits == split], scores[splits == split]) for split in ("val", "test")}
    decided = tune(*parts["val"], list(labels), "multilabel")
    found = {}
    for split, (there, said) in parts.items():
        found[f"{split} mAP"] = float(np.nanmean(average_precisions(there, said)))
        for how in (0.5, "tuned", "per_label"):
            found[f"{split} F1, {how}"] = float(label_rates(there, decided.apply(said, how)).f1.mean())
    return found
