"""Augmentation steps of params.yaml, validated against tables of operations without importing their libraries."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any


@dataclass(frozen=True)
class Number:
    """A number in [low, high]; unless ``single``, also a list: a range of two, or more values to choose from."""

    low: float = -inf
    high: float = inf
    whole: bool = False
    single: bool = False

    def __str__(self) -> str:
        """Describe the type and the finite bounds."""
        bounds = [f"at least {self.low:g}"] * (self.low > -inf) + [f"at most {self.high:g}"] * (self.high < inf)
        kind = ("a whole number" if self.whole else "a number") + ("" if self.single else " or [low, high]")
        return f"{kind}, {' and '.join(bounds)}" if bounds else kind

    def accepts(self, value: object) -> bool:
        """Whether the library would accept the value."""
        if isinstance(value, list):
            items = not self.single and all(not isinstance(item, list) and self.accepts(item) for item in value)
            return items and len(value) > 1
        if self.whole and not isinstance(value, int):
            return False
        return isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of some words; unless ``single``, also a list of words to choose from."""

    words: tuple[str | bool, ...]
    single: bool = False

    def __str__(self) -> str:
        """List the words."""
        return "one of " + ", ".join(str(word).lower() for word in self.words)

    def accepts(self, value: object) -> bool:
        """Whether the library would accept the value."""
        if isinstance(value, list):
            return not self.single and len(value) > 0 and all(word in self.words for word in value)
        return value in self.words


@dataclass(frozen=True)
class Nested:
    """A list of at least one step of the same table."""


# Accepted values by operation and argument.
Schema = Mapping[str, Mapping[str, Number | Choice | Nested]]


def validate_step(step: object, schema: Schema) -> str | None:
    """Return what is wrong with a step, or None if it is valid: one operation's name with its arguments.

    Examples
    --------
    >>> schema = {"Fliplr": {"p": Number(0, 1, single=True)}}
    >>> validate_step({"Fliplr": {"p": 0.7}}, schema)
    >>> validate_step({"Fliplr": {"p": 7}}, schema)
    'Fliplr: p is 7. Give a number, at least 0 and at most 1'
    """
    if not isinstance(step, Mapping) or len(step) != 1:
        return f"a step is one name with its arguments. Write it as '{next(iter(schema))}: {{}}'"
    ((name, arguments),) = step.items()
    if name not in schema:
        return f"'{name}' is not an operation. Choose one of: {', '.join(sorted(schema))}"
    accepted = schema[name]
    if not isinstance(arguments, Mapping):
        return f"{name} needs its arguments by name. Choose from: {', '.join(accepted)}"
    for argument, value in arguments.items():
        if argument not in accepted:
            return f"{name} has no argument '{argument}'. Choose from: {', '.join(accepted)}"
        expected = accepted[argument]
        if isinstance(expected, Nested):
            if wrong := _nested_problem(value, schema):
                return f"{name}: {argument}: {wrong}"
        elif not expected.accepts(value):
            return f"{name}: {argument} is {value!r}. Give {expected}"
    missing = [argument for argument, expected in accepted.items() if isinstance(expected, Nested)]
    if missing and not any(argument in arguments for argument in missing):
        return f"{name} needs steps of its own. Give them as {missing[0]}"
    return None


def _nested_problem(steps: object, schema: Schema) -> str | None:
    if not isinstance(steps, list) or not steps:
        return f"it is {steps!r}. Give a list of steps"
    problems = [f"step {i}: {wrong}" for i, step in enumerate(steps, 1) if (wrong := validate_step(step, schema))]
    return "; ".join(problems) or None


def validate_steps(steps: list[dict[str, Any]], schema: Schema) -> list[dict[str, Any]]:
    """Return the steps if all are valid; raise ValueError with all problems otherwise."""
    if steps and (problem := _nested_problem(steps, schema)):
        raise ValueError(problem)
    return steps


_FLAG = Choice((False, True))
_PROBABILITY = Number(0, 1, single=True)
_COLOR = Number(0, 255)
_FILL = Number(0, 255, single=True)
_INTERPOLATION = Choice(("nearest", "bilinear"))

