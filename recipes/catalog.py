"""The recipes there are, and what each sets."""

from pathlib import Path
from typing import Any

from counterweight.base.errors import InputError
from counterweight.base.params import read_yaml

FOLDER = Path(__file__).parent
# How the names of lists of approaches begin, which are no recipes.
APPROACHES = "approaches"


def recipe_names() -> list[str]:
    """Names of the recipes, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if not path.stem.startswith(APPROACHES))


def recipe_values(name: str) -> dict[str, Any]:
    """Read a recipe.

    Parameters
    ----------
    name : str
        One of `recipe_names`.

    Returns
    -------
    dict of str to value
        New values by dotted names, such as ``cluster.clusters``.

    Raises
    ------
    InputError
        If there is no such recipe.
    """
    if name not in recipe_names():
        raise InputError(f"'{name}' is not a recipe. Choose one of {', '.join(recipe_names())}.")
    return dict(read_yaml(FOLDER / f"{name}.yaml", "another recipe"))
