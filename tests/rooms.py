"""Which modules of the project import which, read from their code."""

import ast
from pathlib import Path

from tests.workspace import PROJECT

LIBRARY = PROJECT / "counterweight"


def imports(module: Path) -> set[Path]:
    """The project's own modules that a module imports itself."""
    names = []
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    candidates = {PROJECT / (name.replace(".", "/") + ".py") for name in names}
    return {candidate for candidate in candidates if candidate.exists()}


def imported(file: Path) -> set[Path]:
    """A module, the project's own modules that it imports, and the ones that these import."""
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += imports(module)
    return found


def room_of(file: Path) -> str:
    """The room that a module of the library is in."""
    return file.relative_to(LIBRARY).parts[0]


def room_or_file(file: Path) -> str:
    """What stands for a module in dvc.yaml: its room, or the file itself outside the library."""
    path = f"counterweight/{room_of(file)}" if LIBRARY in file.parents else file
    return str(path) if isinstance(path, str) else path.relative_to(PROJECT).as_posix()
