"""What DVC keeps: where its cache is, and which outputs are neither in it nor in dvc.lock."""

import hashlib
from collections.abc import Collection, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from counterweight.base.errors import InputError

_TABLES = (".csv", ".xlsx", ".json")


def dvc_cache_folder(project: Path) -> Path:
    """Return the cache folder of a DVC project, by its configuration or DVC's default, whether it exists or not."""
    folder = project / ".dvc"
    config = ConfigParser(interpolation=None, strict=False)
    try:
        config.read([folder / "config", folder / "config.local"], encoding="utf-8")
    except ConfigError:
        return folder / "cache"
    return folder / config.get("cache", "dir", fallback="cache")


def locked_stages(text: bytes) -> Mapping[str, Any] | None:
    """Return the stages in the text of a dvc.lock, or None if it is no whole YAML document."""
    try:
        content = YAML(typ="safe").load(text.decode("utf-8")) if text.endswith(b"\n") else None
    except (YAMLError, UnicodeDecodeError):
        return None
    stages = content.get("stages") if isinstance(content, dict) else None
    whole = isinstance(stages, dict) and all(isinstance(stage, dict) and "cmd" in stage for stage in stages.values())
    return stages if whole else None


def changed_tables(project: Path, only: Collection[Path] | None = None) -> list[str]:
    """Return the outputs that are tables and hold what is neither in dvc.lock nor in DVC's cache, nor noted as written.

    They were changed by hand, or written by a stage that was stopped before DVC noted it.

    Parameters
    ----------
    project : Path
        The folder of dvc.lock. Without one, there are no outputs.
    only : collection of Path, optional
        The outputs to look at, relative to ``project``; by default all.
    """
    lock = project / "dvc.lock"
    stages = (locked_stages(lock.read_bytes()) if lock.is_file() else None) or {}
    outputs = [out for stage in stages.values() for out in stage.get("outs", ()) if out["path"].endswith(_TABLES)]
    if only is not None:
        outputs = [out for out in outputs if Path(out["path"]) in only]
    return [out["path"] for out in outputs if (project / out["path"]).is_file() and _is_new(out, project)]


def _is_new(out: Mapping[str, Any], project: Path) -> bool:
    """Return whether an output's content is neither what dvc.lock has nor, as after `git checkout`, in DVC's cache."""
    path = project / out["path"]
    checksum, note = _md5(path), _note(path)
    cached = dvc_cache_folder(project) / "files" / "md5" / checksum[:2] / checksum[2:]
    noted = note.read_text(encoding="utf-8") if note.is_file() else ""
    return checksum not in (out.get("md5"), noted) and not cached.exists()


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def _note(output: Path) -> Path:
    return output.with_name(f".{output.name}.written")


def note_written(output: Path) -> None:
    """Note beside an output that its stage wrote it, since DVC notes it only when the stage has ended."""
    _note(output).write_text(_md5(output), encoding="utf-8")


def check_not_edited(output: Path) -> None:
    """Check that an output is as a stage wrote it, before that stage writes it anew or another one reads it.

    When its own stage starts, an output is still there only with ``persist: true``.

    Raises
    ------
    InputError
        If it holds what no stage wrote.
    """
    if changed_tables(Path(), [output]):
        raise InputError(
            f"{output}: no stage wrote what it holds. If you changed it, make the change in your sheet or in "
            "params.yaml instead. Delete the file, then run dvc repro."
        )
