"""The recipes and their settings."""

from pathlib import Path
from typing import Any

from counterweight.base.errors import InputError
from counterweight.base.params import read_yaml

_FOLDER = Path(__file__).parent


def recipe_names() -> list[str]:
    """Return the sorted names of the recipes: the YAML files here, except for lists of approaches."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml") if not path.stem.startswith("approaches"))


def recipe_values(name: str) -> dict[str, Any]:
    """Read a recipe.

    Parameters
    ----------
    name : str
        One of `recipe_names`.

    Returns
    -------
    dict of str to value
        Values by dotted names, such as ``cluster.n_clusters``.

    Raises
    ------
    InputError
        If there is no such recipe.
    """
    if name not in recipe_names():
        raise InputError(f"'{name}' is not a recipe. Choose one of {', '.join(recipe_names())}.")
    return dict(read_yaml(_FOLDER / f"{name}.yaml", "another recipe"))
