"""Regenerate the picture and the table of docs/augmenters.md, which show each augmenter on an image of the example.

    python -m docs.augmenters

The images are drawn by the example's own code, so no stage has to be run first.
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

from counterweight.augmentation.imgaug_pipeline import AugmentationPipeline
from counterweight.images import codec
from counterweight.onboarding.params_file import as_yaml
from data.example.drawing import make_images
from docs.parts import put_between

PROJECT = Path(__file__).parent.parent
# The example's own seed, the number of images to draw with it, and those that are shown.
SEED = 7
N_DRAWN = 52
SOURCES = ("0022.jpg", "0036.jpg", "0052.jpg")
N_COLORS = 256  # Of the picture; more would enlarge its file without a visible difference.
COLUMNS = 2


@dataclass(frozen=True)
class Shown:
    """Weak and strong arguments of an augmenter, and the images that it suits; flips have no weak form."""

    weak: Mapping[str, Any] | None
    strong: Mapping[str, Any]
    suits: str


AUGMENTERS = {
    "Fliplr": Shown(None, {"p": 1}, "scenes, animals. Not letters, or labels that depend on left and right"),
    "Flipud": Shown(None, {"p": 1}, "images without an up: aerial views, microscopy"),
    "Rotate": Shown(
        {"rotate": 8, "mode": "reflect"}, {"rotate": 40, "mode": "reflect"},
        "tilted cameras. Without `mode: reflect` the corners are black",
    ),
    "Affine": Shown(
        {"rotate": 6, "shear": 4, "mode": "reflect"}, {"scale": 0.6, "rotate": 20, "shear": 20, "mode": "edge"},
        "objects of varying size, position and angle. A scale below 1 makes them smaller and cuts nothing off",
    ),
    "PerspectiveTransform": Shown({"scale": 0.05}, {"scale": 0.2}, "flat objects seen at an angle: signs, documents"),
    "ElasticTransformation": Shown(
        {"alpha": 10, "sigma": 4, "mode": "reflect"}, {"alpha": 40, "sigma": 4, "mode": "reflect"},
        "what bends: handwriting, tissue. A sigma below 1, as in `article`, only adds grain",
    ),
    "Crop": Shown({"percent": 0.05}, {"percent": 0.25}, "objects of varying size and position. May cut them off"),
    "CropAndPad": Shown(
        {"percent": 0.1}, {"percent": -0.25},
        "the same; above 0 pads, below 0 crops. `pad_mode: reflect` leaves no black border",
    ),
    "Cutout": Shown(
        {"nb_iterations": 1, "size": 0.2}, {"nb_iterations": 3, "size": 0.35},
        "objects that may be occluded. Not small objects, which it hides",
    ),
    "Add": Shown({"value": 20}, {"value": 80}, "varying exposure"),
    "Multiply": Shown({"mul": 0.85}, {"mul": 0.4}, "varying exposure; black stays black"),
    "MultiplyBrightness": Shown({"mul": 0.85}, {"mul": 0.4}, "the same, with the hues unchanged"),
    "LinearContrast": Shown({"alpha": 0.8}, {"alpha": 0.3}, "haze, flat light"),
    "GammaContrast": Shown({"gamma": 1.3}, {"gamma": 3.0}, "screens and cameras that render shadows differently"),
    "AverageBlur": Shown({"k": 3}, {"k": 9}, "only images of which some are out of focus"),
    "MedianBlur": Shown({"k": 3}, {"k": 9}, "the same; edges stay sharp, fine lines vanish"),
    "GaussianBlur": Shown({"sigma": 1.0}, {"sigma": 4.0}, "the same"),
    "AdditiveGaussianNoise": Shown({"scale": 10}, {"scale": 50}, "sensors in low light"),
    "SaltAndPepper": Shown({"p": 0.02}, {"p": 0.15}, "dust, dead pixels, poor scans"),
    "Sometimes": Shown(
        {"p": 0.5, "then_list": [{"Add": {"value": 40}}]}, {"p": 1, "then_list": [{"Add": {"value": 80}}]},
        "steps that only some copies should get",
    ),
    "OneOf": Shown(
        {"children": [{"Rotate": {"rotate": 8}}, {"Add": {"value": 30}}]},
        {"children": [{"Rotate": {"rotate": 40}}, {"Add": {"value": 80}}]},
        "steps of which each copy gets one",
    ),
    "SomeOf": Shown(
        {"n": 1, "children": [{"Fliplr": {"p": 1}}, {"Multiply": {"mul": 0.8}}]},
        {"n": 2, "children": [{"Fliplr": {"p": 1}}, {"Multiply": {"mul": 0.4}}]},
        "steps of which each copy gets some, so that not all changes add up",
    ),
}  # fmt: skip


def table() -> str:
    """Return the augmenters as a Markdown table."""
    lines = ["| augmenter | weak | strong | suits |", "|---|---|---|---|"]
    for name, shown in AUGMENTERS.items():
        weak = "" if shown.weak is None else f"`{as_yaml(shown.weak)}`"
        lines.append(f"| `{name}` | {weak} | `{as_yaml(shown.strong)}` | {shown.suits} |")
    return "\n".join(lines) + "\n"


def picture(path: Path) -> None:
    """Draw a row per augmenter: a source, and its weak and strong change beside it."""
    sources = _sources()
    rows = -(-len(AUGMENTERS) // COLUMNS)
    figure = Figure(figsize=(8.6, 0.92 * rows), facecolor="white")
    grid = figure.subplots(
        rows, 4 * COLUMNS, squeeze=False,
        gridspec_kw={"width_ratios": [1.5, 1, 1, 1] * COLUMNS, "wspace": 0.06, "hspace": 0.08, "left": 0.005,
                     "right": 0.995, "top": 0.965, "bottom": 0.005},
    )  # fmt: skip
    for axes in grid.flat:
        axes.set_axis_off()
    for i, (name, shown) in enumerate(AUGMENTERS.items()):
        label, *cells = grid[i % rows, 4 * (i // rows) : 4 * (i // rows + 1)]
        label.text(0.98, 0.5, _words(name), ha="right", va="center", fontsize=8, transform=label.transAxes)
        source = sources[i % len(sources)]
        cells[0].imshow(source, interpolation="nearest")
        for axes, arguments in zip(cells[1:], (shown.weak, shown.strong), strict=True):
            if arguments is not None:
                axes.imshow(AugmentationPipeline([{name: arguments}])(source, SEED), interpolation="nearest")
    for column in range(COLUMNS):
        for i, title in enumerate(("source", "weak", "strong"), 1):
            grid[0, 4 * column + i].set_title(title, fontsize=8, pad=2)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    Image.open(drawn).convert("RGB").quantize(N_COLORS, dither=Image.Dither.NONE).save(path, optimize=True)


def _sources() -> list[NDArray[np.uint8]]:
    """The images of the example that are shown."""
    with tempfile.TemporaryDirectory() as folder:
        make_images(Path(folder), train=N_DRAWN, test=0, seed=SEED)
        return [codec.read(Path(folder) / name) for name in SOURCES]


def _words(name: str) -> str:
    """The words of a name, one per line: ``AdditiveGaussianNoise`` has three."""
    return "".join(f"\n{letter}" if letter.isupper() else letter for letter in name).strip()


if __name__ == "__main__":
    put_between(PROJECT / "docs/augmenters.md", {"augmenters": table()})
    picture(PROJECT / "docs/augmenters.png")
