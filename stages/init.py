"""Inspect your data, print what was inferred, and set params.yaml accordingly; a command, not a pipeline stage.

Reads   a folder of images or a .npy array; a sheet or class folders; params.yaml
Writes  params.yaml (its comments stay), unless --dry-run is given
Obeys   COUNTERWEIGHT_WORKERS
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from counterweight.base.command import build_parser, run, worker_count
from counterweight.base.errors import InputError
from counterweight.base.params import load_params
from counterweight.images.sources import open_images
from counterweight.onboarding.data_inspection import describe, inspect_sheet
from counterweight.onboarding.next_steps import next_steps
from counterweight.onboarding.params_file import apply_overlay, as_yaml, overlay
from counterweight.onboarding.suggested_params import sample_sizes, suggest_params
from counterweight.runtime.dvc_cache import dvc_cache_folder
from counterweight.sheets.folder_sheets import sheet_in

EXAMPLE = "data/example/images"


def options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = build_parser(__doc__)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="your folder or .npy array")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="default: the folder's own, or its class folders")
    parser.add_argument(
        "--weights", default="IMAGENET1K_V1", metavar="NAME|FILE", help="weights of the feature network, a ResNet-18"
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="PATH")
    parser.add_argument("--dry-run", action="store_true", help="print the changes, but do not write them")
    parser.add_argument("--force", action="store_true", help="even if params.yaml already points at your data")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> str:
    """Run the command."""
    args = options(argv)
    sheet = args.sheet or sheet_in(args.images) or args.images
    params = load_params(args.params)
    data = params.data
    source = open_images(args.images, links := [dvc_cache_folder(Path()), *map(Path, data.follow_links)])
    if data.images not in (EXAMPLE, str(args.images)) and not (args.force or args.dry_run):
        raise InputError(f"{args.params}: data.images is already {data.images}. Give --force to change it.")
    found = inspect_sheet(sheet, source, links)
    names = source.names()
    sizes = sample_sizes(source, names)
    values = suggest_params(
        found.schema, sizes, images=str(args.images), sheet=str(sheet), weights=args.weights, count=len(names),
        worksheet=found.worksheet,
    )  # fmt: skip
    text = args.params.read_text(encoding="utf-8")
    changes = overlay(text, values, str(args.params))[1] if args.dry_run else apply_overlay(args.params, values)
    lines = describe(found, names, sizes, sheet)
    lines += [f"{name}: {as_yaml(old)} -> {as_yaml(new)}" for name, (old, new) in changes.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    steps = next_steps(len(found.schema.matched), len(params.train.arms) * values["train.repeats"], worker_count())
    verb = "would change" if args.dry_run else "changed"
    return "\n".join([*steps, f"{len(changes)} params {verb} in {args.params}"])


if __name__ == "__main__":
    run(main)
