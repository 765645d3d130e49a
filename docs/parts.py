"""Replace the generated parts of a document."""

from collections.abc import Mapping
from pathlib import Path


def put_between(document: Path, parts: Mapping[str, str]) -> None:
    """Replace the text between marks.

    Parameters
    ----------
    document : Path
        A Markdown file with ``<!-- NAME -->`` and ``<!-- end of NAME -->``, each on its own line.
    parts : mapping of str to str
        New text between the marks, by name.
    """
    text = document.read_text(encoding="utf-8")
    for name, part in parts.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        head, rest = text.split(begin)
        text = head + begin + part + end + rest.split(end)[1]
    document.write_text(text, encoding="utf-8")
