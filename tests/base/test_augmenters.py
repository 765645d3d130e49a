import inspect
from typing import Any

import imgaug.augmenters
import numpy as np
import pytest

from counterweight.augmentation.imgaug_pipeline import AugmentationPipeline
from counterweight.base.steps import AUGMENTERS, Choice, Number, validate_step


def extremes(accepted: Number | Choice) -> list[Any]:
    """Return the first and last value of an argument that an image of 32 pixels allows."""
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
    step = {name: {argument: value}}
    assert validate_step(step, AUGMENTERS) is None
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    assert AugmentationPipeline([step])(pixels, 0).shape == (32, 48, 3)


def test_every_augmenter_is_valid_without_arguments() -> None:
    assert [validate_step({name: {}}, AUGMENTERS) for name in AUGMENTERS] == [None] * len(AUGMENTERS)


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
