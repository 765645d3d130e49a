"""The augmenters that params.yaml may name, with their arguments, checked without importing imgaug.

Names, arguments and accepted values are imgaug's own. Left out are the arguments that would change the size of the
image (``keep_size``, ``fit_output``), and the ones by which imgaug seeds itself: a copy's seed is made from its source.
"""

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
        """Whether imgaug would accept the value."""
        if isinstance(value, list):
            items = not self.single and all(not isinstance(item, list) and self.takes(item) for item in value)
            return items and len(value) > 1
        if self.whole and not isinstance(value, int):
            return False
        return isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Word:
    """One of some words, or a list of several to choose among."""

    words: tuple[str | bool, ...]

    def __str__(self) -> str:
        """Name the words."""
        return "one of " + ", ".join(str(word).lower() for word in self.words)

    def takes(self, value: object) -> bool:
        """Whether imgaug would accept the value."""
        if isinstance(value, list):
            return len(value) > 0 and all(word in self.words for word in value)
        return value in self.words


_COLOUR = Number(0, 255)
_FLAG = Word((False, True))

ARGUMENTS: Mapping[str, Mapping[str, Number | Word]] = {
    "AverageBlur": {"k": Number(1, whole=True)},
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
        "position": Word(("uniform", "normal", "center")),
        "size": Number(0, 1),
        "squared": Number(0, 1, single=True),
        "fill_mode": Word(("constant", "gaussian")),
        "cval": _COLOUR,
        "fill_per_channel": Number(0, 1, single=True),
    },
    "ElasticTransformation": {
        "alpha": Number(0),
        "sigma": Number(0),
        "order": Number(0, 5, whole=True),
        "cval": _COLOUR,
        "mode": Word(("constant", "nearest", "reflect", "wrap")),
    },
    "Fliplr": {"p": Number(0, 1, single=True)},
    "GaussianBlur": {"sigma": Number(0)},
    "MedianBlur": {"k": Number(1, whole=True)},
    "PerspectiveTransform": {"scale": Number(0), "cval": _COLOUR, "mode": Word(("replicate", "constant"))},
}


def problem_with(operation: object) -> str | None:
    """Say what is wrong with one step of the pipeline, or return None.

    Parameters
    ----------
    operation : object
        A mapping of one augmenter's name to its arguments, such as ``{"Fliplr": {"p": 0.7}}``.

    Examples
    --------
    >>> problem_with({"Fliplr": {"p": 0.7}})
    >>> problem_with({"Fliplr": {"p": 7}})
    'Fliplr: p is 7. It takes a number, at least 0 and at most 1'
    """
    if not isinstance(operation, Mapping) or len(operation) != 1:
        return "a step is one augmenter's name with its arguments, such as 'Fliplr: {p: 0.7}'"
    ((name, arguments),) = operation.items()
    if name not in ARGUMENTS:
        return f"'{name}' is not an augmenter. Accepted are: {', '.join(sorted(ARGUMENTS))}"
    accepted = ARGUMENTS[name]
    if not isinstance(arguments, Mapping):
        return f"{name} needs its arguments by name. It takes: {', '.join(accepted)}"
    for argument, value in arguments.items():
        if argument not in accepted:
            return f"{name} has no argument '{argument}'. It takes: {', '.join(accepted)}"
        if not accepted[argument].takes(value):
            return f"{name}: {argument} is {value!r}. It takes {accepted[argument]}"
    return None
