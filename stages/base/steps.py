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
