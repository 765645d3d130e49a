"""Train every approach to imbalance as a DVC experiment, and put their measures on the test images into one table.

    python -m recipes.compare [--approaches FILE] [--only NAME ...]

Reads   recipes/approaches.yaml, the committed params.yaml
Writes  results/approaches.csv (numbers), results/approaches.md (rounded, the best of each column marked with *)

Each approach is queued on top of the last commit and runs in a folder of its own, so that the workspace stays as it is;
`dvc exp show` lists them and `dvc exp apply NAME` takes one over. What an earlier run has done comes from DVC's cache.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from recipes.overlay import apply_to
from stages.core.decisions import names_of_decisions
from stages.core.errors import InputError, raise_problems
from stages.core.outputs import write_table, write_text
from stages.core.params import Params, load_params

MEASURES = ("macro_f1", "micro_f1", "minority_recall", "majority_recall")
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
    try:
        entries = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file. Run from the project's root, or give --approaches.") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {error}") from None
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


def override(name: str, value: Any) -> str:
    """A param as ``dvc exp run -S`` takes it, in Hydra's grammar.

    Examples
    --------
    >>> override("train.transforms", [{"RandomRotation": {"degrees": [-5, 5]}}])
    'train.transforms=[{RandomRotation:{degrees:[-5,5]}}]'
    >>> override("train.layer", None), override("train.freeze", False), override("train.weights", "/a b/r.pth")
    ('train.layer=null', 'train.freeze=false', "train.weights='/a b/r.pth'")
    """
    return f"{name}={_hydra(value)}"


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


def table_of(approaches: Sequence[Approach], metrics: Mapping[str, Mapping[str, Any]], decision: str) -> pd.DataFrame:
    """Measures of each approach.

    Parameters
    ----------
    approaches : sequence of Approach
        In the order of the rows.
    metrics : mapping of str to mapping
        By experiment, what evaluate wrote as metrics.json of the approach's arm. One that is missing has no row.
    decision : str
        For approaches that name none.

    Returns
    -------
    pandas.DataFrame
        ``approach`` and the columns of `MEASURES`, not a number where a measure is of nothing.
    """
    rows = [
        [each.name, *(metrics[each.experiment][f"threshold_{each.decision or decision}"][name] for name in MEASURES)]
        for each in approaches
        if each.experiment in metrics
    ]
    table = pd.DataFrame(rows, columns=["approach", *MEASURES])
    return table.astype(dict.fromkeys(MEASURES, "float64"))


def markdown(table: pd.DataFrame) -> str:
    """The table in Markdown, to three digits, the best of each column marked with ``*``.

    Examples
    --------
    >>> table = pd.DataFrame({"approach": ["naive", "clusters"], "macro_f1": [0.4, 0.5]})
    >>> print(markdown(table), end="")
    | approach | macro_f1 |
    |----------|----------|
    | naive    | 0.400    |
    | clusters | 0.500*   |
    """
    cells = {"approach": table["approach"].tolist()} | {
        name: [
            "" if pd.isna(value) else f"{value:.3f}" + "*" * bool(value == table[name].max()) for value in table[name]
        ]
        for name in table.columns.drop("approach")
    }
    widths = {name: max(len(name), *map(len, column)) for name, column in cells.items()}
    lines = [list(cells), ["-" * width for width in widths.values()], *zip(*cells.values(), strict=True)]
    rows = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths.values(), strict=True)) for line in lines]
    rows[1] = rows[1].replace(" | ", "-|-")
    return "".join(f"|-{row}-|\n" if i == 1 else f"| {row} |\n" for i, row in enumerate(rows))


def finished(shown: Sequence[Mapping[str, Any]], commit: str) -> dict[str, Mapping[str, Any] | None]:
    """Experiments on top of a commit.

    Parameters
    ----------
    shown : sequence of mapping
        What ``dvc exp show --json`` prints.
    commit : str
        The commit's full hash.

    Returns
    -------
    dict of str to mapping or None
        By name, the content of each metrics file by its path; None for one that failed or has not run.
    """
    found: dict[str, Mapping[str, Any] | None] = {}
    for entry in shown:
        for experiment in (entry.get("experiments") or []) if entry["rev"] == commit else []:
            last = experiment["revs"][0]
            state = (experiment.get("executor") or {}).get("state", "success")
            # A failed experiment is shown with the metrics of the commit that it started from.
            done = not last.get("error") and state == "success"
            files = {path: file.get("data") or {} for path, file in (last["data"] or {}).get("metrics", {}).items()}
            found[experiment["name"]] = files if done else None
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Queue, run and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--approaches", type=Path, default=Path("recipes/approaches.yaml"), metavar="PATH")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of the approaches to compare")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="PATH")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="PATH")
    args = parser.parse_args(argv)

    approaches = _chosen(read_approaches(args.approaches), args.only)
    params = load_params(args.params)
    to_run = [each for each in approaches if each.of is None]
    _check(approaches, params, args.params)
    commit = _clean_commit()

    known = finished(_experiments(), commit)
    if earlier := [each.experiment for each in to_run if each.experiment in known]:
        _dvc("exp", "remove", "--quiet", *earlier)
    for each in to_run:
        sets = [word for name, value in settings_of(each, params).items() for word in ("-S", override(name, value))]
        _dvc("exp", "run", "--quiet", "--queue", "--name", each.experiment, *sets, f"evaluate@{each.arm}")
    # Ends with 0 also if experiments failed; `finished` tells.
    _dvc("exp", "run", "--run-all", shown=True)

    ended = finished(_experiments(), commit)
    metrics = {
        each.experiment: files[f"results/{each.arm}/metrics.json"]
        for each in to_run
        if (files := ended.get(each.experiment)) is not None
    }
    table = table_of(approaches, metrics, table_decision(params.data.task))
    if len(table):
        write_table(table, args.results / "approaches.csv")
        write_text(markdown(table), args.results / "approaches.md")
        print(markdown(table), end="")
    failed = [each for each in to_run if each.experiment not in metrics]
    raise_problems(
        [f"'{each.name}' failed and has no row. See: dvc queue logs {each.experiment}" for each in failed], "compare"
    )


def _chosen(approaches: list[Approach], only: Sequence[str] | None) -> list[Approach]:
    """Those named, and those whose run they judge."""
    if only is None:
        return approaches
    names = [each.name for each in approaches]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise InputError(f"--only: {', '.join(unknown)} is no approach. There are: {'; '.join(names)}.")
    wanted = {*only, *(each.of for each in approaches if each.name in only)}
    return [each for each in approaches if each.name in wanted]


def _check(approaches: Sequence[Approach], params: Params, path: Path) -> None:
    """Validate every approach's params before the first is queued."""
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for each in approaches:
            copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
            try:
                apply_to(copy, settings_of(each, params))
                settled = load_params(copy)
            except InputError as error:
                problems.append(f"'{each.name}': {error}".replace(str(copy), str(path)))
                continue
            decisions = names_of_decisions(settled.data.task, settled.evaluate.thresholds)
            if each.decision is not None and each.decision not in decisions:
                problems.append(
                    f"'{each.name}': {each.decision} is no decision here. Choose one of {', '.join(decisions)}"
                )
    raise_problems(problems, "approaches")


