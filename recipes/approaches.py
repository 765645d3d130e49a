"""Approaches to imbalance that are compared with each other: a list in YAML, each with params of its own."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from counterweight.base.errors import InputError, raise_problems
from counterweight.base.params import Params, read_yaml

ARMS = ("original", "balanced")
HALF = 0.5
PREFIX = "approach-"


@dataclass(frozen=True)
class Approach:
    """A row of the table.

    Attributes
    ----------
    name : str
        As the table shows it.
    arm : str
        ``original`` or ``balanced``.
    set : dict of str to value
        Its params by dotted names.
    of : str or None
        The approach whose run it judges otherwise; None if the run is its own.
    decision : str or None
        Under which of evaluate's decisions it is judged; None for the table's.
    """

    name: str
    arm: str = "original"
    set: dict[str, Any] = field(default_factory=dict)
    of: str | None = None
    decision: str | None = None

    @property
    def experiment(self) -> str:
        """Name of its DVC experiment.

        Examples
        --------
        >>> Approach("clusters, plain copies").experiment
        'approach-clusters-plain-copies'
        """
        return PREFIX + re.sub(r"[^a-z0-9]+", "-", (self.of or self.name).lower()).strip("-")


def read_approaches(path: Path) -> list[Approach]:
    """Read and check a list of approaches.

    Parameters
    ----------
    path : Path
        A YAML list of mappings with the fields of `Approach`.

    Raises
    ------
    InputError
        If the file is missing or is no such list; all problems are reported together.
    """
    entries = read_yaml(path, "--approaches")
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: this is no list. Write '- name: ...' for each approach.")
    raise_problems([f"entry {i}: {wrong}" for i, entry in enumerate(entries, 1) for wrong in _wrong(entry)], str(path))
    approaches = [Approach(**entry) for entry in entries]
    own = {approach.name: approach for approach in approaches if approach.of is None}
    names = [approach.name for approach in approaches]
    runs = [approach.experiment for approach in own.values()]
    problems = [f"'{name}' stands there twice. Rename one" for name in sorted({n for n in names if names.count(n) > 1})]
    problems += [
        f"{run} would be the name of two experiments. Rename one"
        for run in sorted({r for r in runs if runs.count(r) > 1})
    ]
    problems += [
        f"'{each.name}' is of '{each.of}', which is no approach with a run of its own. Correct it"
        for each in approaches
        if each.of is not None and each.of not in own
    ]
    raise_problems(problems, str(path))
    return [
        each if each.of is None else Approach(each.name, own[each.of].arm, {}, each.of, each.decision)
        for each in approaches
    ]


def settings_of(approach: Approach, params: Params) -> dict[str, Any]:
    """An approach's params, with the threshold 0.5 added where the table needs it and params.yaml lacks it."""
    thresholds = approach.set.get("evaluate.thresholds", params.evaluate.thresholds)
    if table_decision(params.data.task) != "argmax" and HALF not in thresholds:
        return approach.set | {"evaluate.thresholds": sorted([*thresholds, HALF])}
    return approach.set


def table_decision(task: str) -> str:
    """The decision at which approaches are compared.

    Examples
    --------
    >>> table_decision("multilabel"), table_decision("multiclass")
    ('0.5', 'argmax')
    """
    return "argmax" if task == "multiclass" else f"{HALF:g}"


def _wrong(entry: Any) -> list[str]:
    """What is wrong with an entry of the file."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return ["it needs a name. Add 'name: ...'"]
    fields = {"name", "of", "decision"} if "of" in entry else {"name", "arm", "set", "decision"}
    problems = [f"'{key}' is none of {', '.join(sorted(fields))}. Delete it" for key in entry if key not in fields]
    if "of" not in entry and entry.get("arm") not in ARMS:
        problems.append(f"arm is {entry.get('arm')!r}. Choose one of {', '.join(ARMS)}")
    if "of" not in entry and not isinstance(entry.get("set"), dict):
        problems.append("set is no mapping. Write params by their dotted names, or {}")
    return problems
