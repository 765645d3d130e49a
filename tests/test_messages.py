"""Every error in the user's input ends with an instruction for fixing it."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.workspace import PROJECT

VERBS = (
    "Add|Bring|Check|Choose|Clip|Correct|Delete|Download|Empty|Fill|Fix|Free|Give|Lower|Make|Move|Name|Open|Put|"
    "Rename|Replace|Run|Save|Set|Shorten|Start|Unmerge|Unset|Wait|Write"
)
FILES = [
    *sorted(file for code in ("counterweight", "stages") for file in (PROJECT / code).rglob("*.py")),
    PROJECT / "data/example/example.py",
]
# Names of lists of problems in the code.
LISTS = {"problems", "found"}
# Variables that hold the instruction.
REMEDIES = {"again", "fix", "wrong", "remedy", "OUT_OF_MEMORY"}


def text_of(node: ast.AST) -> str:
    """Return a string of the code, with {} for each value and "Fix it" for each variable with an instruction."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    if isinstance(node, ast.FormattedValue) and ast.unparse(node.value).rpartition(".")[2] in REMEDIES:
        return "Fix it"
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "{}"


def sentences(node: ast.AST) -> Iterator[str]:
    """Yield the messages in an expression: its strings that are sentences, not names and keys."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        if " " in text_of(node):
            yield text_of(node)
    elif isinstance(node, ast.ListComp):
        yield from sentences(node.elt)
    elif isinstance(node, ast.List | ast.Tuple):
        for element in node.elts:
            yield from sentences(element)


def messages() -> Iterator[tuple[str, str]]:
    """Yield each error message, first with the name of its file."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            parts: list[ast.AST] = []
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name in {"InputError", "DeadWorkerError", "raise_problems", *(f"{each}.append" for each in LISTS)}:
                    parts = list(node.args[:1])
            elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and node.value is not None:
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                parts = [node.value] if ast.unparse(target) in LISTS else []
            elif isinstance(node, ast.FunctionDef) and "problem" in node.name:
                parts = [inner.value for inner in ast.walk(node) if isinstance(inner, ast.Return) and inner.value]
            for part in parts:
                yield from ((f"{file.name}: {text}", text) for text in sentences(part))


MESSAGES = dict(messages())


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_an_error_ends_with_an_instruction(message: str) -> None:
    *_, last = ["", *re.finditer(rf"(?:^|[.:}}] )(?:{VERBS})\b", message, re.IGNORECASE)]
    assert last, message
    assert not re.search(r"[.] [A-Z]", message[last.end() :]), message


def test_the_code_has_messages() -> None:
    assert len(MESSAGES) > 100
