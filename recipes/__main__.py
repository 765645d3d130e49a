"""Set the params of a recipe in params.yaml: `python -m recipes exam`; without a name, list the recipes."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from counterweight.base.errors import InputError
from counterweight.onboarding.params_file import apply_overlay, as_yaml, parse_settings
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


if __name__ == "__main__":
    sys.exit(main())
