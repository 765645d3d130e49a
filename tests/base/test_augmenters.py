import inspect
from typing import Any

import imgaug.augmenters
import numpy as np
import pytest

from counterweight.augmentation.imgaug_pipeline import AugmentationPipeline
from counterweight.base.steps import AUGMENTERS, Choice, Nested, Number, validate_step

# What an augmenter cannot do without.
NEEDED = {
    name: {"then_list" if name == "Sometimes" else "children": [{"Add": {"value": 10}}, {"Fliplr": {"p": 1}}]}
    for name in ("OneOf", "SomeOf", "Sometimes")
}


def extremes(accepted: Number | Choice | Nested) -> list[Any]:
    """Return the first and last value of an argument that an image of 32 pixels allows."""
    if isinstance(accepted, Nested):
        return [[{"Fliplr": {"p": 1}}], [{"Rotate": {"rotate": [-9, 9]}}, {"OneOf": {"children": [{"Flipud": {}}]}}]]
    if isinstance(accepted, Choice):
        single = accepted.single or False in accepted.words
        return [accepted.words[0], accepted.words[-1], *([] if single else [list(accepted.words)])]
    low, high = max(accepted.low, 0), min(accepted.high, 3)
    values: list[Any] = [low, high] if accepted.whole else [float(low), float(high)]
    return [*values, *([] if accepted.single else [values])]


CASES = [
    (name, argument, value)
    for name, arguments in AUGMENTERS.items()
    for argument, accepted in arguments.items()
    for value in extremes(accepted)
]


@pytest.mark.parametrize("name", AUGMENTERS)
def test_every_argument_exists_in_imgaug(name: str) -> None:
    parameters = inspect.signature(getattr(imgaug.augmenters, name)).parameters
    assert set(AUGMENTERS[name]) - set(parameters) == set()


@pytest.mark.parametrize("name", AUGMENTERS)
def test_no_argument_changes_the_size_or_the_seed(name: str) -> None:
    assert set(AUGMENTERS[name]) & {"keep_size", "fit_output", "seed", "random_state", "deterministic", "name"} == set()


@pytest.mark.parametrize(("name", "argument", "value"), CASES)
def test_accepted_values_make_a_copy_of_the_same_size(name: str, argument: str, value: Any) -> None:
    step = {name: NEEDED.get(name, {}) | {argument: value}}
    assert validate_step(step, AUGMENTERS) is None
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    assert AugmentationPipeline([step])(pixels, 0).shape == (32, 48, 3)


def test_every_augmenter_is_valid_without_arguments_but_for_those_of_others() -> None:
    needy = {name for name in AUGMENTERS if validate_step({name: {}}, AUGMENTERS)}
    assert needy == set(NEEDED)
    assert validate_step({"OneOf": {}}, AUGMENTERS) == "OneOf needs steps of its own. Give them as children"


@pytest.mark.parametrize(
    ("children", "problem"),
    [
        ([], "it is []. Give a list of steps"),
        ({"Fliplr": {"p": 1}}, "it is {'Fliplr': {'p': 1}}. Give a list of steps"),
        (
            [{"Fliplr": {"p": 1}}, {"Fliplr": {"p": 7}}],
            "step 2: Fliplr: p is 7. Give a number, at least 0 and at most 1",
        ),
    ],
)
def test_a_problem_of_a_step_within_another_says_where(children: Any, problem: str) -> None:
    step = {"Sometimes": {"p": 0.5, "then_list": [{"OneOf": {"children": children}}]}}
    assert validate_step(step, AUGMENTERS) == f"Sometimes: then_list: step 1: OneOf: children: {problem}"


def test_the_pipeline_of_the_article_is_valid() -> None:
    steps: list[dict[str, Any]] = [
        {"Fliplr": {"p": 0.7}},
        {"AverageBlur": {"k": [2, 7]}},
        {"MedianBlur": {"k": [3, 11]}},
        {"GaussianBlur": {"sigma": [0.0, 3.0]}},
        {"PerspectiveTransform": {"scale": [0.01, 0.15]}},
        {"ElasticTransformation": {"alpha": [0.0, 3.0], "sigma": 0.25}},
        {"CropAndPad": {"percent": [-0.25, 0.25]}},
        {"Cutout": {"nb_iterations": [1, 3], "size": 0.2}},
    ]
    assert [validate_step(step, AUGMENTERS) for step in steps] == [None] * 8
