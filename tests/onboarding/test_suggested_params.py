from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.sources import FolderImages
from counterweight.onboarding.column_inference import Understood
from counterweight.onboarding.suggested_params import Sizes, deepest_layer, proposed, sizes_of

SCENES = Understood("id", "split", "target", ",", "multilabel", {"sea": 9, "ice": 1}, 0, 0, [])
ANIMALS = Understood("image", None, "class", ",", "multiclass", {"cat": 9, "dog": 5, "cow": 1}, 0, 0, [])


def values(found: Understood, median: tuple[int, int], count: int = 1_000) -> dict[str, object]:
    how = {"images": "photos", "sheet": "labels.xlsx", "weights": "IMAGENET1K_V1", "count": count}
    return proposed(found, Sizes((32, 32), median, (4_000, 3_000)), **how)


def test_photographs_get_the_articles_values() -> None:
    found = values(SCENES, (1_024, 768))
    assert [found[f"resize.{name}"] for name in ("width", "height", "format")] == [400, 400, "jpg"]
    assert (found["features.view"], found["cluster.components"]) == ("centre", 50)


def test_small_images_keep_their_size_and_lose_nothing() -> None:
    found = values(ANIMALS, (32, 28))
    assert [found[f"resize.{name}"] for name in ("width", "height", "format")] == [32, 28, "png"]
    assert found["features.view"] == "whole"


def test_loss_is_the_tasks() -> None:
    assert values(SCENES, (400, 400))["train.loss"] == "weighted_bce"
    assert values(ANIMALS, (400, 400))["train.loss"] == "weighted_cross_entropy"


def test_few_images_get_few_components() -> None:
    assert values(SCENES, (400, 400), count=40)["cluster.components"] == 10


def test_sizes_are_of_images_that_can_be_read(tmp_path: Path) -> None:
    for i, shape in enumerate([(10, 30, 3), (20, 40, 3), (30, 20, 3)]):
        codec.write(np.zeros(shape, np.uint8), tmp_path / f"{i}.png", "png")
    (tmp_path / "3.png").write_bytes(b"no image")
    found = sizes_of(FolderImages(tmp_path), [f"{i}.png" for i in range(4)])
    assert found == Sizes((20, 10), (30, 20), (40, 30))
    assert str(found) == "20 x 10 to 40 x 30, median 30 x 20"


def test_folder_without_an_image_that_can_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="no image in it that can be read"):
        sizes_of(FolderImages(tmp_path), ["a.png"])


def test_layer_is_the_deepest_that_a_file_has(tmp_path: Path) -> None:
    save_file({"conv1.weight": np.zeros(1), "layer2.0.w": np.zeros(1)}, tmp_path / "w.safetensors")
    assert deepest_layer(str(tmp_path / "w.safetensors")) == "layer2"
    assert deepest_layer("IMAGENET1K_V1") == "layer4"
