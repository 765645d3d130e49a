"""Inspect your data, print what was inferred, and set params.yaml accordingly; a command, not a pipeline stage.

Reads   a folder of images or a .npy array; a sheet or class folders; params.yaml
Writes  params.yaml (its comments stay), unless --dry-run is given
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from counterweight.base.command import build_parser, run
from counterweight.base.errors import InputError, name_some
from counterweight.base.params import load_params
from counterweight.dataset.label_sheet import open_label_sheet
from counterweight.images.folder_images import FolderImages
from counterweight.images.sources import open_images
from counterweight.onboarding.column_inference import SheetSchema, infer_schema
from counterweight.onboarding.params_file import apply_overlay, as_yaml, overlay
from counterweight.onboarding.suggested_params import Sizes, sample_sizes, suggest_params
from counterweight.runtime.dvc_cache import dvc_cache_folder

EXAMPLE = "data/example/images"


def options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = build_parser(__doc__)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="your folder or .npy array")
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE", help=".xlsx or .csv; default: the folders are the classes"
    )
    parser.add_argument(
        "--weights", default="IMAGENET1K_V1", metavar="NAME|FILE", help="weights of the feature network, a ResNet-18"
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="PATH")
    parser.add_argument("--dry-run", action="store_true", help="print the changes, but do not write them")
    parser.add_argument("--force", action="store_true", help="even if params.yaml already points at your data")
    return parser.parse_args(argv)


def describe(schema: SheetSchema, images: Sequence[str], sizes: Sizes, sheet: Path) -> list[str]:
    """Return the lines that show what was inferred."""
    rarest = list(schema.counts)[-1]
    matched = {name for names in schema.files for name in names}
    absent = sum(not names for names in schema.files)
    odd = name_some([f"{count:,} '{cell}'" for cell, count in schema.odd_splits.items()])
    shape = "0/1 columns" if isinstance(schema.labels, list) else f"names in the column {schema.labels}"
    return [
        f"images    {len(images):,}, {sizes}",
        f"sheet     {sheet}: images in the column {schema.image}, "
        + (f"split in {schema.split}" if schema.split else "no split, so one will be made"),
        *([f"splits    {odd} say no split. Correct these cells before dvc repro"] if odd else []),
        f"labels    {len(schema.counts)}, {schema.task}, {shape}: "
        + ", ".join(f"{name} {count:,}" for name, count in list(schema.counts.items())[:12]),
        f"rarest    {rarest}, {schema.counts[rarest]:,} images",
        f"unmatched {len(set(images) - matched):,} images without a row, {absent:,} rows without an image",
        f"missing   {schema.missing:,} label cells; {schema.without:,} rows without a label",
    ]


def main(argv: Sequence[str] | None = None) -> str:
    """Run the command."""
    args = options(argv)
    sheet = args.sheet or args.images
    data = load_params(args.params).data
    source = open_images(args.images, links := [dvc_cache_folder(Path()), *map(Path, data.follow_links)])
    if data.images not in (EXAMPLE, str(args.images)) and not (args.force or args.dry_run):
        raise InputError(f"{args.params}: data.images is already {data.images}. Give --force to change it.")
    columns = {"image": "image", "labels": "class"} if sheet.is_dir() else {"image": "", "labels": ""}
    table = open_label_sheet(sheet, split=None, links=links, **columns).sheet
    schema = infer_schema(table, source.find, in_order=not isinstance(source, FolderImages))
    names = source.names()
    sizes = sample_sizes(source, names)
    values = suggest_params(
        schema, sizes, images=str(args.images), sheet=str(sheet), weights=args.weights, count=len(names)
    )
    if args.dry_run:
        changes = overlay(args.params.read_text(encoding="utf-8"), values, str(args.params))[1]
    else:
        changes = apply_overlay(args.params, values)
    lines = describe(schema, names, sizes, sheet)
    lines += [f"{name}: {as_yaml(old)} -> {as_yaml(new)}" for name, (old, new) in changes.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    verb = "would change" if args.dry_run else "changed"
    return f"{len(changes)} params {verb} in {args.params}. Next: dvc repro"


if __name__ == "__main__":
    run(main)
