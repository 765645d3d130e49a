import numpy as np
import pytest
import torch

from counterweight.explanation.attribution import ExplainConfig, explain
from counterweight.networks.classifier import Classifier, ModelConfig

METHODS = ("gradcam", "occlusion", "lime")


def classifier(
    model: str = "cnn2_dropout", layer: str | None = None, size: int = 32, seed: int = 0, **options: str
) -> Classifier:
    torch.manual_seed(seed)
    settings = {"activation": "relu", "pooling": "average"} | options
    return Classifier(
        ModelConfig(
            model, layer, settings["activation"], settings["pooling"], False, 3, ["red", "green"], "multilabel",
            "sigmoid", "none", (size, size), {}, False,
        )
    )  # fmt: skip


def config(method: str) -> ExplainConfig:
    return ExplainConfig(method, patches=4, samples=200, seed=0)


@pytest.fixture(scope="module")
def sees_red_and_green() -> Classifier:
    """A network whose logits are the amounts of red and of green in the image."""
    network = classifier("convnet6")
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.zero_()
                for channel in range(2):
                    layer.weight[channel, channel, layer.kernel_size[0] // 2, layer.kernel_size[1] // 2] = 1
    return network


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """A gray image with a red square above on the left, and a green one below on the right; shape (1, 32, 32, 3)."""
    pixels = np.full((1, 32, 32, 3), 90, np.uint8)
    pixels[0, 2:12, 2:12] = (250, 0, 0)
    pixels[0, 20:30, 20:30] = (0, 250, 0)
    return pixels


@pytest.mark.parametrize("method", METHODS)
def test_what_is_red_speaks_for_red_and_what_is_green_for_green(
    method: str, sees_red_and_green: Classifier, image: np.ndarray
) -> None:
    maps, used = explain(sees_red_and_green, np.concatenate([image, image]), [0, 1], config(method))
    assert used == method
    assert maps.shape == (2, 32, 32)
    red, green = (maps[:, part, part].mean(axis=(1, 2)) for part in (slice(2, 12), slice(20, 30)))
    assert red[0] > green[0]
    assert green[1] > red[1]


# A linear model of few superpixels weighs large ones more, whatever the network is.
@pytest.mark.parametrize(("method", "similarity"), [("gradcam", 0.5), ("occlusion", 0.5), ("lime", 0.8)])
def test_a_network_with_other_weights_is_explained_otherwise(method: str, similarity: float) -> None:
    """The sanity check of Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018."""
    networks = [classifier("resnet18", "layer2", seed=seed) for seed in (0, 1)]
    image = np.random.default_rng(0).integers(0, 255, (1, 8, 8, 3), np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    one, other = (explain(network, image, [0], config(method))[0].ravel() for network in networks)
    assert np.corrcoef(one, other)[0, 1] < similarity


@pytest.mark.parametrize("method", METHODS)
def test_a_map_does_not_depend_on_the_number_of_threads_or_on_the_other_images(method: str) -> None:
    network, images = (
        classifier("resnet18", "layer1"),
        np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), np.uint8),
    )
    threads = torch.get_num_threads()
    both, _ = explain(network, images, [0, 1], config(method))
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        one, _ = explain(network, images[1:], [1], config(method))
    finally:
        torch.set_num_threads(threads)
    assert (both[1] == one[0]).all()


@pytest.mark.parametrize(
    ("model", "layer", "pooling"),
    [("resnet18", None, "average"), ("resnet18", "layer2", "pyramid"), ("densenet121", None, "average"),
     ("vgg11", None, "average"), ("resnet18", "layer4", "average"), ("cnn7", None, "max"), ("cnn0", None, "average")],
)  # fmt: skip
def test_gradcam_finds_the_last_maps_of_a_network(model: str, layer: str | None, pooling: str) -> None:
    images = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), np.uint8)
    maps, used = explain(classifier(model, layer, 64, pooling=pooling), images, [1], config("gradcam"))
    assert used == "gradcam"
    assert maps.min() >= 0
    assert np.isfinite(maps).all()


@pytest.mark.parametrize("layer", [None, "features.1"])
def test_a_transformer_is_explained_by_occlusion_since_its_last_maps_are_patches_of_the_image(
    layer: str | None,
) -> None:
    images = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), np.uint8)
    assert explain(classifier("swin_t", layer, 64), images, [0], config("gradcam"))[1] == "occlusion"


def test_maps_of_one_cell_tell_no_places_apart_so_those_before_them_are_taken() -> None:
    images = np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3), np.uint8)
    maps, used = explain(classifier("resnet18", "layer4"), images, [0], config("gradcam"))
    assert used == "gradcam"
    assert np.ptp(maps) > 0
