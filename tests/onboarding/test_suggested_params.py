from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.folder_images import FolderImages
from counterweight.onboarding.column_inference import SheetSchema
from counterweight.onboarding.suggested_params import Sizes, deepest_layer, sample_sizes, suggest_params

SCENES = SheetSchema("id", "split", "target", ",", "multilabel", {"sea": 9, "ice": 1}, 0, 0, [])
ANIMALS = SheetSchema("image", None, "class", ",", "multiclass", {"cat": 9, "dog": 5, "cow": 1}, 0, 0, [])


def suggested(schema: SheetSchema, median: tuple[int, int], count: int = 1_000) -> dict[str, object]:
    sizes = Sizes((32, 32), median, (4_000, 3_000))
    return suggest_params(schema, sizes, images="photos", sheet="labels.xlsx", weights="IMAGENET1K_V1", count=count)


def test_photographs_get_the_values_of_the_article() -> None:
    params = suggested(SCENES, (1_024, 768))
    assert [params[f"resize.{name}"] for name in ("width", "height", "format")] == [400, 400, "jpg"]
    assert (params["features.crop"], params["cluster.n_components"]) == ("none", 50)


@pytest.mark.parametrize(
    ("count", "clusters", "folds"),
    [(4, 2, 2), (9, 2, 4), (31, 3, None), (39, 4, None), (40, None, None), (1_000, None, None)],
)
def test_few_images_get_fewer_clusters_and_folds(count: int, clusters: int | None, folds: int | None) -> None:
    params = suggested(ANIMALS, (32, 28), count)
    assert (params.get("cluster.n_clusters"), params.get("probe.folds")) == (clusters, folds)


def test_small_images_keep_their_size_and_are_not_cropped() -> None:
    params = suggested(ANIMALS, (32, 28))
    assert [params[f"resize.{name}"] for name in ("width", "height", "format")] == [32, 28, "png"]
    assert params["features.crop"] == "none"


def test_loss_and_strategy_suit_the_task() -> None:
    found = [suggested(schema, (400, 400)) for schema in (SCENES, ANIMALS)]
    assert [params["train.loss"] for params in found] == ["bce", "cross_entropy"]
    assert [params["augment.strategy"] for params in found] == ["labels", "classes"]
    assert {(params["augment.copy_mode"], params["augment.pipeline"]) for params in found} == {("plain", "gentle")}


def test_arms_are_judged_by_a_head_on_the_network_and_the_view_of_the_features() -> None:
    params = suggested(SCENES, (1_024, 768))
    assert (params["train.freeze"], params["train.optimizer"], params["train.repeats"]) == (True, "lbfgs", 1)
    for name in ("weights", "layer", "crop"):
        assert params[f"train.{name}"] == params[f"features.{name}"]
    assert (params["train.model"], params["train.input_size"], params["train.transforms"]) == ("resnet18", 224, [])


def test_weights_of_a_file_are_named_absolutely_and_those_of_torchvision_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_file({"layer3.0.w": np.zeros(1)}, tmp_path / "w.safetensors")
    sizes = Sizes((32, 32), (32, 32), (32, 32))
    options = {"images": "photos", "sheet": "labels.xlsx", "count": 100}
    params = suggest_params(SCENES, sizes, weights="w.safetensors", **options)
    assert params["features.weights"] == params["train.weights"] == str(tmp_path / "w.safetensors")
    assert params["features.layer"] == params["train.layer"] == "layer3"
    assert suggested(SCENES, (32, 32))["train.weights"] == "IMAGENET1K_V1"


def test_few_images_get_few_components() -> None:
    assert suggested(SCENES, (400, 400), count=40)["cluster.n_components"] == 10


def test_unreadable_images_have_no_size(tmp_path: Path) -> None:
    for i, shape in enumerate([(10, 30, 3), (20, 40, 3), (30, 20, 3)]):
        codec.write(np.zeros(shape, np.uint8), tmp_path / f"{i}.png", "png")
    (tmp_path / "3.png").write_bytes(b"no image")
    sizes = sample_sizes(FolderImages(tmp_path), [f"{i}.png" for i in range(4)])
    assert sizes == Sizes((20, 10), (30, 20), (40, 30))
    assert str(sizes) == "20 x 10 to 40 x 30, median 30 x 20"


def test_folder_without_a_readable_image_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="it has no readable image"):
        sample_sizes(FolderImages(tmp_path), ["a.png"])


def test_layer_is_the_deepest_in_the_file(tmp_path: Path) -> None:
    save_file({"conv1.weight": np.zeros(1), "layer2.0.w": np.zeros(1)}, tmp_path / "w.safetensors")
    assert deepest_layer(str(tmp_path / "w.safetensors")) == "layer2"
    assert deepest_layer("IMAGENET1K_V1") == "layer4"


def test_sizes_of_a_sample_say_so(tmp_path: Path) -> None:
    for i in range(101):
        Image.new("RGB", (40, 30)).save(tmp_path / f"{i}.png")
    source = FolderImages(tmp_path)
    assert str(sample_sizes(source, source.names())) == "40 x 30, in a sample of 100"
    assert str(sample_sizes(source, source.names()[:100])) == "40 x 30"


def test_rows_without_a_file_are_dropped_where_there_are_some() -> None:
    assert suggested(SCENES, (64, 64))["data.missing_files"] == "error"
    assert suggested(replace(SCENES, files=[["a.png"], []]), (64, 64))["data.missing_files"] == "drop"
