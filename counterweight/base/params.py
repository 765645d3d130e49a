"""params.yaml: every value that changes a result, checked as a whole before any work."""

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from counterweight.base.conflicts import exclusions
from counterweight.base.errors import InputError, raise_problems
from counterweight.base.schema import (
    Augment,
    Cluster,
    Data,
    Evaluate,
    Features,
    Fill,
    Report,
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
    report: Report


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
    # Once with the lines of what is there, and once as plain values.
    content, plain = (read_yaml(path, "--params", typ) for typ in ("rt", "safe"))
    # A value that fits no branch of a union is one problem, not one a branch; the most precise place names it.
    by_place: dict[str, list[str]] = {}
    params = None
    try:
        params = Params.model_validate(plain)
    except ValidationError as error:
        for problem in error.errors():
            place = _place(problem["loc"], content, missing=problem["type"] == "missing")
            by_place.setdefault(place, []).append(_what(problem))
    for name, what in exclusions(plain):
        by_place.setdefault(_place(tuple(name.split(".")), content), []).append(what)
    precise = [place for place in by_place if not any(other.startswith(f"{place}.") for other in by_place)]
    said = [f"{place}: {', or '.join(dict.fromkeys(by_place[place]))}" for place in precise]
    raise_problems(sorted(said, key=_line), str(path))
    assert params is not None
    return params


def read_yaml(path: Path, option: str, typ: str = "safe") -> Any:
    """Content of a YAML file.

    Parameters
    ----------
    path : Path
        The file; YAML 1.2, as DVC reads it.
    option : str
        By which the user may name another.
    typ : str
        ``safe`` for plain values; ``rt`` for values that know their lines.

    Raises
    ------
    InputError
        If the file is missing or is not YAML.
    """
    try:
        return YAML(typ=typ, pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file. Run from the project's root, or give {option}.") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {error}. Correct the file.") from None


def _line(problem: str) -> int:
    """The line that a problem names; those of the whole file come first."""
    line = re.match(r"line (\d+): ", problem)
    return int(line[1]) if line else 0


def _place(loc: tuple[int | str, ...], content: Any, *, missing: bool = False) -> str:
    """Where a problem is: its line, and the name of the param."""
    name, line = [], None
    for key in loc:
        try:
            position = content.lc.item(key) if isinstance(key, int) else content.lc.key(key)
            content = content[key]
        except (AttributeError, KeyError, IndexError, TypeError):
            # Pydantic adds the branch of a union, which is no key of the file; a missing key is no line of it.
            if missing:
                name.append(str(key))
            continue
        name.append(str(key))
        line = position[0] + 1
    where = f"line {line}: " if line else ""
    return f"{where}{'.'.join(name) or 'the file'}"


def _what(problem: Any) -> str:
    """What is wrong, in words of the file rather than of the model."""
    known = {
        "missing": "is missing. Add it",
        "extra_forbidden": "is not a param. Delete it, or correct its name",
        "value_error": problem["msg"].removeprefix("Value error, "),
    }
    return str(known.get(problem["type"], f"{problem['msg']}, found {problem['input']!r}"))
