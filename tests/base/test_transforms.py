import inspect

import pytest
from torchvision.transforms import InterpolationMode, v2

from counterweight.base.steps import TRANSFORMS, Word, problem_with


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_argument_is_one_of_torchvisions(name: str) -> None:
    parameters = inspect.signature(getattr(v2, name)).parameters
    assert set(TRANSFORMS[name]) - set(parameters) == set()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_no_argument_sets_the_size(name: str) -> None:
    assert set(TRANSFORMS[name]) & {"size", "expand", "inplace"} == set()


def test_interpolations_are_torchvisions() -> None:
    words = {
        word
        for arguments in TRANSFORMS.values()
        for argument, accepted in arguments.items()
        if argument == "interpolation" and isinstance(accepted, Word)
        for word in accepted.words
    }
    assert words == {"nearest", "bilinear"}
    assert words < {mode.value for mode in InterpolationMode}


def test_a_wrong_value_is_answered_with_what_is_taken() -> None:
    assert problem_with({"RandomHorizontalFlip": {"p": 2}}, TRANSFORMS) == (
        "RandomHorizontalFlip: p is 2. Give a number, at least 0 and at most 1"
    )
