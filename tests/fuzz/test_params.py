"""Any params.yaml ends in params, or in an error that names the file; never in anything else."""

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


def places(content: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every key and item of the file."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [way for key, value in items for way in [(*above, key), *places(value, (*above, key))]]


PLACES = places(YAML(typ="safe", pure=True).load(TEXT))


def load(folder: Path, text: str) -> None:
    """Load params, or see that the error is one of ours and names the file."""
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        said = repr(load_params(path))
    except InputError as error:
        said = str(error)
    assert said.startswith((str(path), "Params("))


@given(
    changes=st.lists(
        st.tuples(st.sampled_from(PLACES), st.sampled_from(["set", "set", "delete", "rename"]), VALUES),
        min_size=1,
        max_size=3,
    )
)
@many_cases
def test_any_value_in_any_place_ends_in_params_or_in_an_error(changes: list[Any], tmp_path: Path) -> None:
    content = YAML(typ="safe", pure=True).load(TEXT)
    for way, what, value in changes:
        place = content
        for key in way[:-1]:
            try:
                place = place[key]
            except (KeyError, IndexError, TypeError):  # Another change has taken it away.
                place = None
        fits = way[-1] in place if isinstance(place, dict) else isinstance(place, list) and isinstance(way[-1], int)
        if not fits:
            continue
        if isinstance(place, list):
            place[way[-1] : way[-1] + 1] = [] if what == "delete" else [value]
        elif what == "set":
            place[way[-1]] = value
        else:
            old = place.pop(way[-1])
            if what == "rename":
                place[f"{way[-1]}s"] = old
    buffer = io.StringIO()
    YAML(typ="safe", pure=True).dump(content, buffer)
    load(tmp_path, buffer.getvalue())


@given(start=st.integers(0, len(TEXT)), length=st.integers(0, 40), piece=st.text(max_size=12))
@many_cases
def test_any_damage_to_the_file_ends_in_params_or_in_an_error(
    start: int, length: int, piece: str, tmp_path: Path
) -> None:
    load(tmp_path, TEXT[:start] + piece + TEXT[start + length :])
