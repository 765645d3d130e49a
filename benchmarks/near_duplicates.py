"""What finds an image that was changed: its perceptual hash or its features, on the photographs of scenes.

    python -m benchmarks.near_duplicates [--data ../shared]

Each of 300 photographs is changed in the ways that tools for labelling change them before they export a dataset. A
changed image is found by hash if its hash, or that of its mirror image, is near the original's, as in `ingest`; and by
features if the cosine of its whitened features, or of its mirror image's, to the original's reaches leaks.min_cosine.
Then the stage `leaks` runs on three datasets as they are. The tables go into benchmarks/README.md.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.common import WEIGHTS, data_folder, measured_by, write_section
from benchmarks.ranking import datasets
from counterweight.clustering.similar_images import nearest_train_images, whitened
from counterweight.images import codec
from counterweight.images.geometry import TargetSize, network_view, resize
from counterweight.images.perceptual_hash import perceptual_hashes
from counterweight.networks.backbones import Backbone
from counterweight.networks.weights import load_weights
from tests.workspace import make_workspace, run

PHOTOGRAPHS, SIDE = 300, 224
# data.max_hash_distance, and half of it for mirror images.
MAX_BITS, MAX_MIRROR_BITS = 4, 2
# leaks.min_cosine.
MIN_COSINE = 0.8

Pixels = NDArray[np.uint8]


def _warp(pixels: Pixels, degrees: float = 0, zoom: float = 1, shear: float = 0) -> Pixels:
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, zoom)
    matrix[0] += [0, shear, -shear * height / 2]
    return np.asarray(cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_LINEAR), dtype=np.uint8)


def _jpeg(pixels: Pixels) -> Pixels:
    encoded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1], dtype=np.uint8)


def _noise(pixels: Pixels) -> Pixels:
    drawn = np.random.default_rng(0).normal(0, 20, pixels.shape)
    return np.asarray(np.clip(pixels + drawn, 0, 255), dtype=np.uint8)


def _cutout(pixels: Pixels) -> Pixels:
    changed, side = pixels.copy(), pixels.shape[0] // 6
    for row, column in np.random.default_rng(0).integers(0, pixels.shape[0] - side, (3, 2)):
        changed[row : row + side, column : column + side] = 0
    return changed


def _gray(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), dtype=np.uint8)


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "JPEG of quality 40": _jpeg,
    "half the size": lambda pixels: np.asarray(cv2.resize(pixels, None, fx=0.5, fy=0.5), dtype=np.uint8),
    "brighter by 30 %": lambda pixels: np.asarray(np.clip(pixels * 1.3, 0, 255), dtype=np.uint8),
    "gray": _gray,
    "blur, 2 pixels": lambda pixels: np.asarray(cv2.GaussianBlur(pixels, (0, 0), 2), dtype=np.uint8),
    "noise of 20 levels": _noise,
    "three squares black": _cutout,
    "mirrored": lambda pixels: np.ascontiguousarray(pixels[:, ::-1]),
    "mirrored, noise": lambda pixels: _noise(np.ascontiguousarray(pixels[:, ::-1])),
    "zoom by 10 %": lambda pixels: _warp(pixels, zoom=1.1),
    "zoom by 25 %": lambda pixels: _warp(pixels, zoom=1.25),
    "rotated by 5 degrees": lambda pixels: _warp(pixels, degrees=5),
    "rotated by 15 degrees": lambda pixels: _warp(pixels, degrees=15),
    "shear of 10 %": lambda pixels: _warp(pixels, shear=0.1),
    "rotated by 90 degrees": lambda pixels: np.ascontiguousarray(np.rot90(pixels)),
}


def features_of(images: list[Pixels], network: Backbone) -> NDArray[np.float32]:
    """Features of images, shape (n, n_features)."""
    views = [network_view(pixels, "none", (SIDE, SIDE)) for pixels in images]
    with torch.inference_mode():
        parts = [network(torch.from_numpy(np.stack(views[i : i + 50]))) for i in range(0, len(views), 50)]
    return torch.cat(parts).flatten(1).numpy()


def hashes_of(images: list[Pixels]) -> NDArray[np.uint64]:
    """Hashes of images and of their mirror images, shape (2, n)."""
    return np.array([[value or 0 for value in perceptual_hashes(pixels)] for pixels in images], dtype=np.uint64).T


def changes_found(data: Path) -> pd.DataFrame:
    """Return which fraction of the changed photographs is found by hash and by features."""
    network = Backbone("resnet18", "layer3", (SIDE, SIDE), pooling="average").eval()
    load_weights(network, str(data / WEIGHTS))
    paths = sorted((data / "datasets/miml_scenes/images").iterdir())[::6][:PHOTOGRAPHS]
    originals = [resize(codec.read(path), TargetSize(320, 320, "stretch")) for path in paths]
    hashes, features = hashes_of(originals), features_of(originals, network)
    rows = []
    for name, change in CHANGES.items():
        images = [change(pixels) for pixels in originals]
        changed, mirrored = hashes_of(images)
        by_hash = np.bitwise_count(changed ^ hashes[0]) <= MAX_BITS
        by_hash |= np.bitwise_count(mirrored ^ hashes[0]) <= MAX_MIRROR_BITS
        views = [images, [np.ascontiguousarray(pixels[:, ::-1]) for pixels in images]]
        of_originals, *of_views = whitened(features, [features_of(view, network) for view in views])
        nearest, cosine, _ = nearest_train_images(of_originals, of_views)
        found = (nearest == np.arange(len(images))) & (cosine >= MIN_COSINE)
        rows.append([name, by_hash.mean(), found.mean()])
    return pd.DataFrame(rows, columns=["the change", "by hash", "by features"])


def listed(data: Path, folder: Path) -> pd.DataFrame:
    """Return how many validation and test images of three datasets `leaks` lists."""
    rows = []
    for name in ("scenes", "cats_dogs", "example"):
        size = {"features.input_size": 96} if name == "cats_dogs" else {}
        project = make_workspace(folder / name, datasets(data, folder)[name] | size)
        run(project, "dvc", "repro", "leaks")
        metrics, ingest = (
            json.loads((project / path).read_text()) for path in ("features/leaks.json", "data/ingest.json")
        )
        known = sum(ingest["duplicates"][kind] for kind in ("leaks", "mirror_leaks"))
        rows.append([name, metrics["held_out"], known, metrics["similar"]])
    return pd.DataFrame(rows, columns=["dataset", "validation and test images", "leaks by hash", "listed by `leaks`"])


def main() -> None:
    """Measure, and write the tables."""
    data, start = data_folder(__doc__), time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        counted = listed(data, Path(temporary)).to_markdown(index=False)
    table = changes_found(data).to_markdown(index=False, floatfmt=".2f")
    packages = ["torch", "opencv-python-headless", "scipy"]
    note = measured_by("benchmarks.near_duplicates", packages, time.perf_counter() - start)
    write_section("near duplicates", f"{table}\n\n{counted}\n\n{note}\n")


if __name__ == "__main__":
    main()
