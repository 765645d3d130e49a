"""DVC experiments based on a commit, through DVC's commands."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from counterweight.base.errors import InputError, raise_problems


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


def finished(shown: Sequence[Mapping[str, Any]], commit: str) -> dict[str, Mapping[str, Any] | None]:
    """Return the metrics of the experiments based on a commit.

    Parameters
    ----------
    shown : sequence of mapping
        The output of ``dvc exp show --json``.
    commit : str
        Full hash of the commit.

    Returns
    -------
    dict of str to mapping or None
        For each experiment the content of the metrics files by path; None if it failed or has not run.
    """
    metrics: dict[str, Mapping[str, Any] | None] = {}
    for entry in shown:
        for experiment in (entry.get("experiments") or []) if entry["rev"] == commit else []:
            latest = experiment["revs"][0]
            state = (experiment.get("executor") or {}).get("state", "success")
            # DVC shows a failed experiment with the metrics of its base commit.
            succeeded = not latest.get("error") and state == "success"
            files = {path: file.get("data") or {} for path, file in (latest["data"] or {}).get("metrics", {}).items()}
            metrics[experiment["name"]] = files if succeeded else None
    return metrics


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
