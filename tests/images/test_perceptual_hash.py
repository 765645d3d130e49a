from itertools import combinations

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image

from counterweight.images import codec
from counterweight.images.geometry import Pixels
from counterweight.images.perceptual_hash import perceptual_hash, perceptual_hashes
from data.example.drawing import make_images


def hash_distance(a: Pixels, b: Pixels) -> int:
    hashes = perceptual_hash(a), perceptual_hash(b)
    assert hashes[0] is not None
    assert hashes[1] is not None
    return (hashes[0] ^ hashes[1]).bit_count()


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> list[Pixels]:
    folder = tmp_path_factory.mktemp("drawings")
    return [codec.read(folder / image.file) for image in make_images(folder, train=20, test=0, seed=3)]


def test_a_scaled_brightened_or_recompressed_image_has_nearly_the_same_hash(drawings: list[Pixels]) -> None:
    for pixels in drawings:
        height, width = pixels.shape[:2]
        changed = [
            cv2.resize(pixels, (3 * width, 2 * height), interpolation=cv2.INTER_CUBIC),
            np.clip(pixels.astype(int) + 20, 0, 255).astype(np.uint8),
            cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR),
        ]
        assert max(hash_distance(pixels, np.asarray(variant, np.uint8)) for variant in changed) <= 4


def test_different_images_have_distant_hashes(drawings: list[Pixels]) -> None:
    assert min(hash_distance(a, b) for a, b in combinations(drawings, 2)) > 4


@pytest.mark.parametrize("size", [1, 9, 500])
def test_a_uniform_image_has_no_hash(size: int) -> None:
    assert perceptual_hash(np.full((size, size, 3), 200, np.uint8)) is None


def test_an_image_with_the_least_contrast_has_a_hash() -> None:
    gray = np.full((5, 30), 251, np.uint8)
    gray[:, ::2] = 255
    assert perceptual_hash(np.repeat(gray[..., None], 3, axis=2)) is not None


def test_a_hash_has_64_bits() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    assert 2**56 < (perceptual_hash(noise) or 0) < 2**64


@pytest.mark.parametrize(("width", "height"), [(32, 32), (9, 32), (32, 5), (20, 31), (1, 2)])
def test_the_bits_are_those_of_imagehash(width: int, height: int) -> None:
    random = np.random.default_rng(width)
    pictures = [random.integers(0, 256, (height, width), dtype=np.uint8) for _ in range(100)]
    # Whose frequencies are largely zero, but for rounding.
    half, stripes = np.zeros((2, height, width), dtype=np.uint8)
    half[:, : (width + 1) // 2], stripes[::2] = 255, 90
    for gray in [*pictures, half, half[:, ::-1], stripes]:
        if gray.std() >= 2:
            expected = int(str(imagehash.phash(Image.fromarray(gray))), 16)
            assert perceptual_hash(np.repeat(gray[..., None], 3, axis=2)) == expected


def test_the_second_hash_is_that_of_the_mirror_image(drawings: list[Pixels]) -> None:
    for pixels in drawings:
        own, mirrored = perceptual_hashes(pixels)
        assert own == perceptual_hash(pixels)
        assert mirrored == perceptual_hash(np.ascontiguousarray(pixels[:, ::-1]))
        assert own != mirrored
