"""params.yaml: every value that changes a result, checked as a whole before any work."""

from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.core.errors import InputError, raise_problems
from stages.core.sections import (
    Augment,
    Cluster,
    Data,
    Evaluate,
    Features,
    Fill,
    Resize,
    Section,
    Split,
    Train,
)


class Params(Section):
    """The whole file."""

    data: Data
    resize: Resize
    features: Features
    fill: Fill
    cluster: Cluster
    augment: Augment
    split: Split
    train: Train
    evaluate: Evaluate

    @model_validator(mode="after")
    def _sections_fit_together(self) -> Self:
        several = self.data.task == "multilabel"
        problems = []
        if several and self.train.loss.endswith("cross_entropy"):
            problems.append(
                f"train.loss is {self.train.loss}, which is for one label an image, and data.task is multilabel. "
                "Choose another loss, or another task"
            )
        if several and self.augment.strategy == "classes":
            problems.append(
                "augment.strategy is classes, which is for one label an image, and data.task is multilabel. "
                "Choose labels, or another task"
            )
        if self.data.columns.image is None and not self.data.images.endswith(".npy"):
            problems.append("data.columns.image is null, and data.images is no .npy array. Name the column")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def load_params(path: Path) -> Params:
    """Read params.yaml and check all of it.

    Parameters
    ----------
    path : Path
        The file; YAML 1.2, as DVC reads it (``1e-3`` is a number there, ``no`` a word).

    Raises
    ------
    InputError
        If the file is missing, is not YAML, or has wrong, unknown or missing values; all are reported together, with
        their lines.
    """
    try:
        content = YAML(typ="rt", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file. Run from the project's root, or give --params.") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {error}") from None
    plain = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    try:
        return Params.model_validate(plain)
    except ValidationError as error:
        # A value that fits no branch of a union is one problem, not one a branch; the most precise place names it.
        by_place: dict[str, list[str]] = {}
        for problem in error.errors():
            place, what = _sentence(problem["loc"], problem, content)
            by_place.setdefault(place, []).append(what)
        precise = [place for place in by_place if not any(other.startswith(f"{place}.") for other in by_place)]
        raise_problems([f"{place}: {', or '.join(dict.fromkeys(by_place[place]))}" for place in precise], str(path))
        raise


def _sentence(loc: tuple[int | str, ...], problem: Any, content: Any) -> tuple[str, str]:
    """One validation error as its place (line, name of the param), and what is wrong there."""
    name, line = [], None
    for key in loc:
        try:
            position = content.lc.item(key) if isinstance(key, int) else content.lc.key(key)
            content = content[key]
        except (AttributeError, KeyError, IndexError, TypeError):
            # Pydantic adds the branch of a union, which is no key of the file; a missing key is no line of it.
            if problem["type"] == "missing":
                name.append(str(key))
            continue
        name.append(str(key))
        line = position[0] + 1
    where = f"line {line}: " if line else ""
    known = {
        "missing": "is missing. Add it",
        "extra_forbidden": "is not a param. Delete it, or correct its name",
        "value_error": problem["msg"].removeprefix("Value error, "),
    }
    what = known.get(problem["type"], f"{problem['msg']}, found {problem['input']!r}")
    return f"{where}{'.'.join(name) or 'the file'}", what
