import inspect

import pytest
from torchvision.transforms import InterpolationMode, v2

from counterweight.base.steps import TRANSFORMS, Choice, validate_step


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_argument_exists_in_torchvision(name: str) -> None:
    parameters = inspect.signature(getattr(v2, name)).parameters
    assert set(TRANSFORMS[name]) - set(parameters) == set()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_no_argument_sets_the_size(name: str) -> None:
    assert set(TRANSFORMS[name]) & {"size", "expand", "inplace"} == set()


def test_interpolations_exist_in_torchvision() -> None:
    words = {
        word
        for arguments in TRANSFORMS.values()
        for argument, accepted in arguments.items()
        if argument == "interpolation" and isinstance(accepted, Choice)
        for word in accepted.words
    }
    assert words == {"nearest", "bilinear"}
    assert words < {mode.value for mode in InterpolationMode}


def test_an_invalid_value_is_answered_with_the_valid_ones() -> None:
    assert validate_step({"RandomHorizontalFlip": {"p": 2}}, TRANSFORMS) == (
        "RandomHorizontalFlip: p is 2. Give a number, at least 0 and at most 1"
    )
