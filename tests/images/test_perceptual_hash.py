import cv2
import numpy as np
import pytest

from counterweight.images import codec
from counterweight.images.codec import Pixels
from counterweight.images.perceptual_hash import perceptual_hash
from data.example.drawing import make_images


def bits_apart(one: Pixels, other: Pixels) -> int:
    hashes = perceptual_hash(one), perceptual_hash(other)
    assert hashes[0] is not None
    assert hashes[1] is not None
    return (hashes[0] ^ hashes[1]).bit_count()


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> list[Pixels]:
    folder = tmp_path_factory.mktemp("drawings")
    return [codec.read(folder / image.file) for image in make_images(folder, train=20, test=0, seed=3)]


def test_a_picture_scaled_or_brighter_or_encoded_anew_has_nearly_the_same_hash(drawings: list[Pixels]) -> None:
    for pixels in drawings:
        height, width = pixels.shape[:2]
        changed = [
            cv2.resize(pixels, (3 * width, 2 * height), interpolation=cv2.INTER_CUBIC),
            np.clip(pixels.astype(int) + 20, 0, 255).astype(np.uint8),
            cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR),
        ]
        assert max(bits_apart(pixels, np.asarray(other, np.uint8)) for other in changed) <= 4


def test_other_pictures_have_another_hash(drawings: list[Pixels]) -> None:
    apart = [bits_apart(one, other) for i, one in enumerate(drawings) for other in drawings[:i]]
    assert min(apart) > 4


@pytest.mark.parametrize("size", [1, 9, 500])
def test_a_picture_of_one_colour_has_no_hash(size: int) -> None:
    assert perceptual_hash(np.full((size, size, 3), 200, np.uint8)) is None


def test_a_hash_has_64_bits() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    assert 2**56 < (perceptual_hash(noise) or 0) < 2**64
