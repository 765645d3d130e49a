"""Values by dotted names, laid over params.yaml so that its comments and its layout stay."""

import io
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark, YAMLError
from ruamel.yaml.representer import RoundTripRepresenter

from counterweight.base.errors import InputError, raise_problems
from counterweight.base.outputs import file_aside
from counterweight.base.params import load_params

# Where a user adds names of their own.
OPEN = ("augment.pipelines",)


Changes = dict[str, tuple[Any, Any]]


class _Representer(RoundTripRepresenter):
    """Writes null where ruamel would leave the place empty."""


_Representer.add_representer(
    type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
)


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """Read settings as the command line has them.

    Parameters
    ----------
    settings : sequence of str
        A name, ``=`` and a value in YAML 1.2.

    Examples
    --------
    >>> parse_settings(["cluster.clusters=4", "evaluate.thresholds=[0.2, 0.5]", "augment.copies_per_image=null"])
    {'cluster.clusters': 4, 'evaluate.thresholds': [0.2, 0.5], 'augment.copies_per_image': None}
    >>> parse_settings(["cluster.clusters"])
    Traceback (most recent call last):
        ...
    counterweight.base.errors.InputError: -S: 1 problem
      'cluster.clusters' has no value. Write cluster.clusters=VALUE.
    """
    values, problems = {}, []
    for setting in settings:
        name, sign, text = setting.partition("=")
        if not sign:
            problems.append(f"'{name}' has no value. Write {name}=VALUE.")
            continue
        try:
            values[name] = _yaml().load(text)
        except YAMLError:
            problems.append(f"'{setting}' is not YAML. Give the value in quotes.")
    raise_problems(problems, "-S")
    return values


def laid_over(text: str, values: Mapping[str, Any], where: str) -> tuple[str, Changes]:
    r"""Lay values over the text of a params file.

    Parameters
    ----------
    text : str
        The file, YAML 1.2.
    values : mapping of str to value
        New values by dotted names.
    where : str
        What the text is called in messages.

    Returns
    -------
    text : str
        With the new values; comments and the layout of the rest stay.
    changes : dict of str to (old, new)
        The values that were not so before.

    Raises
    ------
    InputError
        If a name is not in the file.

    Examples
    --------
    >>> params = "cluster: # k-means\n  clusters: 5 # of all\n"
    >>> text, changes = laid_over(params, {"cluster.clusters": 12}, "params.yaml")
    >>> print(text, end="")
    cluster: # k-means
      clusters: 12 # of all
    >>> changes
    {'cluster.clusters': (5, 12)}
    """
    yaml = _yaml()
    try:
        tree = yaml.load(text)
    except YAMLError as error:
        raise InputError(f"{where}: not YAML: {error}. Correct the file.") from None
    known = list(_names(tree))
    unknown = [name for name in values if name not in known and name.rpartition(".")[0] not in OPEN]
    if unknown:
        near = [match for name in unknown for match in get_close_matches(name, known, 1)]
        hint = f", but {', '.join(near)}" if near else ""
        raise InputError(f"{where} has no {', '.join(unknown)}{hint}. Correct the name, or add it to the file.")
    changes: Changes = {}
    for name, new in values.items():
        *sections, key = name.split(".")
        section = tree
        for part in sections:
            section = section[part]
        old = section.get(key)
        if key not in section or old != new:
            changes[name] = (old, new)
            _replace(section, key, new)
    stream = io.StringIO()
    yaml.dump(tree, stream)
    # ruamel puts two spaces and more before the comment of a list that begins on the next line.
    return re.sub(r"^( *\w+:) {2,}#", r"\1 #", stream.getvalue(), flags=re.MULTILINE), changes


def apply_to(path: Path, values: Mapping[str, Any]) -> Changes:
    """Lay values over a params file, and replace it only if the whole file is valid then.

    Parameters
    ----------
    path : Path
        params.yaml.
    values : mapping of str to value
        New values by dotted names.

    Returns
    -------
    dict of str to (old, new)
        The values that changed.

    Raises
    ------
    InputError
        If the file is missing, a name is not in it, or a value is refused; the file stays as it was.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file. Run from the project's root, or give --params.")
    text, changes = laid_over(path.read_text(encoding="utf-8"), values, str(path))
    with file_aside(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")
        try:
            load_params(aside)
        except InputError as error:
            refused = f"{path} would not be valid, and stays as it was"
            raise InputError(str(error).replace(str(aside), refused)) from None
    return changes


def shown(value: Any) -> str:
    """A value as YAML on one line.

    Examples
    --------
    >>> shown(None), shown(True), shown(["a", 1.5]), shown([{"RandomRotation": {"degrees": 15}}])
    ('null', 'true', '[a, 1.5]', '[{RandomRotation: {degrees: 15}}]')
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(shown, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _yaml() -> YAML:
    yaml = YAML(typ="rt", pure=True)
    yaml.Representer = _Representer
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    return yaml


def _names(tree: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of all values that are no section."""
    return [
        name
        for key, value in tree.items()
        for name in (_names(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [f"{prefix}{key}"])
    ]


def _replace(section: CommentedMap, key: str, value: Any) -> None:
    """Set a value, and keep the comment on its line."""
    beside = section.ca.items.get(key, [None] * 4)[2]
    old = section.get(key)
    if beside is None and isinstance(old, CommentedSeq) and old.ca.comment:
        beside = old.ca.comment[0]
    section[key] = _styled(value)
    if beside is None:
        return
    # The comment moves with the end of its line; what follows it, an empty line, belongs to the same token.
    beside.start_mark = CommentMark(0)
    if isinstance(section[key], CommentedSeq):
        section[key].ca.comment = [beside, None]
        section.ca.items.pop(key, None)
    else:
        section.ca.items[key] = [None, None, beside, None]


def _styled(value: Any) -> Any:
    """Steps stand below each other, all other lists and mappings on one line."""
    if isinstance(value, Mapping):
        mapping = CommentedMap({key: _styled(item) for key, item in value.items()})
        mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list):
        items = CommentedSeq([_styled(item) for item in value])
        if items and all(isinstance(item, CommentedMap) for item in items):
            for item in items:
                item.fa.set_block_style()
        else:
            items.fa.set_flow_style()
        return items
    return value
