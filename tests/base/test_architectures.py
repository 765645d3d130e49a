import pytest
import torchvision
from torchvision.models import list_models

from counterweight.base.architectures import CONVNETS, TORCHVISION, VGG_CONVS, known_model
from counterweight.networks.convnets import BUILDERS


def test_torchvisions_classifiers_are_those_that_torchvision_lists() -> None:
    assert list(TORCHVISION) == list_models(module=torchvision.models)


def test_every_network_of_ours_has_a_builder() -> None:
    assert list(BUILDERS) == [*CONVNETS, VGG_CONVS]


@pytest.mark.parametrize("name", ["cnn7", "vgg19_convs", "resnet18", "squeezenet1_0"])
def test_a_name_that_there_is_comes_back(name: str) -> None:
    assert known_model(name) == name


@pytest.mark.parametrize(("name", "near"), [("resnet-18", "resnet18"), ("mobilenetv2", "mobilenet_v2")])
def test_an_unknown_name_is_answered_with_one_that_is_near(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is not a model") as error:
        known_model(name)
    assert str(error.value).endswith(f"or a torchvision classifier such as {near}")


def test_a_name_that_is_near_to_none_is_answered_with_resnet50() -> None:
    with pytest.raises(ValueError, match=r"such as resnet50$"):
        known_model("")
