import inspect

import imgaug.augmenters
import pytest

from stages.core.augmenters import ARGUMENTS, problem_with


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_argument_is_one_of_imgaugs(name: str) -> None:
    parameters = inspect.signature(getattr(imgaug.augmenters, name)).parameters
    assert set(ARGUMENTS[name]) - set(parameters) == set()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_no_argument_changes_the_size_or_the_seed(name: str) -> None:
    assert set(ARGUMENTS[name]) & {"keep_size", "fit_output", "seed", "random_state", "deterministic", "name"} == set()


@pytest.mark.parametrize(
    "step",
    [
        {"Fliplr": {}},
        {"Fliplr": {"p": 1}},
        {"AverageBlur": {"k": [2, 7]}},
        {"AverageBlur": {"k": [3, 5, 7]}},
        {"CropAndPad": {"percent": [-0.25, 0.25], "pad_mode": ["edge", "reflect"], "sample_independently": False}},
        {"Cutout": {"fill_mode": "gaussian", "squared": 0.5}},
        {"ElasticTransformation": {"alpha": [0.0, 3.0], "sigma": 0.25, "mode": "nearest"}},
    ],
)
def test_a_step_as_imgaug_takes_it_has_no_problem(step: object) -> None:
    assert problem_with(step) is None


@pytest.mark.parametrize("step", ["Fliplr", {}, {"Fliplr": {"p": 1}, "Flipud": {"p": 1}}, ["Fliplr"], None])
def test_a_step_is_one_name_with_its_arguments(step: object) -> None:
    assert problem_with(step) == "a step is one augmenter's name with its arguments, such as 'Fliplr: {p: 0.7}'"


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    assert problem_with({"Flip": {"p": 1}}) == (
        "'Flip' is not an augmenter. Accepted are: AverageBlur, CropAndPad, Cutout, ElasticTransformation, Fliplr, "
        "GaussianBlur, MedianBlur, PerspectiveTransform"
    )


def test_an_unknown_argument_is_answered_with_those_there_are() -> None:
    assert problem_with({"PerspectiveTransform": {"keep_size": False}}) == (
        "PerspectiveTransform has no argument 'keep_size'. It takes: scale, cval, mode"
    )


@pytest.mark.parametrize("arguments", [0.7, None, [0.7]])
def test_arguments_have_names(arguments: object) -> None:
    assert problem_with({"Fliplr": arguments}) == "Fliplr needs its arguments by name. It takes: p"


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ({"Fliplr": {"p": -0.1}}, "Fliplr: p is -0.1. It takes a number, at least 0 and at most 1"),
        ({"Fliplr": {"p": "1"}}, "Fliplr: p is '1'. It takes a number, at least 0 and at most 1"),
        ({"Fliplr": {"p": True}}, "Fliplr: p is True. It takes a number, at least 0 and at most 1"),
        (
            {"AverageBlur": {"k": [0, 7]}},
            "AverageBlur: k is [0, 7]. It takes a whole number or [low, high], at least 1",
        ),
        ({"AverageBlur": {"k": [7]}}, "AverageBlur: k is [7]. It takes a whole number or [low, high], at least 1"),
        (
            {"AverageBlur": {"k": [[1, 2], 3]}},
            "AverageBlur: k is [[1, 2], 3]. It takes a whole number or [low, high], at least 1",
        ),
        ({"CropAndPad": {"px": "2"}}, "CropAndPad: px is '2'. It takes a whole number or [low, high]"),
        ({"Cutout": {"fill_mode": "noise"}}, "Cutout: fill_mode is 'noise'. It takes one of constant, gaussian"),
        ({"Cutout": {"fill_mode": []}}, "Cutout: fill_mode is []. It takes one of constant, gaussian"),
        (
            {"CropAndPad": {"sample_independently": "no"}},
            "CropAndPad: sample_independently is 'no'. It takes one of false, true",
        ),
    ],
)
def test_a_value_that_imgaug_would_not_take_is_named_with_those_it_takes(step: object, problem: str) -> None:
    assert problem_with(step) == problem
