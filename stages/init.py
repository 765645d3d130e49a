"""Look at your data, say what was understood, and point params.yaml at it; a command, no stage of the pipeline.

Reads   a folder of images or a .npy array; a sheet, or folders that are the classes; params.yaml
Writes  params.yaml (its comments stay), unless --dry-run is given
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from counterweight.base.command import program, run, wrapped
from counterweight.base.errors import InputError
from counterweight.base.params import load_params
from counterweight.dataset.label_sheet import open_rows
from counterweight.images.sources import FolderImages, open_images
from counterweight.onboarding.column_inference import Understood, understand
from counterweight.onboarding.params_file import apply_to, laid_over, shown
from counterweight.onboarding.suggested_params import Sizes, proposed, sizes_of

EXAMPLE = "data/example/images"


def options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog=program(), description=wrapped(__doc__ or ""), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="your folder, or a .npy array")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help=".xlsx or .csv; without it folders are the classes")
    parser.add_argument("--weights", default="IMAGENET1K_V1", metavar="NAME|FILE", help="of the features' ResNet-18")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="PATH")
    parser.add_argument("--dry-run", action="store_true", help="only print")
    parser.add_argument("--force", action="store_true", help="though params.yaml points at data of yours already")
    return parser.parse_args(argv)


def described(found: Understood, images: Sequence[str], sizes: Sizes, sheet: Path) -> list[str]:
    """What was understood, as lines."""
    rarest = list(found.counts)[-1]
    meant = {name for names in found.files for name in names}
    absent = sum(not names for names in found.files)
    shape = "0/1 columns" if isinstance(found.labels, list) else f"names in the column {found.labels}"
    return [
        f"images    {len(images):,}, of {sizes}",
        f"sheet     {sheet}: images in the column {found.image}, "
        + (f"split in {found.split}" if found.split else "no split, so one is made"),
        f"labels    {len(found.counts)}, {found.task}, {shape}: "
        + ", ".join(f"{name} {count:,}" for name, count in list(found.counts.items())[:12]),
        f"rarest    {rarest}, {found.counts[rarest]:,} images",
        f"odd       {len(set(images) - meant):,} images without a row, {absent:,} rows without an image",
        f"missing   {found.missing:,} label cells; {found.without:,} rows without a label",
    ]


def main(argv: Sequence[str] | None = None) -> str:
    """Run the command."""
    args = options(argv)
    sheet = args.sheet or args.images
    source = open_images(args.images)
    now = load_params(args.params).data.images
    if now not in (EXAMPLE, str(args.images)) and not (args.force or args.dry_run):
        raise InputError(f"{args.params}: data.images is {now} already. Give --force to point it elsewhere.")
    rows = open_rows(sheet, image="image", split=None, labels="class") if sheet.is_dir() else None
    table = rows.sheet if rows else open_rows(sheet, image="", split=None, labels="").sheet
    found = understand(table, source.find, in_order=not isinstance(source, FolderImages))
    names = source.names()
    sizes = sizes_of(source, names)
    lines = described(found, names, sizes, sheet)
    values: dict[str, Any] = proposed(
        found, sizes, images=str(args.images), sheet=str(sheet), weights=args.weights, count=len(names)
    )
    changes = (
        laid_over(args.params.read_text(encoding="utf-8"), values, str(args.params))[1]
        if args.dry_run
        else apply_to(args.params, values)
    )
    lines += [f"{name}: {shown(old)} -> {shown(new)}" for name, (old, new) in changes.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    done = "would change" if args.dry_run else "changed"
    return f"{len(changes)} params {done} in {args.params}. Next: dvc repro"


if __name__ == "__main__":
    run(main)
