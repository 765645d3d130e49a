"""What finds an image that was changed: its perceptual hash or its features, on the photographs of scenes.

    python -m benchmarks.near_duplicates [--data ../shared]

Each of 500 photographs is changed in the ways that tools for labelling change them before they export a dataset. A
changed image is found by hash if its hash, or that of its mirror image, is near the original's, as in `ingest`; and by
features if the cosine of its features, or of its mirror image's, to the original's is above a threshold. That is the
highest cosine of two different photographs, or lets through one pair of them for every ten images. The features are
those of the default network, less their mean over the photographs. The table goes into benchmarks/README.md.
"""

import time
from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.common import WEIGHTS, data_folder, measured_by, write_section
from counterweight.images import codec
from counterweight.images.geometry import TargetSize, network_view, resize
from counterweight.images.perceptual_hash import perceptual_hashes
from counterweight.networks.backbones import Backbone
from counterweight.networks.weights import load_weights

PHOTOGRAPHS, SIDE = 500, 224
# data.max_hash_distance, and half of it for mirror images.
MAX_BITS, MAX_MIRROR_BITS = 4, 2

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


def main() -> None:
    """Measure, and write the table."""
    data, start = data_folder(__doc__), time.perf_counter()
    network = Backbone("resnet18", "layer3", (SIDE, SIDE), pooling="average").eval()
    load_weights(network, str(data / WEIGHTS))
    folder = data / "datasets/miml_scenes/images"
    paths = sorted(folder.iterdir())[::4][:PHOTOGRAPHS]
    originals = [resize(codec.read(path), TargetSize(320, 320, "stretch")) for path in paths]
    hashes, features = hashes_of(originals), features_of(originals, network)
    center = features.mean(axis=0)

    def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray((rows - center) / np.linalg.norm(rows - center, axis=1, keepdims=True))

    of_originals = unit(features)
    between = np.triu(np.bitwise_count(hashes[0][:, None] ^ hashes[0][None]).astype(int) + 1, 1)
    pairs = np.triu_indices(len(originals), 1)
    same = (between[pairs] - 1 <= MAX_BITS).sum()
    cosines = np.sort((of_originals @ of_originals.T)[pairs])
    strict, loose = cosines[-1 - same], cosines[-1 - len(originals) // 10]
    rows = []
    for name, change in CHANGES.items():
        images = [change(pixels) for pixels in originals]
        changed, mirrored = hashes_of(images)
        by_hash = np.bitwise_count(changed ^ hashes[0]) <= MAX_BITS
        by_hash |= np.bitwise_count(mirrored ^ hashes[0]) <= MAX_MIRROR_BITS
        views = (images, [np.ascontiguousarray(pixels[:, ::-1]) for pixels in images])
        cosine = np.max([(unit(features_of(view, network)) * of_originals).sum(axis=1) for view in views], axis=0)
        rows.append([name, by_hash.mean(), (cosine > strict).mean(), (cosine > loose).mean()])
    head = ["the change", "by hash", f"by features, cosine above {strict:.3f}", f"above {loose:.3f}"]
    table = pd.DataFrame(rows, columns=head).to_markdown(index=False, floatfmt=".2f")
    found = f"Of the {len(pairs[0]):,} pairs of different photographs, {same} are near by hash.\n\n"
    packages = ["torch", "opencv-python-headless", "imagehash"]
    note = measured_by("benchmarks.near_duplicates", packages, time.perf_counter() - start)
    write_section("near duplicates", f"{found}{table}\n\n{note}\n")


if __name__ == "__main__":
    main()
