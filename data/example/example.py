"""Make the bundled dataset: real handwritten digits, one to three per image, on colored and textured grounds.

Reads   scikit-learn's bundled digits (E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI 1998)
Writes  data/example/images/, data/example/labels.xlsx
Params  example
"""

from collections.abc import Sequence
from pathlib import Path

from ruamel.yaml import YAML

from counterweight.base.command import parse_options, run
from counterweight.base.outputs import atomic_folder
from counterweight.sheets.sheet_writer import write_sheet
from counterweight.sheets.table_header import Cell
from data.example.drawing import LABELS, make_images


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "images", "sheet")
    params = YAML(typ="safe", pure=True).load(args.params)["example"]

    with atomic_folder(args.images) as aside:
        drawn = make_images(aside, train=params["train"], test=params["test"], seed=params["seed"])
    rows: list[list[Cell]] = [
        [
            image.file,
            image.split,
            ",".join(map(str, image.digits)),
            ",".join(str(int(digit in image.digits)) for digit in LABELS),
        ]
        for image in drawn
    ]
    write_sheet(["id", "split", "target", "target_class"], rows, Path(args.sheet), "xlsx")

    return f"{len(drawn)} images of {len(LABELS)} digits"


if __name__ == "__main__":
    run(main)
