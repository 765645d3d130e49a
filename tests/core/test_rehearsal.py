from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.base.params import load_params
from stages.core import images
from stages.core.rehearsal import rehearse
from stages.core.sources import FolderImages, open_images
from tests.workspace import PROJECT

PARAMS = load_params(PROJECT / "params.yaml")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        images.write(pixels, tmp_path / f"images/{i}.png", "png")
    return tmp_path / "images"


def tried(source: Any, names: list[str], folder: Path, **changes: Any) -> dict[str, Any]:
    folder.mkdir()
    how: dict[str, Any] = {"resize": PARAMS.resize.model_dump(), "augment": None, "features": None}
    return rehearse(source, names, folder, **(how | changes))


def test_resizing_is_timed_and_its_files_are_weighed(pictures: Path, tmp_path: Path) -> None:
    found = tried(FolderImages(pictures), ["0.png", "1.png"], tmp_path / "made")
    sizes = [path.stat().st_size for path in (tmp_path / "made").iterdir()]
    assert found["bytes"] == sum(sizes) / 2
    assert found["resize"]["once"] == 0
    assert 0 < found["resize"]["each"] < 1


def test_images_of_an_array_are_tried(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((4, 20, 20), np.uint8))
    assert tried(open_images(tmp_path / "images.npy"), ["0", "3"], tmp_path / "made")["bytes"] > 0


@pytest.mark.parametrize("mix", ["compose", "equal_parts"])
def test_the_users_own_pipeline_is_timed(mix: str, pictures: Path, tmp_path: Path) -> None:
    augment = PARAMS.augment.model_dump() | {"mix": mix}
    found = tried(FolderImages(pictures), ["0.png"], tmp_path / "made", augment=augment, loading=900.0)
    assert 0 < found["augment"]["each"] < 5
    assert found["augment"]["once"] > 900


def test_the_network_is_timed_without_its_weights(pictures: Path, tmp_path: Path) -> None:
    features = PARAMS.features.model_dump() | {"weights": "IMAGENET1K_V1"}
    found = tried(FolderImages(pictures), ["0.png"], tmp_path / "made", features=features)
    assert 0 < found["features"]["each"] < 5


def test_what_cannot_be_tried_is_left_out(pictures: Path, tmp_path: Path) -> None:
    features = PARAMS.features.model_dump() | {"layer": "layer99"}
    augment = PARAMS.augment.model_dump() | {"pipeline": "no such"}
    found = tried(FolderImages(pictures), ["0.png"], tmp_path / "made", features=features, augment=augment)
    assert set(found) == {"resize", "bytes"}


def test_an_image_that_cannot_be_read_is_left_out(pictures: Path, tmp_path: Path) -> None:
    (pictures / "0.png").write_bytes(b"no image")
    tried(FolderImages(pictures), ["0.png", "1.png"], tmp_path / "made")
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["1.jpg"]
    assert tried(FolderImages(pictures), ["0.png"], tmp_path / "other") == {}
