"""The commands that the documents show: each line of a block of bash, with the recipe that stands before it."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.workspace import PROJECT

DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]


@dataclass(frozen=True)
class Command:
    """A line for the shell.

    Attributes
    ----------
    document : str
        Where it stands, from the project's root.
    line : str
        Without its comment, and in one piece.
    recipe : str
        The last name that a paragraph before it began with, in bold, in its section.
    """

    document: str
    line: str
    recipe: str

    def __str__(self) -> str:
        """As a test is named."""
        return f"{self.document}: {self.line}"


def commands_of(document: Path) -> list[Command]:
    """The commands of a document, in their order."""
    text = document.read_text(encoding="utf-8")
    commands = []
    for block in re.finditer(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        section = text[: block.start()].rpartition("\n## ")[2]
        recipes = re.findall(r"^\*\*(\w+)\.\*\*", section, re.MULTILINE)
        for line in block[1].replace("\\\n", "").splitlines():
            command = re.sub(r"(^|\s+)#.*", "", line)
            if command:
                commands.append(
                    Command(document.relative_to(PROJECT).as_posix(), command, recipes[-1] if recipes else "")
                )
    return commands


def languages_of(document: Path) -> set[str]:
    """What the blocks of a document are marked as."""
    marks: list[str] = re.findall(r"^```(\w*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return set(marks[::2])
