"""Every error that is the user's to mend ends with what to do; every message begins with the stage's name."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.workspace import PROJECT

VERBS = (
    "Add|Bring|Choose|Clip|Correct|Delete|Download|Empty|Fill|Free|Give|Look after|Lower|Make|Mend|Move|Name|Open|Put|"
    "Rename|Replace|Run|Save|Set|Shorten|Start|Unmerge|Unset|Wait|Write"
)
FILES = [
    *sorted(file for code in ("counterweight", "stages") for file in (PROJECT / code).rglob("*.py")),
    PROJECT / "data/example/example.py",
]
# Lists of problems by the names that they have in the code, and functions that return some.
LISTS = {"problems", "found"}
# Values in messages that are themselves what to do.
REMEDIES = {"again", "fix", "wrong", "remedy", "TOO_LITTLE_MEMORY"}


def text_of(node: ast.AST) -> str:
    """A string as it stands in the code, with {} where a value goes, or the words "Mend it" for a remedy."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    if isinstance(node, ast.FormattedValue) and ast.unparse(node.value).rpartition(".")[2] in REMEDIES:
        return "Mend it"
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "{}"


def sentences(node: ast.AST) -> Iterator[str]:
    """The messages in an expression: its strings that are sentences, not the names and keys."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        if " " in text_of(node):
            yield text_of(node)
    elif isinstance(node, ast.ListComp):
        yield from sentences(node.elt)
    elif isinstance(node, ast.List | ast.Tuple):
        for element in node.elts:
            yield from sentences(element)


def messages() -> Iterator[tuple[str, str]]:
    """Where each message of an error stands, and the message."""
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
def test_an_error_ends_with_what_to_do(message: str) -> None:
    *_, last = ["", *re.finditer(rf"(?:^|[.:}}] )(?:{VERBS})\b", message, re.IGNORECASE)]
    assert last, message
    assert not re.search(r"[.] [A-Z]", message[last.end() :]), message


def test_there_are_messages_to_look_at() -> None:
    assert len(MESSAGES) > 100
