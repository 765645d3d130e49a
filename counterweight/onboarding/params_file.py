"""Set params by dotted names, and keep the comments and the layout of params.yaml."""

import io
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node
from ruamel.yaml.scalarstring import ScalarString

from counterweight.base.errors import InputError
from counterweight.base.outputs import atomic_file
from counterweight.base.params import RENAMED, load_params

# Sections to which users add names of their own.
EXTENSIBLE = ("augment.pipelines",)
# Sections that may be null instead.
OPTIONAL = ("augment.guard",)

Changes = dict[str, tuple[Any, Any]]


def overlay(text: str, values: Mapping[str, Any], where: str) -> tuple[str, Changes]:
    r"""Set params in the text of a params file.

    Parameters
    ----------
    text : str
        Content of the file, YAML 1.2.
    values : mapping of str to value
        New values by dotted names.
    where : str
        Name of the file, for messages.

    Returns
    -------
    text : str
        The new content. Only the values change; comments inside a replaced list are lost.
    changes : dict of str to (old, new)
        The values that differ from before.

    Raises
    ------
    InputError
        If the text is not YAML, or a name is not in it.

    Examples
    --------
    >>> params = "cluster: # k-means\n  n_clusters: 5 # of all\n"
    >>> text, changes = overlay(params, {"cluster.n_clusters": 12}, "params.yaml")
    >>> print(text, end="")
    cluster: # k-means
      n_clusters: 12 # of all
    >>> changes
    {'cluster.n_clusters': (5, 12)}
    """
    try:
        tree, root = round_trip_yaml().load(text), round_trip_yaml().compose(text)
    except YAMLError as error:
        raise InputError(f"{where}: not YAML: {error}. Correct the file.") from None
    names = list(_names(tree))
    known = {*names, *(name for name in OPTIONAL if values.get(name, "") is None)}
    unknown = [name for name in values if name not in known and name.rpartition(".")[0] not in EXTENSIBLE]
    if unknown:
        near = [RENAMED[name] if name in RENAMED else "".join(get_close_matches(name, names, 1)) for name in unknown]
        hint = f", but {', '.join(filter(None, near))}" if any(near) else ""
        raise InputError(f"{where} has no {', '.join(unknown)}{hint}. Correct the name, or add it to the file.")
    changes: Changes = {}
    edits = []
    for name, new in values.items():
        *sections, key = name.split(".")
        section, node = tree, root
        for part in sections:
            section = section[part]
            node = next(value for child, value in node.value if child.value == part)
        old = section.get(key)
        if key not in section or old != new:
            changes[name] = (old, new)
            quoted = isinstance(old, ScalarString) and isinstance(new, str)
            edits.append(_edit(text, node, key, type(old)(new) if quoted else new))
    for start, end, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement + text[end:]
    return text, changes


def apply_overlay(path: Path, values: Mapping[str, Any]) -> Changes:
    """Set params in a params file, as `overlay` does, if the whole file is valid with them, and return the changes.

    Raises
    ------
    InputError
        If the file is missing, a name is not in it, or a value is invalid; the file is then unchanged.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file. Run from the project's root, or give --params.")
    text, changes = overlay(path.read_text(encoding="utf-8"), values, str(path))
    with atomic_file(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")
        try:
            load_params(aside)
        except InputError as error:
            refused = f"{path} would not be valid, and stays as it was"
            raise InputError(str(error).replace(str(aside), refused)) from None
    return changes


def as_yaml(value: Any) -> str:
    """Format a value as YAML on one line.

    Examples
    --------
    >>> as_yaml(None), as_yaml("null"), as_yaml(["a", 1.5]), as_yaml([{"RandomRotation": {"degrees": 15}}])
    ('null', "'null'", '[a, 1.5]', '[{RandomRotation: {degrees: 15}}]')
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{as_yaml(key)}: {as_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_yaml, value))}]"
    if value is None:
        return "null"
    stream = io.StringIO()
    round_trip_yaml().dump([value], stream)  # in a list, so that what would end a list is quoted
    return stream.getvalue().strip()[1:-1]


def round_trip_yaml() -> YAML:
    """Return a reader and writer that keeps the quotes and the formats of values, and writes them on one line."""
    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.default_flow_style = True
    yaml.width = 4096
    return yaml


def _names(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all values that are not sections."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _edit(text: str, section: MappingNode, key: str, new: Any) -> tuple[int, int, str]:
    """Return where the text of a value starts and ends, and its replacement."""
    entry = next((entry for entry in section.value if entry[0].value == key), None)
    if section.flow_style and entry is None:
        end = section.end_mark.index - 1
        return end, end, f", {key}: {as_yaml(new)}"
    indent = section.value[0][0].start_mark.column
    if entry is None:
        end = _line_end(text, _end(section))
        return end, end, f"\n{' ' * indent}{key}:{_format(new, '', indent)}"
    name, value = entry
    if section.flow_style:
        return value.start_mark.index, value.end_mark.index, as_yaml(new)
    start = name.end_mark.index + 1
    end = max(len(text[: _end(value)].rstrip()), start)
    # The comment on a block list is beside its key, any other comment behind the value.
    beside = start if isinstance(value, CollectionNode) and not value.flow_style else end
    comment = "".join(text[beside : _line_end(text, beside)].partition("#")[1:])
    return start, _line_end(text, end), _format(new, comment, indent)


def _end(node: Node) -> int:
    """Return where a node ends, without the comments and empty lines that follow it."""
    while isinstance(node, CollectionNode) and not node.flow_style:
        node = node.value[-1][1] if isinstance(node, MappingNode) else node.value[-1]
    return int(node.end_mark.index)


def _line_end(text: str, index: int) -> int:
    return f"{text}\n".index("\n", index)


def _format(value: Any, comment: str, indent: int) -> str:
    """Format a value and the comment beside it: steps one per line, all other values on the key's line."""
    beside = f" {comment}" if comment else ""
    if not (isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value)):
        return f" {as_yaml(value)}{beside}"
    steps = [as_yaml(item)[1:-1] if len(item) == 1 else as_yaml(item) for item in value]
    return beside + "".join(f"\n{' ' * (indent + 2)}- {step}" for step in steps)
