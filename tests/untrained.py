"""A model as train writes it, without training, and images to judge it on."""

from pathlib import Path

import numpy as np
import torch

from counterweight.base import manifest
from counterweight.images import codec
from counterweight.metrics import decisions
from counterweight.networks.classifier import Classifier, Design, save


def untrained(folder: Path, labels: list[str], task: str, targets: list[list[int]]) -> Path:
    """A folder with twelve images, four of each split, and a model that was never trained."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    names = [f"{i:02}.png" for i in range(12)]
    checksums = [
        codec.write(pixels, folder / "data/resized" / name, "png") for pixels, name in zip(noise, names, strict=True)
    ]
    splits = [("train", "val", "test")[i % 3] for i in range(12)]
    table = manifest.build(names, names, splits, labels, np.array(targets, dtype=np.int8), checksums)
    manifest.write(table, folder / "augmented/manifest.csv")
    resize = {"width": 16, "height": 16, "mode": "stretch", "format": "png"}
    how = "sigmoid" if task == "multilabel" else "softmax"
    torch.manual_seed(0)
    model = folder / "results/balanced/model"
    save(
        Classifier(Design("cnn1", None, "relu", "average", False, 3, labels, task, how, "whole", (16, 16), resize)),
        model,
    )
    positive = labels[-1] if task == "binary" else None
    tuned = {label: 0.5 for label in labels if positive in (None, label)}
    decisions.write(decisions.Decisions(task, labels, positive, 0.5, tuned), model)
    return folder
