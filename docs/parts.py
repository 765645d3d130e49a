"""Put what code makes between its marks in a document."""

from collections.abc import Mapping
from pathlib import Path


def put_between(document: Path, parts: Mapping[str, str]) -> None:
    """Write parts anew.

    Parameters
    ----------
    document : Path
        A Markdown file with ``<!-- NAME -->`` and ``<!-- end of NAME -->``, each on a line of its own.
    parts : mapping of str to str
        What stands between the marks, by name.
    """
    text = document.read_text(encoding="utf-8")
    for name, part in parts.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        head, rest = text.split(begin)
        text = head + begin + part + end + rest.split(end)[1]
    document.write_text(text, encoding="utf-8")
