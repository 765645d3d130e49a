import pytest

from counterweight.base.steps import Choice, Number, Schema, validate_step

SCHEMA: Schema = {
    "Fliplr": {"p": Number(0, 1, single=True)},
    "AverageBlur": {"k": Number(1, whole=True)},
    "CropAndPad": {
        "px": Number(whole=True),
        "percent": Number(-0.99),
        "pad_mode": Choice(("edge", "reflect")),
        "sample_independently": Choice((False, True)),
        "position": Choice(("center", "uniform"), single=True),
    },
    "TrivialAugmentWide": {},
}


@pytest.mark.parametrize(
    "step",
    [
        {"Fliplr": {}},
        {"Fliplr": {"p": 1}},
        {"Fliplr": {"p": 0}},
        {"AverageBlur": {"k": [2, 7]}},
        {"AverageBlur": {"k": [3, 5, 7]}},
        {"CropAndPad": {"percent": [-0.25, 0.25], "pad_mode": ["edge", "reflect"], "sample_independently": False}},
        {"CropAndPad": {"pad_mode": "edge"}},
        {"TrivialAugmentWide": {}},
    ],
)
def test_a_valid_step_has_no_problem(step: object) -> None:
    assert validate_step(step, SCHEMA) is None


@pytest.mark.parametrize("step", ["Fliplr", {}, {"Fliplr": {"p": 1}, "AverageBlur": {"k": 1}}, ["Fliplr"], None, 3])
def test_a_step_is_one_name_with_its_arguments(step: object) -> None:
    assert validate_step(step, SCHEMA) == "a step is one name with its arguments. Write it as 'Fliplr: {}'"


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    assert validate_step({"Flip": {"p": 1}}, SCHEMA) == (
        "'Flip' is not an operation. Choose one of: AverageBlur, CropAndPad, Fliplr, TrivialAugmentWide"
    )


def test_an_unknown_argument_is_answered_with_the_known_ones() -> None:
    assert validate_step({"CropAndPad": {"keep_size": False}}, SCHEMA) == (
        "CropAndPad has no argument 'keep_size'. Choose from: px, percent, pad_mode, sample_independently, position"
    )


@pytest.mark.parametrize("arguments", [0.7, None, [0.7]])
def test_arguments_have_names(arguments: object) -> None:
    assert validate_step({"Fliplr": arguments}, SCHEMA) == "Fliplr needs its arguments by name. Choose from: p"


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ({"Fliplr": {"p": -0.1}}, "Fliplr: p is -0.1. Give a number, at least 0 and at most 1"),
        ({"Fliplr": {"p": "1"}}, "Fliplr: p is '1'. Give a number, at least 0 and at most 1"),
        ({"Fliplr": {"p": True}}, "Fliplr: p is True. Give a number, at least 0 and at most 1"),
        ({"Fliplr": {"p": [0, 1]}}, "Fliplr: p is [0, 1]. Give a number, at least 0 and at most 1"),
        (
            {"AverageBlur": {"k": [0, 7]}},
            "AverageBlur: k is [0, 7]. Give a whole number or [low, high], at least 1",
        ),
        ({"AverageBlur": {"k": 2.5}}, "AverageBlur: k is 2.5. Give a whole number or [low, high], at least 1"),
        ({"AverageBlur": {"k": [7]}}, "AverageBlur: k is [7]. Give a whole number or [low, high], at least 1"),
        (
            {"AverageBlur": {"k": [[1, 2], 3]}},
            "AverageBlur: k is [[1, 2], 3]. Give a whole number or [low, high], at least 1",
        ),
        ({"CropAndPad": {"px": "2"}}, "CropAndPad: px is '2'. Give a whole number or [low, high]"),
        ({"CropAndPad": {"pad_mode": "wrap"}}, "CropAndPad: pad_mode is 'wrap'. Give one of edge, reflect"),
        ({"CropAndPad": {"pad_mode": []}}, "CropAndPad: pad_mode is []. Give one of edge, reflect"),
        (
            {"CropAndPad": {"position": ["center", "uniform"]}},
            "CropAndPad: position is ['center', 'uniform']. Give one of center, uniform",
        ),
        (
            {"CropAndPad": {"sample_independently": "no"}},
            "CropAndPad: sample_independently is 'no'. Give one of false, true",
        ),
    ],
)
def test_an_invalid_value_is_answered_with_the_valid_ones(step: object, problem: str) -> None:
    assert validate_step(step, SCHEMA) == problem
