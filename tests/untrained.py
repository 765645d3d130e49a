"""An untrained model in the format of the train stage, and images to evaluate it on."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from counterweight.base import manifest
from counterweight.images import codec
from counterweight.metrics.decisions import DecisionRule
from counterweight.networks.classifier import Classifier, ModelConfig, save

MODEL = "results/arms/copies/models/seed-0"


def write_rule(rule: DecisionRule, folder: Path) -> None:
    """Write a decision rule into the folder of a model."""
    (folder / "decisions.json").write_text(json.dumps(asdict(rule)), encoding="utf-8")


def untrained(folder: Path, labels: list[str], task: str, targets: list[list[int]]) -> Path:
    """Write twelve images, four per split, and a model of the arm copies that was never trained; return the folder."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    names = [f"{i:02}.png" for i in range(12)]
    checksums = [
        codec.write(pixels, folder / "data/resized" / name, "png") for pixels, name in zip(noise, names, strict=True)
    ]
    splits = [("train", "val", "test")[i % 3] for i in range(12)]
    table = manifest.build(names, names, splits, labels, np.array(targets, dtype=np.int8), checksums)
    manifest.write(table, folder / "augmented/arms/copies.csv")
    resize = {"width": 16, "height": 16, "mode": "stretch", "format": "png"}
    scores = "sigmoid" if task == "multilabel" else "softmax"
    config = ModelConfig(
        "cnn1", None, "relu", "average", False, 3, labels, task, scores, "none", (16, 16), resize, False
    )
    torch.manual_seed(0)
    model = folder / MODEL
    save(Classifier(config), model)
    positive = labels[-1] if task == "binary" else None
    thresholds = {label: 0.5 for label in labels if positive in (None, label)}
    write_rule(DecisionRule(task, labels, positive, 0.5, thresholds), model)
    return folder
