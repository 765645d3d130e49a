import pytest

from counterweight.base.steps import Known, Number, Word, problem_with

KNOWN: Known = {
    "Fliplr": {"p": Number(0, 1, single=True)},
    "AverageBlur": {"k": Number(1, whole=True)},
    "CropAndPad": {
        "px": Number(whole=True),
        "percent": Number(-0.99),
        "pad_mode": Word(("edge", "reflect")),
        "sample_independently": Word((False, True)),
        "position": Word(("center", "uniform"), single=True),
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
def test_a_step_as_the_library_takes_it_has_no_problem(step: object) -> None:
    assert problem_with(step, KNOWN) is None


@pytest.mark.parametrize("step", ["Fliplr", {}, {"Fliplr": {"p": 1}, "AverageBlur": {"k": 1}}, ["Fliplr"], None, 3])
def test_a_step_is_one_name_with_its_arguments(step: object) -> None:
    assert problem_with(step, KNOWN) == "a step is one name with its arguments. Write it as 'Fliplr: {}'"


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    assert problem_with({"Flip": {"p": 1}}, KNOWN) == (
        "'Flip' is not known. Choose one of: AverageBlur, CropAndPad, Fliplr, TrivialAugmentWide"
    )


def test_an_unknown_argument_is_answered_with_those_there_are() -> None:
    assert problem_with({"CropAndPad": {"keep_size": False}}, KNOWN) == (
        "CropAndPad has no argument 'keep_size'. Give some of: px, percent, pad_mode, sample_independently, position"
    )


@pytest.mark.parametrize("arguments", [0.7, None, [0.7]])
def test_arguments_have_names(arguments: object) -> None:
    assert problem_with({"Fliplr": arguments}, KNOWN) == "Fliplr needs its arguments by name. Give some of: p"


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
def test_a_value_that_the_library_would_not_take_is_named_with_those_it_takes(step: object, problem: str) -> None:
    assert problem_with(step, KNOWN) == problem
