"""Hash the code that a result depends on, so that cached results of other code are not reused."""

import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

import counterweight

ROOT = Path(counterweight.__file__).parent.parent


def fingerprint(modules: Iterable[str], packages: Iterable[str]) -> str:
    """Hash modules, all modules of the library that they import, and the versions of packages.

    Comments, docstrings and formatting do not matter.

    Parameters
    ----------
    modules : iterable of str
        Dotted names, such as ``counterweight.images.resizing``. They are not imported.
    packages : iterable of str
        Names of distributions.

    Returns
    -------
    str
        SHA-256 in hexadecimal.
    """
    files = sorted(set().union(*(import_closure(ROOT / f"{name.replace('.', '/')}.py") for name in modules)))
    code = {str(file.relative_to(ROOT)): _parsed(file)[0] for file in files}
    # The dump of a syntax tree depends on the version of Python.
    versions = {"python": sys.version_info[:2], **{name: version(name) for name in packages}}
    return hashlib.sha256(json.dumps([code, versions], sort_keys=True).encode()).hexdigest()


def import_closure(file: Path) -> set[Path]:
    """Return a module of the library and all those it imports, directly or not, also inside functions."""
    closure: set[Path] = set()
    queue = [file]
    while queue:
        module = queue.pop()
        if module not in closure:
            closure.add(module)
            queue += _parsed(module)[1]
    return closure


@cache
def _parsed(file: Path) -> tuple[str, list[Path]]:
    """Return the hash of a module's code, and the modules of the library that it imports itself."""
    tree = ast.parse(file.read_bytes())
    candidates = [ROOT / f"{name.replace('.', '/')}.py" for name in _imported_names(tree)]
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False):
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), [file for file in candidates if file.is_file()]


def _imported_names(tree: ast.Module) -> Iterator[str]:
    """Yield the imported names of the library that may be modules."""
    prefix = f"{counterweight.__name__}."
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(prefix))
        elif isinstance(node, ast.ImportFrom) and node.module and f"{node.module}.".startswith(prefix):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
