"""How often the intervals of macro F1 hold the truth, on simulated test scores of two arms with a known difference.

    python -m benchmarks.coverage

The score of an image for a label is the sum of what it shows (nothing without the label), of a difficulty that all
networks share, and of noise of the arm and of each network. How clearly a network sees a label differs with its
training seed. F1 on infinitely many images is then a formula, its mean over infinitely many seeds a sum, and the arm
sees its labels better by just what adds the wanted difference. The table goes into benchmarks/README.md.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr
from threadpoolctl import threadpool_limits

from benchmarks.common import measured_by, write_section
from counterweight.metrics.bootstrap import Interval, macro_f1_intervals, verdict

N_RUNS, N_SAMPLES = 1_000, 500
EFFECTS, SEEDS, IMAGES = (0.0, 0.02, 0.05), (1, 2, 3, 5), (200, 1_000)
# How far seeds move apart how clearly a network sees its labels: as usual, and twice as far.
SEED_SDS = (0.072, 0.144)
PREVALENCE = np.array([0.4, 0.3, 0.2, 0.1, 0.05])
# How clearly the baseline sees a label, and the score from which it says so.
SIGNAL, THRESHOLD = 2.0, 1.3
# Parts of the variance of a score: of the image, of image and arm, of image and network.
SHARED, OF_ARM, OF_NETWORK = 0.7, 0.1, 0.2
# Part of the seeds' variance that is common to all labels of a network.
COMMON = 0.5


@dataclass(frozen=True)
class Run:
    """A simulated comparison: the interval of the difference, and the true difference of its own seeds."""

    difference: Interval
    of_seeds: float


def measure() -> None:
    """Simulate, and write the section."""
    started = time.perf_counter()
    with threadpool_limits(1):
        cases = [(SEED_SDS[0], *case) for case in product(EFFECTS, IMAGES, SEEDS)]
        cases += [(SEED_SDS[1], 0.0, *case) for case in product(IMAGES, SEEDS)]
        table = pd.DataFrame([_row(*case) for case in cases])
    text = (
        f"Each row is {N_RUNS:,} simulated comparisons, with {N_SAMPLES} bootstrap samples each, of two arms with five "
        "labels, the rarest on one image in twenty. The seeds' deviation is that of one arm's macro F1 on infinitely "
        "many images. With one seed, the interval is meant to hold the difference between the two trained networks "
        "(`for its own seeds`). It shows nothing of other seeds, so it misses the difference between the remedies "
        "(`holds it for all seeds`) more often, the more seeds matter. In 1,000 runs an exact interval would hold the "
        "truth in 93.6 to 96.4 %, and say in 1.5 to 3.5 % that a remedy without effect helps."
    )
    rows = table.to_markdown(index=False, disable_numparse=True, colalign=["right"] * table.shape[1])
    head = "## Intervals of macro F1\n\n" + measured_by(
        "benchmarks.coverage", ("numpy", "scipy"), time.perf_counter() - started
    )
    write_section("coverage", f"{head}\n\n{text}\n\n{rows}\n")


def _row(seed_sd: float, effect: float, n_images: int, n_seeds: int) -> dict[str, Any]:
    runs = list(_runs(seed_sd, effect, n_images, n_seeds))
    low, high = np.array([(run.difference.low, run.difference.high) for run in runs]).T
    own = np.array([run.of_seeds for run in runs])
    sentences = [verdict(run.difference, n_images, n_seeds, "copies") for run in runs]
    return {
        "true effect": f"{effect:.2f}",
        "seeds' deviation": f"{_seed_deviation(seed_sd):.3f}",
        "test images": f"{n_images:,}",
        "seeds": n_seeds,
        "holds it for all seeds, %": f"{100 * np.mean((low <= effect) & (effect <= high)):.1f}",
        "for its own seeds, %": f"{100 * np.mean((low <= own) & (own <= high)):.1f}",
        "said to help, %": f"{100 * np.mean([sentence.startswith('The copies helped') for sentence in sentences]):.1f}",
        "said to harm, %": f"{100 * np.mean([sentence.startswith('The copies did') for sentence in sentences]):.1f}",
        "half width, median": f"{np.median(high - low) / 2:.3f}",
    }


def _runs(seed_sd: float, effect: float, n_images: int, n_seeds: int) -> Iterator[Run]:
    signals = SIGNAL, _better_signal(effect, seed_sd)
    for run in range(N_RUNS):
        rng = np.random.default_rng(run)
        seen = [signal + seed_sd * _seed_effects(n_seeds, rng) for signal in signals]
        y_true = (rng.random((n_images, len(PREVALENCE))) < PREVALENCE).astype(np.int8)
        shared = rng.normal(scale=SHARED**0.5, size=y_true.shape)
        predictions = []
        for clarity in seen:
            arm = rng.normal(scale=OF_ARM**0.5, size=y_true.shape)
            network = rng.normal(scale=OF_NETWORK**0.5, size=(n_seeds, *y_true.shape))
            predictions.append(clarity[:, None] * y_true + shared + arm + network > THRESHOLD)
        difference = macro_f1_intervals(y_true, predictions[0], predictions[1], n_samples=N_SAMPLES, seed=run)[2]
        yield Run(difference, float(_f1(seen[1]).mean() - _f1(seen[0]).mean()))


def _seed_effects(n_seeds: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Effects of variance 1 on how clearly the networks of an arm see each label, shape (n_seeds, n_labels)."""
    labels = rng.normal(scale=(1 - COMMON) ** 0.5, size=(n_seeds, len(PREVALENCE)))
    return labels + rng.normal(scale=COMMON**0.5, size=(n_seeds, 1))


def _f1(clarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """F1 of each label on infinitely many images, shape (..., n_labels)."""
    hits, false = PREVALENCE * ndtr(clarity - THRESHOLD), (1 - PREVALENCE) * ndtr(-THRESHOLD)
    f1: NDArray[np.float64] = 2 * hits / (hits + false + PREVALENCE)
    return f1


def _expected_f1(signal: float, seed_sd: float) -> float:
    """Macro F1 on infinitely many images, its mean over infinitely many seeds by Gauss-Hermite quadrature."""
    points, weights = np.polynomial.hermite_e.hermegauss(40)
    return float(weights @ _f1(signal + seed_sd * points[:, None]).mean(axis=1) / weights.sum())


def _better_signal(effect: float, seed_sd: float) -> float:
    """How clearly an arm sees a label if its macro F1 is higher by the effect."""
    wanted = _expected_f1(SIGNAL, seed_sd) + effect
    return float(brentq(lambda signal: _expected_f1(signal, seed_sd) - wanted, SIGNAL - 1, SIGNAL + 2, xtol=1e-12))


def _seed_deviation(seed_sd: float) -> float:
    """Standard deviation over seeds of the baseline's macro F1 on infinitely many images."""
    effects = seed_sd * _seed_effects(100_000, np.random.default_rng(0))
    return float(_f1(SIGNAL + effects).mean(axis=1).std())


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    measure()