def _clean_commit() -> str:
    """The commit that the experiments start from; an error if the workspace differs from it."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode:
        raise InputError("git: there is no commit here. Experiments need one: git init, git add, git commit.")
    status = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=True
    )
    raise_problems(
        [f"{line[3:]} is not as committed. Commit it, or git stash." for line in status.stdout.splitlines()], "git"
    )
    return head.stdout.strip()


def _experiments() -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = json.loads(_dvc("exp", "show", "--json"))
    return shown


def _dvc(*words: str, shown: bool = False) -> str:
    """Run a DVC command and return what it prints; with ``shown`` it goes to stderr, since stdout is the table's."""
    result = subprocess.run(
        [sys.executable, "-m", "dvc", *words],
        stdout=sys.stderr if shown else subprocess.PIPE,
        stderr=None if shown else subprocess.PIPE,
        text=True,
        check=False,
    )
    if result.returncode and not shown:
        raise InputError(f"dvc {' '.join(words)}: {result.stderr.strip()}")
    return result.stdout or ""


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


def _hydra(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_hydra(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{','.join(map(_hydra, value))}]"
    if isinstance(value, str) and (
        not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value) or value.lower() in ("null", "true", "false", "nan", "inf")
    ):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        print(f"compare: {error}", file=sys.stderr)
        sys.exit(1)
