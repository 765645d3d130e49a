"""Each recipe with tiny data, on which its pipeline runs within a minute."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from recipes.catalog import recipe_values

CLASSES = {"binary": ["cat", "dog"], "multiclass": ["a", "b", "c"], "multilabel": ["a", "b", "c"]}
# Images per class: in train, in train for the last class, and in test.
TRAIN, RARE, TEST = 24, 10, 6
INPUTS = {
    "binary": {"data.images": "images", "data.sheet": "images"},
    "multiclass": {
        "data.images": "images.npy", "data.sheet": "labels.csv", "data.columns.image": None, "data.columns.split": None,
        "data.columns.labels": "target", "data.test": 0.2,
    },
    "multilabel": {"data.images": "images", "data.sheet": "labels.csv", "data.columns.labels": ["a", "b", "c"]},
}  # fmt: skip


def tiny(recipe: str) -> dict[str, Any]:
    """A recipe's values with tiny data, small images, few epochs and random weights."""
    values = recipe_values(recipe)
    tall = isinstance(values["train.input_size"], list)
    values |= INPUTS[values["data.task"]]
    values |= {"resize.width": 32, "resize.height": 40 if tall else 32}
    values |= {"features.model": "resnet18", "features.weights": "random", "features.layer": "layer1"}
    values |= {"cluster.n_components": 8, "cluster.n_clusters": 3}
    values |= {"probe.folds": 3, "probe.repeats": 1, "probe.max_copied": 6, "probe.images_per_augmenter": 1}
    values |= {"augment.guard": None}
    values |= {"train.weights": "random", "train.pretrained_until": None, "train.batch_size": 16}
    values |= {"train.input_size": [32, 40] if tall else 32}
    values |= {"train.epochs": 2, "train.patience": 2, "train.threads": 1}
    if values["train.layer"] is not None:
        values["train.layer"] = "layer1"
    return values


def make_data(folder: Path, task: str) -> None:
    """Write random images for `INPUTS`: in class folders, in an array, or with a sheet that lacks some labels."""
    random = np.random.default_rng(0)
    classes = CLASSES[task]
    counts = {(split, label): TEST for split in ("train", "test") for label in classes}
    counts |= {("train", label): RARE if label == classes[-1] else TRAIN for label in classes}
    rows = [(split, label) for (split, label), count in counts.items() for _ in range(count)]
    shape = (len(rows), 40, 32) if task == "multiclass" else (len(rows), 40, 32, 3)
    images = random.integers(0, 256, shape, dtype=np.uint8)
    if task == "multiclass":
        np.save(folder / "images.npy", images)
        (folder / "labels.csv").write_text("\n".join(["target", *(label for _, label in rows)]) + "\n")
        return
    lines = [",".join(["id", "split", *classes])]
    for i, ((split, label), image) in enumerate(zip(rows, images, strict=True)):
        name = f"{i:03}.png" if task == "multilabel" else f"{split}/{label}/{i:03}.png"
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "images" / name), image)
        cells = [str(int(each == label or random.random() < 0.2)) for each in classes]
        if split == "train" and i % 5 == 0:
            cells[i // 5 % len(classes)] = "NA"
        lines.append(",".join([name, split, *cells]))
    if task == "multilabel":
        (folder / "labels.csv").write_text("\n".join(lines) + "\n")
