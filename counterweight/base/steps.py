"""Steps as params.yaml writes them: an operation's name with its arguments, checked without importing its library."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Number:
    """A number from ``low`` to ``high``; [low, high] for a range, or more to choose among, unless it is ``single``."""

    low: float = -inf
    high: float = inf
    whole: bool = False
    single: bool = False

    def __str__(self) -> str:
        """Name the bounds that there are."""
        bounds = [f"at least {self.low:g}"] * (self.low > -inf) + [f"at most {self.high:g}"] * (self.high < inf)
        kind = "a whole number" if self.whole else "a number"
        return ", ".join(
            [kind + ("" if self.single else " or [low, high]"), *([" and ".join(bounds)] if bounds else [])]
        )

    def takes(self, value: object) -> bool:
        """Whether the library would accept the value."""
        if isinstance(value, list):
            items = not self.single and all(not isinstance(item, list) and self.takes(item) for item in value)
            return items and len(value) > 1
        if self.whole and not isinstance(value, int):
            return False
        return isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Word:
    """One of some words, or a list of several to choose among, unless it is ``single``."""

    words: tuple[str | bool, ...]
    single: bool = False

    def __str__(self) -> str:
        """Name the words."""
        return "one of " + ", ".join(str(word).lower() for word in self.words)

    def takes(self, value: object) -> bool:
        """Whether the library would accept the value."""
        if isinstance(value, list):
            return not self.single and len(value) > 0 and all(word in self.words for word in value)
        return value in self.words


Known = Mapping[str, Mapping[str, Number | Word]]


def problem_with(step: object, known: Known) -> str | None:
    """Say what is wrong with one step, or return None.

    Parameters
    ----------
    step : object
        A mapping of one operation's name to its arguments, such as ``{"Fliplr": {"p": 0.7}}``.
    known : mapping of str to mapping
        The operations there are, with what each of their arguments takes.

    Examples
    --------
    >>> known = {"Fliplr": {"p": Number(0, 1, single=True)}}
    >>> problem_with({"Fliplr": {"p": 0.7}}, known)
    >>> problem_with({"Fliplr": {"p": 7}}, known)
    'Fliplr: p is 7. Give a number, at least 0 and at most 1'
    """
    if not isinstance(step, Mapping) or len(step) != 1:
        return f"a step is one name with its arguments. Write it as '{next(iter(known))}: {{}}'"
    ((name, arguments),) = step.items()
    if name not in known:
        return f"'{name}' is not known. Choose one of: {', '.join(sorted(known))}"
    accepted = known[name]
    if not isinstance(arguments, Mapping):
        return f"{name} needs its arguments by name. Give some of: {', '.join(accepted)}"
    for argument, value in arguments.items():
        if argument not in accepted:
            return f"{name} has no argument '{argument}'. Give some of: {', '.join(accepted)}"
        if not accepted[argument].takes(value):
            return f"{name}: {argument} is {value!r}. Give {accepted[argument]}"
    return None


_COLOUR = Number(0, 255)
_FLAG = Word((False, True))
_SHARE = Number(0, 1, single=True)

AUGMENTERS: Known = {
    "Add": {"value": Number(-255, 255), "per_channel": _SHARE},
    "AdditiveGaussianNoise": {"scale": Number(0), "per_channel": _SHARE},
    "AverageBlur": {"k": Number(1, whole=True)},
    "Crop": {"px": Number(0, whole=True), "percent": Number(0, 0.49), "sample_independently": _FLAG},
    "CropAndPad": {
        "px": Number(whole=True),
        "percent": Number(-0.99),
        "pad_mode": Word(
            ("constant", "edge", "linear_ramp", "maximum", "mean", "median", "minimum", "reflect", "symmetric", "wrap")
        ),
        "pad_cval": _COLOUR,
        "sample_independently": _FLAG,
    },
    "Cutout": {
        "nb_iterations": Number(0, whole=True),
        "position": Word(("uniform", "normal", "center"), single=True),
        "size": Number(0, 1),
        "squared": _SHARE,
        "fill_mode": Word(("constant", "gaussian")),
        "cval": _COLOUR,
        "fill_per_channel": _SHARE,
    },
    "ElasticTransformation": {
        "alpha": Number(0),
        "sigma": Number(0),
        "order": Number(0, 5, whole=True),
        "cval": _COLOUR,
        "mode": Word(("constant", "nearest", "reflect", "wrap")),
    },
    "Fliplr": {"p": _SHARE},
    "Flipud": {"p": _SHARE},
    "GammaContrast": {"gamma": Number(0), "per_channel": _SHARE},
    "GaussianBlur": {"sigma": Number(0)},
    "LinearContrast": {"alpha": Number(0), "per_channel": _SHARE},
    "MedianBlur": {"k": Number(1, whole=True)},
    "Multiply": {"mul": Number(0), "per_channel": _SHARE},
    "MultiplyBrightness": {"mul": Number(0)},
    "PerspectiveTransform": {"scale": Number(0), "cval": _COLOUR, "mode": Word(("replicate", "constant"))},
    "Rotate": {
        "rotate": Number(),
        "order": Number(0, 5, whole=True, single=True),
        "cval": _COLOUR,
        "mode": Word(("constant", "edge", "symmetric", "reflect", "wrap")),
    },
    "SaltAndPepper": {"p": Number(0, 1), "per_channel": _SHARE},
}


_SHARE = Number(0, 1, single=True)
_FILL = Number(0, 255, single=True)
_PADDING = Word(("constant", "edge", "reflect", "symmetric"))

TRANSFORMS: Known = {
    "ColorJitter": {
        "brightness": Number(0),
        "contrast": Number(0),
        "saturation": Number(0),
        "hue": Number(-0.5, 0.5),
    },
    "GaussianBlur": {"kernel_size": Number(1, whole=True, single=True), "sigma": Number(0)},
    "RandomAffine": {
        "degrees": Number(),
        "translate": Number(0, 1),
        "scale": Number(0),
        "shear": Number(),
        "interpolation": Word(("nearest", "bilinear")),
        "fill": _FILL,
    },
    "RandomCrop": {"padding": Number(0, whole=True, single=True), "padding_mode": _PADDING, "fill": _FILL},
    "RandomErasing": {"p": _SHARE, "scale": Number(0, 1), "ratio": Number(0), "value": _FILL},
    "RandomGrayscale": {"p": _SHARE},
    "RandomHorizontalFlip": {"p": _SHARE},
    "RandomResizedCrop": {"scale": Number(0, 1), "ratio": Number(0)},
    "RandomRotation": {"degrees": Number(), "interpolation": Word(("nearest", "bilinear")), "fill": _FILL},
    "RandomVerticalFlip": {"p": _SHARE},
    "TrivialAugmentWide": {},
}
