"""DVC's experiments on top of a commit, by DVC's own commands."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from counterweight.base.errors import InputError, raise_problems


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


def clean_commit() -> str:
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


def shown_experiments() -> list[dict[str, Any]]:
    """What ``dvc exp show`` shows, which `finished` reads."""
    shown: list[dict[str, Any]] = json.loads(dvc("exp", "show", "--json"))
    return shown


def dvc(*words: str, shown: bool = False) -> str:
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
