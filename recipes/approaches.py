"""A YAML list of approaches to imbalance, each with its own params, for `recipes.compare`."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, get_args

from counterweight.base.errors import InputError, raise_problems
from counterweight.base.params import Params, read_yaml
from counterweight.base.results_schema import Arm

ARMS = get_args(Arm)
TASKS = ("multilabel", "multiclass", "binary")
HALF = 0.5


@dataclass(frozen=True)
class Approach:
    """A row of the table.

    Attributes
    ----------
    name : str
        Name in the table.
    arm : str
        The arm to train, one of `ARMS`.
    set : dict of str to value
        Params by dotted names.
    tasks : list of str
        The tasks that it fits.
    needs : dict of str to value
        Params without which it has no row, by dotted names.
    of : str or None
        The approach whose run this row shares; None if it has a run of its own.
    decision : str or None
        The decision whose metrics the row shows; None for that of the table.
    """

    name: str
    arm: str = "nothing"
    set: dict[str, Any] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=lambda: list(TASKS))
    needs: dict[str, Any] = field(default_factory=dict)
    of: str | None = None
    decision: str | None = None

    @property
    def experiment(self) -> str:
        """Name of the DVC experiment.

        Examples
        --------
        >>> Approach("clusters, plain copies").experiment
        'approach-clusters-plain-copies'
        """
        return "approach-" + re.sub(r"[^a-z0-9]+", "-", (self.of or self.name).lower()).strip("-")


def read_approaches(path: Path) -> list[Approach]:
    """Read and validate a list of approaches.

    Parameters
    ----------
    path : Path
        A YAML list of mappings with the fields of `Approach`.

    Raises
    ------
    InputError
        If the file is missing or invalid; all problems are reported together.
    """
    entries = read_yaml(path, "--approaches")
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: not a list. Write '- name: ...' for each approach.")
    raise_problems([f"entry {i}: {wrong}" for i, entry in enumerate(entries, 1) for wrong in _wrong(entry)], str(path))
    approaches = [Approach(**entry) for entry in entries]
    with_run = {each.name: each for each in approaches if each.of is None}
    names = Counter(each.name for each in approaches)
    runs = Counter(each.experiment for each in with_run.values())
    problems = [f"'{name}' occurs twice. Rename one" for name, count in sorted(names.items()) if count > 1]
    problems += [
        f"{run} would be the name of two experiments. Rename one approach"
        for run, count in sorted(runs.items())
        if count > 1
    ]
    problems += [
        f"'{each.name}' is of '{each.of}', which is not an approach with a run of its own. Correct it"
        for each in approaches
        if each.of is not None and each.of not in with_run
    ]
    raise_problems(problems, str(path))
    return [each if each.of is None else replace(each, arm=with_run[each.of].arm) for each in approaches]


def fitting(approaches: Sequence[Approach], params: Params) -> list[Approach]:
    """Return the approaches that fit the params, in order.

    Parameters
    ----------
    approaches : sequence of Approach
        The approaches.
    params : Params
        Whose task, and params that an approach needs, decide.
    """

    def fits(each: Approach) -> bool:
        values = {name: attrgetter(name)(params) for name in each.needs}
        return params.data.task in each.tasks and values == each.needs

    runs = {each.name for each in approaches if each.of is None and fits(each)}
    return [each for each in approaches if fits(each) and (each.of is None or each.of in runs)]


def settings_of(approach: Approach, params: Params) -> dict[str, Any]:
    """Return an approach's params, with its arm and, if the table needs it, the threshold 0.5."""
    arms = {"train.arms": [arm for arm in ARMS if arm in ("nothing", "copies", approach.arm)]}
    thresholds = approach.set.get("evaluate.thresholds", params.evaluate.thresholds)
    if table_decision(params.data.task) != "argmax" and HALF not in thresholds:
        return arms | approach.set | {"evaluate.thresholds": sorted([*thresholds, HALF])}
    return arms | approach.set


def table_decision(task: str) -> str:
    """Return the decision at which approaches are compared.

    Examples
    --------
    >>> table_decision("multilabel"), table_decision("multiclass")
    ('0.5', 'argmax')
    """
    return "argmax" if task == "multiclass" else f"{HALF:g}"


def _wrong(entry: Any) -> list[str]:
    """Return the problems of an entry of the file."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return ["it needs a name. Add 'name: ...'"]
    fields = {"name", "tasks", "decision", *(["of"] if "of" in entry else ["arm", "set", "needs"])}
    problems = [f"'{key}' is not one of {', '.join(sorted(fields))}. Delete it" for key in entry if key not in fields]
    if "of" not in entry and entry.get("arm") not in ARMS:
        problems.append(f"arm is {entry.get('arm')!r}. Choose one of {', '.join(ARMS)}")
    tasks = entry.get("tasks", [])
    if not isinstance(tasks, list) or not set(map(str, tasks)) <= set(TASKS):
        problems.append(f"tasks is {tasks!r}. Write a list of {', '.join(TASKS)}, or delete it")
    if "of" not in entry and not isinstance(entry.get("needs", {}), dict):
        problems.append("needs is not a mapping. Write params by their dotted names, or delete it")
    if "of" not in entry and not isinstance(entry.get("set"), dict):
        problems.append("set is not a mapping. Write params by their dotted names, or {}")
    return problems
