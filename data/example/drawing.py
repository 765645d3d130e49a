"""Draw the images of the example.

The dataset is imbalanced in two ways: it has five looks, from plain paper (half of all images) to chalk on a board (one
in twenty), and ten digits whose frequency falls steeply. Each look prefers certain digits. The train images, the test
images and the images of `data.example.pretrain` show different handwritten samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

LABELS = tuple(range(10))
# Which part a handwritten sample belongs to, by its number modulo 5.
PARTS = ("test", "pretraining", "train", "train", "train")
# Height and width in pixels; the third and fourth are thumbnails.
SHAPES = ((96, 96), (72, 128), (40, 40), (36, 56), (128, 96), (160, 120))
SHAPE_SHARES = (0.3, 0.2, 0.1, 0.1, 0.2, 0.1)

Pixels = NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True)
class Look:
    """Ground and ink of an image.

    Attributes
    ----------
    share : float
        Fraction of all images.
    ground, ink : tuple of int
        RGB colors.
    texture : callable
        Returns values from about -1 to 1 for a height, a width and a generator; they are added to the ground.
    likes : tuple of int
        Digits that are five times as likely as on other grounds.
    """

    share: float
    ground: tuple[int, int, int]
    ink: tuple[int, int, int]
    texture: Callable[[int, int, Rng], Pixels]
    likes: tuple[int, ...]


@dataclass(frozen=True)
class Drawn:
    """File, split and digits of an image."""

    file: str
    split: str
    digits: tuple[int, ...]


def _grain(height: int, width: int, rng: Rng) -> Pixels:
    return 0.3 * rng.standard_normal((height, width))


def _lines(height: int, width: int, rng: Rng) -> Pixels:
    period = height / rng.uniform(5, 8)
    waves: Pixels = np.sin(np.arange(height) * 2 * np.pi / period)
    return np.repeat(waves[:, None], width, axis=1)


def _stripes(height: int, width: int, rng: Rng) -> Pixels:
    y, x = np.mgrid[:height, :width]
    waves: Pixels = np.sin((x + y) * 2 * np.pi / (height / rng.uniform(5, 8)))
    return waves


def _checks(height: int, width: int, rng: Rng) -> Pixels:
    cell = max(int(height / rng.uniform(5, 8)), 2)
    y, x = np.mgrid[:height, :width]
    squares: Pixels = ((x // cell + y // cell) % 2) * 2.0 - 1.0
    return squares


def _smear(height: int, width: int, rng: Rng) -> Pixels:
    coarse = Image.fromarray(rng.standard_normal((6, 6)).astype(np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)


LOOKS = (
    Look(0.50, (235, 228, 210), (30, 40, 90), _grain, (0, 1)),
    Look(0.22, (190, 212, 236), (110, 25, 30), _lines, (3, 2)),
    Look(0.14, (226, 190, 120), (60, 40, 20), _checks, (4, 5)),
    Look(0.09, (150, 190, 140), (20, 30, 20), _stripes, (6, 7)),
    Look(0.05, (40, 62, 52), (235, 235, 225), _smear, (8, 9)),
)
# Each digit is 0.78 times as likely as the one before, apart from the preferences of looks.
FREQUENCIES = 0.78 ** np.arange(len(LABELS))


def make_images(folder: Path, *, train: int, test: int, seed: int) -> list[Drawn]:
    """Draw a dataset. The same arguments give the same bytes.

    Parameters
    ----------
    folder : Path
        Output folder.
    train, test : int
        Number of images per split.
    seed : int
        Seed of all random choices.

    Returns
    -------
    list of Drawn
        Images in the order of their file names.
    """
    rng = np.random.default_rng(seed)
    samples_of = {split: handwriting(split) for split in ("train", "test")}
    drawn = []
    for i, split in enumerate(["train"] * train + ["test"] * test):
        look = LOOKS[rng.choice(len(LOOKS), p=[look.share for look in LOOKS])]
        odds = FREQUENCIES * np.where(np.isin(LABELS, look.likes), 5.0, 1.0)
        digits = rng.choice(LABELS, size=rng.integers(1, 4), replace=False, p=odds / odds.sum())
        samples = [rng.choice(samples_of[split][digit]) for digit in digits]
        height, width = SHAPES[rng.choice(len(SHAPES), p=SHAPE_SHARES)]
        file = f"{i + 1:04d}.jpg"
        Image.fromarray(draw(samples, look, height, width, rng)).save(folder / file, quality=90)
        drawn.append(Drawn(file, split, tuple(sorted(int(digit) for digit in digits))))
    return drawn


def handwriting(part: str) -> list[Pixels]:
    """Return the handwritten samples of a part of `PARTS`.

    The parts share no sample, so that no network is evaluated on a sample that it was trained on.

    Returns
    -------
    list of array of float, shape (n_samples, 8, 8)
        Samples of each digit, ink from 0 to 16.
    """
    digits = load_digits()
    own = np.array(PARTS)[np.arange(len(digits.target)) % len(PARTS)] == part
    return [digits.images[own & (digits.target == digit)] for digit in LABELS]


def draw(samples: list[Pixels], look: Look, height: int, width: int, rng: Rng) -> NDArray[np.uint8]:
    """Draw digits side by side on a ground.

    Parameters
    ----------
    samples : list of array of float, shape (8, 8)
        Digits in scikit-learn's format, ink from 0 to 16.
    look : Look
        Ground and ink.
    height, width : int
        Size of the image in pixels.
    rng : Generator
        Source of the ground's shade and of the digits' positions, sizes and angles.

    Returns
    -------
    array of uint8, shape (height, width, 3)
        The image in RGB.
    """
    ground = np.array(look.ground) + rng.normal(0, 8, 3) + 14 * look.texture(height, width, rng)[..., None]
    cell = width / len(samples)
    ink = np.zeros((height, width))
    for i, sample in enumerate(samples):
        size = int(min(cell, height) * rng.uniform(0.75, 0.95))
        glyph = Image.fromarray((sample / 16 * 255).astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
        turned = np.asarray(glyph.rotate(rng.uniform(-12, 12), Image.Resampling.BILINEAR), dtype=np.float64) / 255
        top = int(rng.integers(0, height - size + 1))
        left = int(i * cell + rng.uniform(0, 1) * (cell - size))
        ink[top : top + size, left : left + size] = np.maximum(ink[top : top + size, left : left + size], turned)
    blended = ground * (1 - ink[..., None]) + np.array(look.ink) * ink[..., None]
    return np.clip(blended, 0, 255).round().astype(np.uint8)
