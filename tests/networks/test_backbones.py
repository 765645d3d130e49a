from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from counterweight.base.errors import InputError
from counterweight.networks.backbones import Backbone, normalize, resolve_device

SIZE = (64, 64)


@pytest.fixture
def images() -> Tensor:
    """Two noisy squares."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("model", "layer", "features"),
    [
        ("resnet18", "layer1", 64),
        ("resnet18", "layer2", 128),
        ("resnet18", "layer3", 256),
        ("resnet18", "layer4", 512),
        ("resnet18", "avgpool", 512),
        ("resnet18", "layer3.0.conv1", 256),
        ("resnet50", "layer1", 256),
        ("resnet50", "layer4", 2048),
    ],
)
def test_pooled_layer_gives_one_feature_per_channel(model: str, layer: str, features: int, images: Tensor) -> None:
    network = Backbone(model, layer, SIZE).eval()
    assert network.n_features == features
    assert network(images).shape == (2, features)


def test_features_are_feature_maps_averaged_over_height_and_width(images: Tensor) -> None:
    network = Backbone("resnet18", "layer1", SIZE).eval()
    maps = network.trunk(normalize(images))["features"]
    assert maps.shape == (2, 64, 16, 16)
    assert torch.equal(network(images), maps.mean(dim=(2, 3)))


def test_number_of_features_depends_on_the_pooling() -> None:
    assert Backbone("resnet18", "layer2", SIZE, pooling="pyramid").n_features == 128 * 2 * (1 + 4)
    assert Backbone("resnet18", "layer2", SIZE, pooling="max").n_features == 128
    assert Backbone("resnet18", "layer2", SIZE, pooling="bilinear").n_features == 64 * 65 / 2 + 64


def test_flip_tta_gives_an_image_and_its_mirror_image_the_same_features(images: Tensor) -> None:
    torch.manual_seed(0)
    once, twice = (Backbone("resnet18", "layer1", SIZE, flip_tta=flip).eval() for flip in (False, True))
    flipped = images.flip(2)
    with torch.inference_mode():
        assert not torch.allclose(once(images), once(flipped), atol=1e-3)
        assert torch.allclose(twice(images), twice(flipped), atol=1e-5)


def test_flip_tta_changes_nothing_in_training_mode(images: Tensor) -> None:
    torch.manual_seed(0)
    once, twice = (Backbone("resnet18", "layer1", SIZE, flip_tta=flip).train() for flip in (False, True))
    twice.load_state_dict(once.state_dict())
    assert torch.equal(once(images), twice(images))


def test_flip_tta_aligns_feature_maps_before_averaging(images: Tensor) -> None:
    torch.manual_seed(0)
    network = Backbone("resnet18", "layer1", SIZE, pooling=None, flip_tta=True).eval()
    with torch.inference_mode():
        maps, flipped = (network.trunk(normalize(batch))["features"] for batch in (images, images.flip(2)))
        assert torch.allclose(network(images), (maps + flipped.flip(3)) / 2, atol=1e-5)


def test_bilinear_pooling_of_a_layer_without_feature_maps_is_an_error() -> None:
    with pytest.raises(InputError) as error:
        Backbone("vgg11", "classifier.0", SIZE, pooling="bilinear")
    assert str(error.value) == (
        "vgg11 has no feature maps at classifier.0, and bilinear pooling needs them. Set layer to an earlier one, or "
        "pooling to average."
    )


def test_features_without_pooling_are_feature_maps(images: Tensor) -> None:
    network = Backbone("resnet18", "layer2", SIZE, pooling=None).eval()
    assert network.n_features == 128
    assert network(images).shape == (2, 128, 8, 8)


@pytest.mark.parametrize(
    ("model", "features"),
    [
        ("resnet18", 512),
        ("squeezenet1_0", 512),
        ("mobilenet_v3_small", 1024),
        ("alexnet", 4096),
        ("densenet121", 1024),
        ("shufflenet_v2_x0_5", 1024),
        ("googlenet", 1024),
    ],
)
def test_without_a_layer_only_the_last_one_is_removed(model: str, features: int, images: Tensor) -> None:
    network = Backbone(model, None, SIZE).eval()
    assert network.n_features == features
    with torch.inference_mode():
        assert network(images).shape == (2, features)


def test_without_a_layer_features_are_the_input_of_the_last_layer(images: Tensor) -> None:
    torch.manual_seed(0)
    whole = Backbone("resnet18", None, SIZE).eval()
    torch.manual_seed(0)
    pooled = Backbone("resnet18", "avgpool", SIZE).eval()
    with torch.inference_mode():
        assert torch.equal(whole(images), pooled(images))


def test_googlenet_gets_pixels_from_minus_1_to_1() -> None:
    whites = torch.full((1, 64, 64, 3), 255, dtype=torch.uint8)
    network = Backbone("googlenet", None, SIZE).eval()
    seen: list[Tensor] = []
    network.trunk.get_submodule("conv1").register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        network(whites)
    assert torch.allclose(seen[0], torch.ones(1, 3, 64, 64), atol=1e-5)


def test_backbone_is_built_in_training_mode() -> None:
    assert Backbone("resnet18", "layer1", SIZE).training


def test_building_a_backbone_leaves_running_means_at_zero() -> None:
    means = [
        value
        for key, value in Backbone("resnet18", "layer1", SIZE).trunk.state_dict().items()
        if key.endswith("running_mean")
    ]
    assert len(means) == 5
    assert all((mean == 0).all() for mean in means)


def test_image_width_and_height_may_differ() -> None:
    network = Backbone("resnet18", "layer1", (96, 64), pooling=None).eval()
    assert network(torch.zeros(1, 64, 96, 3, dtype=torch.uint8)).shape == (1, 64, 16, 24)


@pytest.mark.parametrize(("model", "size"), [("alexnet", 8), ("vit_b_32", 64), ("inception_v3", 32)])
def test_image_size_that_the_model_cannot_take_is_an_error(model: str, size: int) -> None:
    with pytest.raises(InputError) as error:
        Backbone(model, None, (size, size))
    assert str(error.value).startswith(f"{model} cannot take images of {size} x {size} pixels: ")
    assert str(error.value).endswith(". Set the size to one that the model was made for; 224 fits most.")


def test_pixels_are_normalized_by_imagenet_statistics() -> None:
    # Black and white: (0 - 0.485) / 0.229, (1 - 0.485) / 0.229 and so on.
    squares = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 1, 1, 3)
    black, white = normalize(squares).flatten(1)
    assert black.tolist() == pytest.approx([-2.1179, -2.0357, -1.8044], abs=1e-4)
    assert white.tolist() == pytest.approx([2.2489, 2.4286, 2.6400], abs=1e-4)


def test_unknown_layer_is_an_error_that_lists_the_layers() -> None:
    with pytest.raises(InputError) as error:
        Backbone("resnet18", "layer5", SIZE)
    assert str(error.value) == (
        "resnet18 has no layer 'layer5'. Set layer to one of conv1, bn1, relu, maxpool, layer1, layer2, layer3, "
        "layer4, avgpool, flatten, fc, or to a node inside one."
    )


def test_prefix_of_a_layers_name_is_an_unknown_layer() -> None:
    with pytest.raises(InputError, match="resnet18 has no layer 'layer'"):
        Backbone("resnet18", "layer", SIZE)


def test_cpu_is_always_a_device() -> None:
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_auto_is_the_cpu_without_a_gpu() -> None:
    assert resolve_device("auto") == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_cpu_wheels_cannot_use_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("torch.version.cuda", None)
    monkeypatch.setattr("counterweight.networks.backbones._NVIDIA_DRIVER", tmp_path / "none")
    resolve_device("auto")
    assert caplog.messages == []
    monkeypatch.setattr("counterweight.networks.backbones._NVIDIA_DRIVER", tmp_path)
    assert resolve_device("auto") == torch.device("cpu")
    assert caplog.messages == ["a GPU is here, and PyTorch's CPU wheels cannot use it: make TORCH=cuda .venv/installed"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_auto_is_the_gpu_if_there_is_one() -> None:
    assert resolve_device("auto") == torch.device("cuda")


def test_cuda_needs_other_wheels_than_those_for_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.version.cuda", None)
    with pytest.raises(InputError, match=r"Run make TORCH=cuda \.venv/installed, or set it to cpu, or unset it"):
        resolve_device("cuda:99")


@pytest.mark.parametrize("name", ["banana", "", "cuda:99", "hpu"])
def test_device_that_torch_cannot_use_is_an_error(name: str) -> None:
    with pytest.raises(InputError) as error:
        resolve_device(name)
    start = f"environment: COUNTERWEIGHT_DEVICE is '{name}', and torch cannot use it here: "
    assert str(error.value).startswith(start)
    assert str(error.value).endswith("Set it to cpu, or unset it to use a GPU when there is one.")
