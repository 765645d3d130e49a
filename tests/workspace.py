"""A pipeline of its own in a folder: the project's dvc.yaml and stages, with other params."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from counterweight.runtime.cache import Cache

PROJECT = Path(__file__).parent.parent
NO_CACHE = Cache(Path("nothing is kept here"), 0)


def write_params(path: Path, changes: Mapping[str, Any]) -> None:
    """Write the project's params.yaml with other values.

    Parameters
    ----------
    path : Path
        The file to write.
    changes : mapping of str to value
        New values by dotted names, such as ``cluster.n_clusters``.
    """
    yaml = YAML(typ="rt", pure=True)
    params = yaml.load(PROJECT / "params.yaml")
    for name, value in changes.items():
        *sections, key = name.split(".")
        section = params
        for part in sections:
            section = section[part]
        if key not in section:
            raise KeyError(name)
        section[key] = value
    yaml.dump(params, path)


def make_workspace(folder: Path, changes: Mapping[str, Any], *, scm: bool = False) -> Path:
    """Copy the pipeline into a folder and make it a DVC project with a cache of its own, in git if there is git."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(PROJECT / "dvc.yaml", folder)
    shutil.copy(PROJECT / ".gitignore", folder)
    shutil.copy(PROJECT / ".dvcignore", folder)
    for code in ("counterweight", "stages"):
        shutil.copytree(PROJECT / code, folder / code, ignore=shutil.ignore_patterns("__pycache__"))
    write_params(folder / "params.yaml", changes)
    run(folder, "dvc", "init", "--quiet", *([] if scm else ["--no-scm"]))
    shutil.copytree(PROJECT / ".dvc" / "plots", folder / ".dvc" / "plots", dirs_exist_ok=True)
    config = (PROJECT / ".dvc" / "config").read_text()
    (folder / ".dvc" / "config").write_text(config if scm else config.replace("[core]", "[core]\n    no_scm = true"))
    return folder


def run(folder: Path, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with this Python's commands first on the path, and capture its output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if check and result.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {result.returncode}:\n{result.stdout}{result.stderr}")
    return result


def shell(folder: Path, line: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a line as a user types it, as `run` does."""
    return run(folder, "bash", "-c", line, check=check)
