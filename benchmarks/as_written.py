"""The write-up's way, step by step and in one process: what a user would do without Counterweight.

    python -m benchmarks.as_written --images FOLDER --sheet SHEET --weights FILE --out FOLDER

Pillow resizes to 400 x 400; ResNet-18 sees one image at a time, as torchvision's transforms give it; scikit-learn's PCA
and KMeans with their defaults; imgaug's pipeline in a loop; pandas writes the sheet. The seconds of each step go to
stdout as JSON.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import imgaug.augmenters as iaa
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from torch import nn
from torchvision import transforms

from counterweight.networks.backbones import Backbone
from counterweight.networks.weights import load_weights

PIPELINE = (
    (iaa.Fliplr, {"p": 0.7}),
    (iaa.AverageBlur, {"k": (2, 7)}),
    (iaa.MedianBlur, {"k": (3, 11)}),
    (iaa.GaussianBlur, {"sigma": (0.0, 3.0)}),
    (iaa.PerspectiveTransform, {"scale": (0.01, 0.15)}),
    (iaa.ElasticTransformation, {"alpha": (0.0, 3.0), "sigma": 0.25}),
    (iaa.CropAndPad, {"percent": (-0.25, 0.25)}),
    (iaa.Cutout, {"nb_iterations": (1, 3), "size": 0.2}),
)


def resize(files: Sequence[Path], folder: Path) -> None:
    """Every image to 400 x 400, as a JPEG."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        Image.open(file).convert("RGB").resize((400, 400)).save(folder / f"{file.stem}.jpg", quality=95)


def network(weights: str) -> nn.Module:
    """ResNet-18 up to layer3, pooled; a module from normalized (n, 3, 224, 224)."""
    backbone = Backbone("resnet18", "layer3", (224, 224))
    load_weights(backbone, weights)
    return backbone.trunk.eval()


def features(files: Sequence[Path], cut: nn.Module, device: str = "cpu") -> NDArray[np.float32]:
    """A row of features an image, by a network that is on the device."""
    view = transforms.Compose(
        [
            transforms.Resize(400),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    rows = []
    with torch.no_grad():
        for file in files:
            maps = cut(view(Image.open(file).convert("RGB"))[None].to(device))["features"]
            rows.append(maps.mean(dim=(2, 3))[0].cpu().numpy())
    return np.stack(rows)


def clusters(rows: NDArray[np.float32], count: int = 5, seed: int = 0) -> tuple[NDArray[np.integer], float]:
    """Cluster of each row, and the inertia."""
    reduced = PCA(50, svd_solver="full").fit_transform(rows)
    model = KMeans(count, n_init=10, random_state=seed).fit(reduced)
    return model.labels_, float(model.inertia_)


def augment(files: Sequence[Path], folder: Path) -> None:
    """One copy of each file in the list, in which a file may stand more than once."""
    folder.mkdir(parents=True, exist_ok=True)
    pipeline = iaa.Sequential([augmenter(**given) for augmenter, given in PIPELINE])
    for number, file in enumerate(files):
        copy = pipeline(image=np.array(Image.open(file).convert("RGB")))
        Image.fromarray(copy).save(folder / f"{file.stem}__copy{number}.jpg", quality=95)


def sheet(table: pd.DataFrame, path: Path) -> None:
    """Write a table as .xlsx."""
    table.to_excel(path, index=False, engine="openpyxl")


def whole(images: Path, source: Path, weights: str, out: Path) -> Mapping[str, float]:
    """All steps, from a sheet with the columns id, split and labels to one with copies; seconds of each."""
    seconds: dict[str, float] = {}

    def timed(step: str, since: float) -> float:
        now = time.perf_counter()
        seconds[step] = now - since
        return now

    started = time.perf_counter()
    table = pd.read_excel(source, dtype=str, engine="openpyxl")
    clock = timed("read", started)
    resize([images / name for name in table["id"]], out / "resized")
    clock = timed("resize", clock)
    resized = {name: out / "resized" / f"{Path(name).stem}.jpg" for name in table["id"]}
    rows = features(list(resized.values()), network(weights))
    clock = timed("features", clock)
    is_train = (table["split"] == "train").to_numpy()
    train = table[is_train]
    numbers, _ = clusters(rows[is_train])
    clock = timed("clusters", clock)
    sizes = np.bincount(numbers)
    random = np.random.default_rng(0)
    chosen = np.concatenate(
        [random.choice(np.flatnonzero(numbers == k), sizes.max() - size) for k, size in enumerate(sizes)]
    )
    augment([resized[name] for name in train["id"].iloc[chosen]], out / "copies")
    clock = timed("augment", clock)
    sheet(pd.concat([table, train.iloc[chosen]]), out / "balanced.xlsx")
    clock = timed("excel", clock)
    return seconds | {"all": clock - started, "copies": len(chosen)}


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("images", "sheet", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--weights", required=True)
    args = parser.parse_args()
    print(json.dumps(whole(args.images, args.sheet, args.weights, args.out)))


if __name__ == "__main__":
    main()
