"""Make the picture and the table of docs/augmenters.md anew: what each augmenter does to an image of the example.

    python -m docs.augmenters

The images are drawn as the example's are, so nothing needs to have been run.
"""

import io
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from counterweight.augmentation.imgaug_pipeline import Augmentation
from counterweight.images import codec
from counterweight.onboarding.params_file import shown
from data.example.drawing import make_images
from docs.parts import put_between

PROJECT = Path(__file__).parent.parent
# The example's own seed; its first images, of which some are shown.
SEED = 7
DRAWN = 52
SOURCES = ("0022.jpg", "0036.jpg", "0052.jpg")
# Colours of the picture's file, which many more would only make larger.
PALETTE = 256
COLUMNS = 2


@dataclass(frozen=True)
class Shown:
    """An augmenter with weak and with strong arguments, and which images it suits. A flip is never weak."""

    weak: Mapping[str, Any] | None
    strong: Mapping[str, Any]
    suits: str


AUGMENTERS = {
    "Fliplr": Shown(None, {"p": 1}, "what may stand either way round: scenes, animals. Not letters, left and right"),
    "Flipud": Shown(None, {"p": 1}, "what has no above: views from the air or through a microscope"),
    "Rotate": Shown(
        {"rotate": 8, "mode": "reflect"}, {"rotate": 40, "mode": "reflect"},
        "cameras that were held askew. Without `mode: reflect` the corners are black",
    ),
    "PerspectiveTransform": Shown({"scale": 0.05}, {"scale": 0.2}, "flat things seen from aside: signs, documents"),
    "ElasticTransformation": Shown(
        {"alpha": 10, "sigma": 4, "mode": "reflect"}, {"alpha": 40, "sigma": 4, "mode": "reflect"},
        "what bends: handwriting, tissue. A sigma below 1, as in `article`, only roughens",
    ),
    "Crop": Shown({"percent": 0.05}, {"percent": 0.25}, "things of any size and place. A strong one may cut them off"),
    "CropAndPad": Shown(
        {"percent": 0.1}, {"percent": -0.25},
        "the same; what is above 0 adds a border, what is below cuts. `pad_mode: reflect` leaves no black",
    ),
    "Cutout": Shown(
        {"nb_iterations": 1, "size": 0.2}, {"nb_iterations": 3, "size": 0.35},
        "things that others may cover. Not small things, which it hides",
    ),
    "Add": Shown({"value": 20}, {"value": 80}, "other exposures"),
    "Multiply": Shown({"mul": 0.85}, {"mul": 0.4}, "other exposures; what is dark stays dark"),
    "MultiplyBrightness": Shown({"mul": 0.85}, {"mul": 0.4}, "the same, and colours keep their tone"),
    "LinearContrast": Shown({"alpha": 0.8}, {"alpha": 0.3}, "haze, flat light"),
    "GammaContrast": Shown({"gamma": 1.3}, {"gamma": 3.0}, "screens and cameras that treat shadows otherwise"),
    "AverageBlur": Shown({"k": 3}, {"k": 9}, "images of which some are out of focus, and only then"),
    "MedianBlur": Shown({"k": 3}, {"k": 9}, "the same; edges stay, and fine lines go"),
    "GaussianBlur": Shown({"sigma": 1.0}, {"sigma": 4.0}, "the same"),
    "AdditiveGaussianNoise": Shown({"scale": 10}, {"scale": 50}, "sensors in bad light"),
    "SaltAndPepper": Shown({"p": 0.02}, {"p": 0.15}, "dust, dead pixels, bad scans"),
}  # fmt: skip


def table() -> str:
    """The augmenters as a Markdown table, one row each."""
    lines = ["| augmenter | weak | strong | suits |", "|---|---|---|---|"]
    for name, each in AUGMENTERS.items():
        weak = "" if each.weak is None else f"`{shown(each.weak)}`"
        lines.append(f"| `{name}` | {weak} | `{shown(each.strong)}` | {each.suits} |")
    return "\n".join(lines) + "\n"


def picture(path: Path) -> None:
    """A row for each augmenter: a source, and its weak and its strong change beside it."""
    sources = _sources()
    half = -(-len(AUGMENTERS) // COLUMNS)
    figure = Figure(figsize=(8.6, 0.92 * half), facecolor="white")
    grid = figure.subplots(
        half, 4 * COLUMNS, squeeze=False,
        gridspec_kw={"width_ratios": [1.5, 1, 1, 1] * COLUMNS, "wspace": 0.06, "hspace": 0.08, "left": 0.005,
                     "right": 0.995, "top": 0.965, "bottom": 0.005},
    )  # fmt: skip
    for cell in grid.flat:
        cell.set_axis_off()
    for i, (name, each) in enumerate(AUGMENTERS.items()):
        cells = grid[i % half, 4 * (i // half) : 4 * (i // half + 1)]
        words = "\n".join(_words(name))
        cells[0].text(0.98, 0.5, words, ha="right", va="center", fontsize=8, transform=cells[0].transAxes)
        source = sources[i % len(sources)]
        cells[1].imshow(source, interpolation="nearest")
        for cell, arguments in zip(cells[2:], (each.weak, each.strong), strict=True):
            if arguments is not None:
                cell.imshow(Augmentation([{name: arguments}])(source, SEED), interpolation="nearest")
    for column in range(COLUMNS):
        for place, title in enumerate(("source", "weak", "strong"), 1):
            grid[0, 4 * column + place].set_title(title, fontsize=8, pad=2)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    Image.open(drawn).convert("RGB").quantize(PALETTE, dither=Image.Dither.NONE).save(path, optimize=True)


def _sources() -> list[NDArray[np.uint8]]:
    """Images of the example."""
    with tempfile.TemporaryDirectory() as folder:
        make_images(Path(folder), train=DRAWN, test=0, seed=SEED)
        return [codec.read(Path(folder) / name) for name in SOURCES]


def _words(name: str) -> list[str]:
    """A name in its words: ``AdditiveGaussianNoise`` has three."""
    return "".join(f" {letter}" if letter.isupper() else letter for letter in name).split()


if __name__ == "__main__":
    guide = PROJECT / "docs/augmenters.md"
    put_between(guide, {"augmenters": table()})
    picture(PROJECT / "docs/augmenters.png")
