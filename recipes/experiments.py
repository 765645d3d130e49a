"""DVC experiments based on a commit, through DVC's commands."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from dvc import api as dvc_api
from dvc.repo import Repo

from counterweight.base.errors import InputError, raise_problems
from counterweight.base.params import Params


def override(name: str, value: Any) -> str:
    """Format a param for ``dvc exp run -S``, in Hydra's override grammar: JSON without quotes around keys.

    Examples
    --------
    >>> override("train.transforms", [{"RandomRotation": {"degrees": [-5, 5]}}])
    'train.transforms=[{RandomRotation: {degrees: [-5, 5]}}]'
    >>> override("train.layer", None), override("train.freeze", False), override("train.weights", "/a b/r.pth")
    ('train.layer=null', 'train.freeze=false', 'train.weights="/a b/r.pth"')
    """
    return f"{name}=" + re.sub(r'"(\w+)": ', r"\1: ", json.dumps(value, ensure_ascii=False))


def finished(shown: Sequence[Mapping[str, Any]], commit: str) -> dict[str, bool]:
    """Return for each experiment based on a commit whether it succeeded.

    Parameters
    ----------
    shown : sequence of mapping
        The output of ``dvc exp show --json``.
    commit : str
        Full hash of the commit.
    """
    succeeded = {}
    for entry in shown:
        for experiment in (entry.get("experiments") or []) if entry["rev"] == commit else []:
            state = (experiment.get("executor") or {}).get("state", "success")
            succeeded[experiment["name"]] = not experiment["revs"][0].get("error") and state == "success"
    return succeeded


def fetch(path: str, experiment: str) -> bytes:
    """Return the content of an experiment's output, from DVC's cache."""
    content: bytes = dvc_api.read(path, rev=experiment, mode="rb")
    return content


def untracked_paths(params: Params) -> dict[str, str]:
    """Return params that are paths of this project which experiments, in folders of their own, would not find.

    They are files and folders that neither git nor DVC tracks, as absolute paths by the dotted names of the params.
    """
    with Repo() as repo:
        tracked = [Path(out.fs_path) for out in repo.index.outs]
    found = {}
    for name in ("data.images", "data.sheet", "features.weights", "train.weights"):
        path = Path(attrgetter(name)(params))
        absolute = path.absolute()
        if path.is_absolute() or not path.exists():
            continue
        listed = subprocess.run(["git", "ls-files", "--", str(path)], capture_output=True, text=True, check=True).stdout
        if not listed and not any(absolute.is_relative_to(out) for out in tracked):
            found[name] = str(absolute)
    return found


def clean_commit() -> str:
    """Return the hash of the last commit, on which experiments are based; raise if the workspace differs from it."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode:
        raise InputError("git: there is no commit, but experiments need one. Run git init, git add and git commit.")
    status = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=True
    )
    raise_problems(
        [f"{line[3:]} is not as committed. Commit it, or run git stash." for line in status.stdout.splitlines()], "git"
    )
    return head.stdout.strip()


def shown_experiments() -> list[dict[str, Any]]:
    """Return the output of ``dvc exp show``, for `finished`."""
    shown: list[dict[str, Any]] = json.loads(dvc("exp", "show", "--json"))
    return shown


def dvc(*words: str, shown: bool = False) -> str:
    """Run a DVC command and return its output; ``shown`` sends it to stderr instead, since stdout is for the table."""
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
