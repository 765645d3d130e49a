"""Labels for new images, each treated as the images of the dataset were."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from counterweight.base.errors import InputError
from counterweight.base.limits import EXCEL_ROWS
from counterweight.base.schema import MOST_PIXELS
from counterweight.dataset.spreadsheet import Cell
from counterweight.images import codec
from counterweight.images.geometry import Wanted, resize
from counterweight.images.sources import Images
from counterweight.metrics.decisions import IN_USE, Decisions
from counterweight.networks.classifier import Classifier, Design
from counterweight.networks.inference import scores_of
from counterweight.runtime.parallel import for_each


def predict(
    classifier: Classifier,
    source: Images,
    names: Sequence[str],
    *,
    device: torch.device,
    workers: int,
    chunk: int = 4096,
) -> tuple[NDArray[np.float64], list[str]]:
    """Scores of images, the same to the last bit as those of the dataset's own images.

    They are resized, written and read again in the format of the dataset before the network sees them, since a JPEG is
    not quite what it was made from.

    Parameters
    ----------
    classifier : Classifier
        Its design says how the dataset's images were resized.
    source : Images
        Where the images are.
    names : sequence of str
        Which of them.
    device : torch.device
        Where to compute.
    workers : int
        Processes that read and decode.
    chunk : int
        Images whose resized files lie on the disk at one time.

    Returns
    -------
    scores : array of float, shape (n_images, n_labels)
        From 0 to 1; not a number for an image that cannot be read.
    problems : list of str
        Why an image cannot be read; empty for all others.
    """
    scores = np.full((len(names), len(classifier.design.labels)), np.nan)
    problems: list[str] = []
    for start in range(0, len(names), chunk):
        with TemporaryDirectory(prefix="counterweight-") as folder:
            treat = _Treat(source, Path(folder), classifier.design)
            treated = for_each(
                treat, list(enumerate(names[start : start + chunk])), workers=workers, what="images", name=itemgetter(1)
            )
            good = [i for i, (_, problem) in enumerate(treated) if not problem]
            if good:
                scores[[start + i for i in good]] = scores_of(
                    classifier,
                    [treat.file(i) for i in good],
                    [treated[i][0] for i in good],
                    view=classifier.design.view,
                    size=classifier.design.size,
                    device=device,
                    workers=workers,
                )
        problems += [problem for _, problem in treated]
    return scores, problems


def columns(labels: Sequence[str]) -> list[str]:
    """Names of the columns of `rows`."""
    return [
        "image",
        "labels",
        *(f"probability:{name}" for name in labels),
        *(f"label:{name}" for name in labels),
        "problem",
    ]


def rows(
    names: Sequence[str], scores: NDArray[np.float64], problems: Sequence[str], decisions: Decisions
) -> Iterator[list[Cell]]:
    """A row an image: its name, its labels, each label's probability, each label as 0 or 1, and what is wrong with it.

    Parameters
    ----------
    names : sequence of str
        The images.
    scores, problems
        What `predict` returned.
    decisions : Decisions
        Of the model. Labels are given as `counterweight.metrics.decisions.IN_USE` says.
    """
    known = [not problem for problem in problems]
    given = np.zeros(scores.shape, np.bool_)
    given[known] = decisions.given(scores[known], IN_USE[decisions.task])
    empty = [""] * (2 * len(decisions.labels))
    for name, of_image, its, problem in zip(names, scores.tolist(), given.tolist(), problems, strict=True):
        labels = ",".join(label for label, has in zip(decisions.labels, its, strict=True) if has)
        yield [name, labels, *(empty if problem else [*of_image, *map(int, its)]), problem]


def table_files(out: Path, n_rows: int) -> list[Path]:
    """Files to write the table to: beside an .xlsx the same as .csv, alone if Excel does not hold so many rows.

    Raises
    ------
    InputError
        If the name ends otherwise.

    Examples
    --------
    >>> [file.name for file in table_files(Path("labels.xlsx"), 1_048_575)]
    ['labels.csv', 'labels.xlsx']
    >>> [file.name for file in table_files(Path("labels.xlsx"), 1_048_576)]
    ['labels.csv']
    """
    if out.suffix not in {".xlsx", ".csv"}:
        raise InputError(f"--out {out}: a table is an .xlsx or a .csv. Give a name that ends so.")
    fits = out.suffix == ".xlsx" and n_rows + 1 <= EXCEL_ROWS
    return [out.with_suffix(".csv"), *([out] if fits else [])]


@dataclass(frozen=True)
class _Treat:
    """Write an image as the resize stage would."""

    source: Images
    folder: Path
    design: Design

    def __call__(self, job: tuple[int, str]) -> tuple[str, str]:
        """Checksum of the file written, or a problem."""
        number, name = job
        how = self.design.resize
        wanted = Wanted(how["width"], how["height"], how["mode"])
        try:
            problem = self.source.check(name, MOST_PIXELS).problem
            if problem:
                return "", problem
            pixels = resize(self.source.read(name, wanted=wanted), wanted)
        except InputError as error:
            return "", str(error)
        return codec.write(pixels, self.file(number), how["format"]), ""

    def file(self, number: int) -> Path:
        """The file of an image."""
        return self.folder / f"{number}.{self.design.resize['format']}"