# imgaug's augmenters, with the arguments that keep the size of the image.
AUGMENTERS: Schema = {
    "Add": {"value": Number(-255, 255), "per_channel": _PROBABILITY},
    "AdditiveGaussianNoise": {"scale": Number(0), "per_channel": _PROBABILITY},
    "Affine": {
        "scale": Number(0.01),
        "translate_percent": Number(-1, 1),
        "rotate": Number(),
        "shear": Number(),
        "order": Number(0, 5, whole=True, single=True),
        "cval": _COLOR,
        "mode": Choice(("constant", "edge", "symmetric", "reflect", "wrap")),
    },
    "AverageBlur": {"k": Number(1, whole=True)},
    "Crop": {"px": Number(0, whole=True), "percent": Number(0, 0.49), "sample_independently": _FLAG},
    "CropAndPad": {
        "px": Number(whole=True),
        "percent": Number(-0.99),
        "pad_mode": Choice(
            ("constant", "edge", "linear_ramp", "maximum", "mean", "median", "minimum", "reflect", "symmetric", "wrap")
        ),
        "pad_cval": _COLOR,
        "sample_independently": _FLAG,
    },
    "Cutout": {
        "nb_iterations": Number(0, whole=True),
        "position": Choice(("uniform", "normal", "center"), single=True),
        "size": Number(0, 1),
        "squared": _PROBABILITY,
        "fill_mode": Choice(("constant", "gaussian")),
        "cval": _COLOR,
        "fill_per_channel": _PROBABILITY,
    },
    "ElasticTransformation": {
        "alpha": Number(0),
        "sigma": Number(0),
        "order": Number(0, 5, whole=True),
        "cval": _COLOR,
        "mode": Choice(("constant", "nearest", "reflect", "wrap")),
    },
    "Fliplr": {"p": _PROBABILITY},
    "Flipud": {"p": _PROBABILITY},
    "GammaContrast": {"gamma": Number(0), "per_channel": _PROBABILITY},
    "GaussianBlur": {"sigma": Number(0)},
    "LinearContrast": {"alpha": Number(0), "per_channel": _PROBABILITY},
    "MedianBlur": {"k": Number(1, whole=True)},
    "Multiply": {"mul": Number(0), "per_channel": _PROBABILITY},
    "MultiplyBrightness": {"mul": Number(0)},
    "OneOf": {"children": Nested()},
    "PerspectiveTransform": {"scale": Number(0), "cval": _COLOR, "mode": Choice(("replicate", "constant"))},
    "Rotate": {
        "rotate": Number(),
        "order": Number(0, 5, whole=True, single=True),
        "cval": _COLOR,
        "mode": Choice(("constant", "edge", "symmetric", "reflect", "wrap")),
    },
    "SaltAndPepper": {"p": Number(0, 1), "per_channel": _PROBABILITY},
    "SomeOf": {"n": Number(0, whole=True), "children": Nested(), "random_order": _FLAG},
    "Sometimes": {"p": _PROBABILITY, "then_list": Nested(), "else_list": Nested()},
}

# torchvision's v2 transforms.
TRANSFORMS: Schema = {
    "ColorJitter": {"brightness": Number(0), "contrast": Number(0), "saturation": Number(0), "hue": Number(-0.5, 0.5)},
    "GaussianBlur": {"kernel_size": Number(1, whole=True, single=True), "sigma": Number(0)},
    "RandomAffine": {
        "degrees": Number(),
        "translate": Number(0, 1),
        "scale": Number(0),
        "shear": Number(),
        "interpolation": _INTERPOLATION,
        "fill": _FILL,
    },
    "RandomCrop": {
        "padding": Number(0, whole=True, single=True),
        "padding_mode": Choice(("constant", "edge", "reflect", "symmetric")),
        "fill": _FILL,
    },
    "RandomErasing": {"p": _PROBABILITY, "scale": Number(0, 1), "ratio": Number(0), "value": _FILL},
    "RandomGrayscale": {"p": _PROBABILITY},
    "RandomHorizontalFlip": {"p": _PROBABILITY},
    "RandomResizedCrop": {"scale": Number(0, 1), "ratio": Number(0)},
    "RandomRotation": {"degrees": Number(), "interpolation": _INTERPOLATION, "fill": _FILL},
    "RandomVerticalFlip": {"p": _PROBABILITY},
    "TrivialAugmentWide": {},
}
