"""Any params.yaml yields params, or an error that names the file."""

import io
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from counterweight.base.errors import InputError
from counterweight.base.params import load_params
from tests.fuzz.cases import many_cases
from tests.workspace import PROJECT

TEXT = (PROJECT / "params.yaml").read_text(encoding="utf-8")

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.integers(-2, 9),
        st.floats(),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12),
        st.sampled_from(["clusters", "labels", "cnn7", "resnet18", "IMAGENET1K_V1", "drop", "cross_entropy", "train"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdp_", max_size=5), inner, max_size=3),
    max_leaves=4,
)


def key_paths(content: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path to every key and item of the file."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path for key, value in items for path in [(*above, key), *key_paths(value, (*above, key))]]


PATHS = key_paths(YAML(typ="safe", pure=True).load(TEXT))


def load(folder: Path, text: str) -> None:
    """Load params, or check that the error names the file."""
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        result = repr(load_params(path))
    except InputError as error:
        result = str(error)
    assert result.startswith((str(path), "Params("))


@given(
    changes=st.lists(
        st.tuples(st.sampled_from(PATHS), st.sampled_from(["set", "set", "delete", "rename"]), VALUES),
        min_size=1,
        max_size=3,
    )
)
@many_cases
def test_any_value_of_any_key_yields_params_or_an_error(changes: list[Any], tmp_path: Path) -> None:
    content = YAML(typ="safe", pure=True).load(TEXT)
    for path, action, value in changes:
        parent, key = content, path[-1]
        for step in path[:-1]:
            try:
                parent = parent[step]
            except (KeyError, IndexError, TypeError):  # Another change has removed it.
                parent = None
        exists = key in parent if isinstance(parent, dict) else isinstance(parent, list) and isinstance(key, int)
        if not exists:
            continue
        if isinstance(parent, list):
            parent[key : key + 1] = [] if action == "delete" else [value]
        elif action == "set":
            parent[key] = value
        else:
            old = parent.pop(key)
            if action == "rename":
                parent[f"{key}s"] = old
    buffer = io.StringIO()
    YAML(typ="safe", pure=True).dump(content, buffer)
    load(tmp_path, buffer.getvalue())


@given(start=st.integers(0, len(TEXT)), length=st.integers(0, 40), piece=st.text(max_size=12))
@many_cases
def test_any_damage_to_the_file_yields_params_or_an_error(start: int, length: int, piece: str, tmp_path: Path) -> None:
    load(tmp_path, TEXT[:start] + piece + TEXT[start + length :])
