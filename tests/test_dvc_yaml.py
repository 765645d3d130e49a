"""dvc.yaml is the whole graph: DVC follows neither imports nor the paths of a command."""

import ast
import inspect
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from dvc.dependency import ParamsDependency
from dvc.repo import Repo

from counterweight.base.params import Params, read_yaml
from tests.rooms import imported, room_or_file
from tests.workspace import PROJECT

STAGES = {stage.addressing.rpartition(":")[2]: stage for stage in Repo(PROJECT).index.stages}
# Folders of images by the tables that have the checksum of each; see dvc.yaml.
TABLES = {
    "data/example/images": {"data/manifest.csv"},
    "data/resized": {
        "data/resized.csv",
        "features/labeled.csv",
        "features/clusters.csv",
        "augmented/manifest.csv",
        "augmented/arms",
    },
    "augmented/images": {"augmented/manifest.csv", "augmented/arms"},
}
# Read only to stop before work that would be in vain, or to say in the log what follows; no output depends on it.
FORECAST = ("resize", "features", "cluster.n_clusters", "augment")
NO_RESULT = {("ingest", "sheet.format"), ("augment", "sheet.format"), *(("ingest", name) for name in FORECAST)}

# What a stage leaves out when it reads a whole section.
EXCLUDED = re.compile(r"params\.(\w+)\.model_dump\(exclude=(\{[^}]+\})\)")

# One dependency of every stage.
BASE = PROJECT / "counterweight/base"

# Commands for the user, and no stages of the graph: to label images of no dataset, and to write params.yaml.
NO_STAGE = {"predict", "init", "recommend"}


def paths(entries: list[Any]) -> set[str]:
    """Paths of deps or outs, from the project's root."""
    return {Path(entry.fs_path).relative_to(PROJECT).as_posix() for entry in entries if entry.def_path}


@pytest.mark.parametrize("name", STAGES)
def test_deps_are_the_stage_and_the_rooms_that_it_imports(name: str) -> None:
    stage = STAGES[name]
    modules = re.findall(r"python -m (\S+)", stage.cmd)
    assert modules
    files = [PROJECT / (module.replace(".", "/") + ".py") for module in modules]
    expected = {room_or_file(file) for module in files for file in imported(module)}
    assert {path for path in paths(stage.deps) if path.endswith(".py") or path.startswith("counterweight/")} == expected


def test_the_graph_is_short_enough_to_read() -> None:
    assert len((PROJECT / "dvc.yaml").read_text().splitlines()) <= 400
    rooms = {
        name: [dep for dep in paths(stage.deps) if dep.startswith("counterweight/")] for name, stage in STAGES.items()
    }
    assert {name: len(deps) for name, deps in rooms.items() if len(deps) > 7} == {}


def test_what_python_keeps_beside_the_code_changes_no_dependency() -> None:
    assert Repo(PROJECT).dvcignore.is_ignored_dir(str(PROJECT / "counterweight/base/__pycache__"))


def test_dvc_lists_all_params_even_where_its_own_index_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path))
    index = Path(Repo(PROJECT).site_cache_dir, "index/data/db.db")
    index.parent.mkdir(parents=True)
    index.write_text("no database")
    assert index.is_relative_to(tmp_path)
    shown = Repo(PROJECT).params.show()[""]["data"]["params.yaml"]["data"]
    assert shown == read_yaml(PROJECT / "params.yaml", "--params")


@pytest.mark.parametrize("name", STAGES)
def test_each_path_of_the_command_is_a_dependency_or_an_output_or_has_its_checksums_in_one(name: str) -> None:
    stage = STAGES[name]
    words = shlex.split(stage.cmd)
    used_paths = {value for option, value in pairwise(words) if option.startswith("--")}
    declared = paths(stage.deps) | paths(stage.outs) | {"data/example/params.yaml"}
    tables = {"augmented/arms" if "arms/" in path else path for path in paths(stage.deps)}
    assert {path for path in used_paths - declared if not TABLES.get(path, set()) & tables} == set()


@pytest.mark.parametrize("name", STAGES)
def test_each_stage_says_what_it_does(name: str) -> None:
    assert STAGES[name].desc


def of_property(name: str) -> set[str]:
    """The params that a property of a section reads; any other name as it is."""
    section, _, attribute = name.partition(".")
    found = getattr(Params.model_fields[section].annotation, attribute, None) if attribute else None
    if not isinstance(found, property):
        return {name}
    return {f"{section}.{read}" for read in re.findall(r"self\.(\w+)", inspect.getsource(found.fget))}  # type: ignore[arg-type]


def test_the_stage_that_shows_the_text_of_the_params_is_the_one_that_depends_on_all_of_it() -> None:
    files = {
        name: [dep for dep in stage.deps if not isinstance(dep, ParamsDependency)] for name, stage in STAGES.items()
    }
    assert {name for name, deps in files.items() if "params.yaml" in paths(deps)} == {"report"}
    assert "args.params.read_text(" in (PROJECT / "stages/report.py").read_text()


@pytest.mark.parametrize("name", [name for name in STAGES if name not in ("example", "report")])
def test_params_are_the_ones_that_the_stage_reads(name: str) -> None:
    stage = STAGES[name]
    of_params = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    declared = {param for dep in of_params for param in dep.params}
    source = (PROJECT / "stages" / f"{name.partition('@')[0]}.py").read_text()
    sections = "|".join(Params.model_fields)
    used = set(re.findall(rf"load_params\(args\.params\)\.({sections})", source))
    used |= (
        set(re.findall(rf"(?<!\.)\bparams\.((?:{sections})(?:\.(?!model_dump)\w+)?)", source))
        if "load_params(args.params)\n" in source
        else set()
    )
    used = {param for use in used for param in of_property(use)}
    for section, excluded in EXCLUDED.findall(source):
        fields = set(Params.model_fields[section].annotation.model_fields)  # type: ignore[union-attr]
        used = used - {section} | {f"{section}.{field}" for field in fields - ast.literal_eval(excluded)}
    covered = {use for use in used for param in declared if use == param or use.startswith(f"{param}.")}
    assert {use for use in used - covered if (name, use) not in NO_RESULT} == set()
    assert {param for param in declared if not any(use.startswith(param) for use in used)} == set()


def test_a_stage_file_is_named_once_in_the_graph_and_tested() -> None:
    files = {path.stem for path in (PROJECT / "stages").glob("[!_]*.py")}
    assert {name.partition("@")[0] for name in STAGES} - {"example"} == files - NO_STAGE
    assert {path.stem.removeprefix("test_") for path in (PROJECT / "tests/stages").glob("test_*.py")} >= files


@pytest.mark.parametrize("stage", sorted((PROJECT / "stages").glob("[!_]*.py")), ids=lambda path: path.stem)
def test_no_stage_imports_another(stage: Path) -> None:
    assert {path for path in imported(stage) if path.parent == PROJECT / "stages"} == {stage}


def test_a_command_line_has_plain_words_and_params_in_quotes_alone() -> None:
    text = (PROJECT / "dvc.yaml").read_text(encoding="utf-8")
    commands = re.findall(r"cmd: >-\n(.*?)\n +(?:params|deps):", text, re.DOTALL)
    assert len(commands) == 15
    for command in commands:
        plain = re.sub(r'"augmented/balanced\.\$\{sheet\.format\}"|\$\{item\}', "", command)
        assert re.fullmatch(r"[\w./ \n-]+", plain), plain
