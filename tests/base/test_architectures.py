import pytest
import torchvision
from torchvision.models import list_models

from counterweight.base.architectures import CONVNETS, TORCHVISION, VGG_CONVS, validate_backbone, validate_model
from counterweight.networks.convnets import BUILDERS


def test_torchvision_classifiers_match_torchvisions_list() -> None:
    assert list(TORCHVISION) == list_models(module=torchvision.models)


def test_every_own_network_has_a_builder() -> None:
    assert list(BUILDERS) == [*CONVNETS, VGG_CONVS]


@pytest.mark.parametrize("name", ["cnn7", "vgg19_convs", "resnet18", "squeezenet1_0", "timm/vit_tiny_patch16_224"])
def test_a_valid_name_is_returned(name: str) -> None:
    assert validate_model(name) == name


@pytest.mark.parametrize(("name", "close"), [("resnet-18", "resnet18"), ("mobilenetv2", "mobilenet_v2")])
def test_an_unknown_name_is_answered_with_a_similar_one(name: str, close: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is not a model") as error:
        validate_model(name)
    assert str(error.value).endswith(f"a torchvision classifier such as {close}, or timm/NAME")


def test_a_name_similar_to_none_is_answered_with_resnet50() -> None:
    with pytest.raises(ValueError, match=r"such as resnet50, or timm/NAME$"):
        validate_model("")


def test_features_need_a_network_with_pretrained_weights() -> None:
    assert validate_backbone("timm/resnet10t") == "timm/resnet10t"
    with pytest.raises(ValueError, match=r"^'cnn7' has no pretrained weights. Choose a torchvision classifier"):
        validate_backbone("cnn7")
