"""Set the params of a recipe in params.yaml: `python -m recipes exam`; without a name, list the recipes."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from counterweight.base.errors import InputError, raise_problems
from counterweight.onboarding.params_file import apply_overlay, as_yaml, round_trip_yaml
from recipes.catalog import recipe_names, recipe_values


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m recipes", description=__doc__)
    parser.add_argument("name", nargs="?", help=f"one of {', '.join(recipe_names())}")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="PATH")
    parser.add_argument(
        "-S", dest="settings", action="append", default=[], metavar="NAME=VALUE", help="a further param, as YAML"
    )
    args = parser.parse_args(argv)
    if args.name is None:
        print("\n".join(recipe_names()))
        return 0
    try:
        values = recipe_values(args.name) | parse_settings(args.settings)
        changes = apply_overlay(args.params, values)
    except InputError as error:
        print(f"recipes: {error}", file=sys.stderr)
        return 1
    for name, (old, new) in changes.items():
        print(f"{name}: {as_yaml(old)} -> {as_yaml(new)}")
    print(f"{len(changes)} of {len(values)} values changed in {args.params}")
    return 0


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """Parse settings from the command line, each ``NAME=VALUE`` with the value in YAML 1.2.

    Examples
    --------
    >>> parse_settings(["cluster.n_clusters=4", "evaluate.thresholds=[0.2, 0.5]", "augment.copies_per_image=null"])
    {'cluster.n_clusters': 4, 'evaluate.thresholds': [0.2, 0.5], 'augment.copies_per_image': None}
    >>> parse_settings(["cluster.n_clusters"])
    Traceback (most recent call last):
        ...
    counterweight.base.errors.InputError: -S: 1 problem
      'cluster.n_clusters' has no value. Write cluster.n_clusters=VALUE.
    """
    values, problems = {}, []
    for setting in settings:
        name, sign, text = setting.partition("=")
        if not sign:
            problems.append(f"'{name}' has no value. Write {name}=VALUE.")
            continue
        try:
            values[name] = round_trip_yaml().load(text)
        except YAMLError:
            problems.append(f"'{setting}' is not YAML. Give the value in quotes.")
    raise_problems(problems, "-S")
    return values


if __name__ == "__main__":
    sys.exit(main())
