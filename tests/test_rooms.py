"""The library is rooms by subject, and imports run one way."""

import ast
from pathlib import Path

import pytest

from docs.readme import ROOMS
from tests.rooms import LIBRARY, imports, room_of
from tests.workspace import PROJECT

MODULES = sorted(LIBRARY.rglob("[!_]*.py"))
STAGES = sorted((PROJECT / "stages").glob("[!_]*.py"))


def test_there_are_no_other_rooms_and_no_modules_outside_them() -> None:
    assert {room_of(module) for module in MODULES} == set(ROOMS)
    assert [module for module in MODULES if module.parent.parent != LIBRARY] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_at_most_twelve_modules(room: str) -> None:
    assert 1 <= len(list((LIBRARY / room).glob("[!_]*.py"))) <= 12


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(LIBRARY).as_posix())
def test_a_module_imports_its_own_room_and_earlier_ones_alone(module: Path) -> None:
    allowed = ROOMS[: ROOMS.index(room_of(module)) + 1]
    assert {file for file in imports(module) if LIBRARY not in file.parents or room_of(file) not in allowed} == set()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(LIBRARY).as_posix())
def test_no_module_imports_itself_by_way_of_others(module: Path) -> None:
    seen: set[Path] = set()
    waiting = list(imports(module))
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += imports(file)
    assert module not in seen


@pytest.mark.parametrize("stage", STAGES, ids=lambda path: path.stem)
def test_a_stage_imports_the_library_alone(stage: Path) -> None:
    assert {file for file in imports(stage) if LIBRARY not in file.parents} == set()


@pytest.mark.parametrize("stage", STAGES, ids=lambda path: path.stem)
def test_a_stage_is_a_story_of_at_most_ninety_lines(stage: Path) -> None:
    assert len(stage.read_text().splitlines()) <= 90


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(LIBRARY).as_posix())
def test_no_function_of_the_library_takes_more_than_eight_parameters(module: Path) -> None:
    functions = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.FunctionDef)]
    counts = {
        function.name: len([each for each in parameters if each.arg not in ("self", "cls")])
        for function in functions
        for parameters in [[*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]]
    }
    assert {name: count for name, count in counts.items() if count > 8} == {}


def test_stages_holds_stories_alone() -> None:
    assert {path.name for path in (PROJECT / "stages").iterdir() if path.name != "__pycache__"} == {
        "__init__.py", *(stage.name for stage in STAGES),
    }  # fmt: skip
