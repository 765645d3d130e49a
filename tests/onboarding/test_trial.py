from pathlib import Path

import numpy as np
import pytest

from counterweight.base.params import load_params
from counterweight.images import codec
from counterweight.images.sources import FolderImages, open_images
from counterweight.onboarding.trial import Sample, time_augment, time_features, time_resize
from tests.workspace import PROJECT

PARAMS = load_params(PROJECT / "params.yaml")
RESIZE, AUGMENT, FEATURES = (section.model_dump() for section in (PARAMS.resize, PARAMS.augment, PARAMS.features))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        codec.write(pixels, tmp_path / f"images/{i}.png", "png")
    (tmp_path / "made").mkdir()
    return tmp_path / "images"


@pytest.fixture
def samples(pictures: Path, tmp_path: Path) -> list[Sample]:
    return time_resize(FolderImages(pictures), ["0.png", "1.png"], tmp_path / "made", RESIZE)[1]


def test_images_are_resized_into_the_folder(pictures: Path, tmp_path: Path) -> None:
    cost, made = time_resize(FolderImages(pictures), ["0.png", "1.png"], tmp_path / "made", RESIZE)
    assert (cost.once, 0 < cost.each < 1) == (0, True)
    assert [each.pixels.shape for each in made] == [(128, 128, 3)] * 2
    assert all(codec.checksum(each.path.read_bytes()) == each.checksum for each in made)


def test_images_of_an_array_are_resized(pictures: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((4, 20, 20), np.uint8))
    assert len(time_resize(open_images(tmp_path / "images.npy"), ["0", "3"], tmp_path / "made", RESIZE)[1]) == 2


def test_image_that_cannot_be_read_is_left_out(pictures: Path, tmp_path: Path) -> None:
    (pictures / "0.png").write_bytes(b"no image")
    source = FolderImages(pictures)
    assert len(time_resize(source, ["0.png", "1.png"], tmp_path / "made", RESIZE)[1]) == 1
    assert time_resize(source, ["0.png"], tmp_path / "made", RESIZE)[1] == []


@pytest.mark.parametrize("mix", ["compose", "equal_parts"])
def test_the_users_own_pipeline_is_timed(mix: str, samples: list[Sample], tmp_path: Path) -> None:
    cost = time_augment(samples, tmp_path, AUGMENT | {"mix": mix}, "jpg")
    assert cost is not None
    assert 0 < cost.each < 5


def test_the_network_is_timed_without_its_weights(samples: list[Sample]) -> None:
    cost = time_features(samples, FEATURES | {"weights": "IMAGENET1K_V1"})
    assert cost is not None
    assert 0 < cost.each < 5


def test_what_fails_has_no_cost(samples: list[Sample], tmp_path: Path) -> None:
    assert time_features(samples, FEATURES | {"layer": "layer99"}) is None
    assert time_augment(samples, tmp_path, AUGMENT | {"pipeline": "no such"}, "jpg") is None
