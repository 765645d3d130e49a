"""Scores of a classifier: of images of the dataset, and of new ones, which are resized as those were."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from counterweight.base.errors import InputError
from counterweight.base.limits import EXCEL_ROWS
from counterweight.base.schema import MAX_PIXELS
from counterweight.images import codec
from counterweight.images.geometry import TargetSize, resize
from counterweight.images.sources import ImageSource
from counterweight.metrics.decisions import DEPLOYED, DecisionRule
from counterweight.networks.backbones import Backbone
from counterweight.networks.classifier import Classifier, ModelConfig
from counterweight.networks.inference import Compute, extract_features, extract_features_cached
from counterweight.networks.loader import ImageFiles
from counterweight.networks.openvino import fuse_conv_bn
from counterweight.runtime.cache import Cache
from counterweight.runtime.parallel import parallel_map


def body_features(
    classifier: Classifier, files: ImageFiles, compute: Compute, cache: Cache | None
) -> NDArray[np.float32]:
    """Return the outputs of a classifier's frozen body, one row per image.

    They are the rows of the section ``features`` if network, weights, layer, crop and size are the same. With a cache,
    all arms, seeds and stages share them.
    """
    body, config = classifier.body, classifier.config
    name = f"{config.model}, frozen"
    if isinstance(body, Backbone):
        name = f"{config.model} to {config.layer} by torch"
        if config.pooling != "average" or config.flip_tta:
            name += f", {config.pooling} pooling{', mirrored' * config.flip_tta}"
        body = fuse_conv_bn(body) if compute.device.type == "cpu" else body
    if cache is None:
        return extract_features(body, files, config.preprocessing, compute)
    rows: dict[int, NDArray[np.float32]] = {}
    extract_features_cached(body, files, config.preprocessing, compute, name=name, cache=cache, on_row=rows.__setitem__)
    return np.stack([rows[i] for i in range(len(files))]) if rows else np.empty((0, 0), dtype=np.float32)


def predict_scores(
    classifier: Classifier, files: ImageFiles, compute: Compute, cache: Cache | None
) -> NDArray[np.float64]:
    """Scores from 0 to 1, shape (n_images, n_labels), by the classifier's sigmoid or softmax; see `body_features`."""
    if classifier.config.frozen:
        # One row at a time, since in a batch rounding may depend on a row's position.
        features = torch.from_numpy(body_features(classifier, files, compute, cache))
        head = classifier.head.cpu().eval()
        with torch.inference_mode():
            rows = [head(row[None].clone()) for row in features]
        logits = torch.cat(rows).double().numpy() if rows else np.empty((0, len(classifier.config.labels)))
    else:
        logits = extract_features(classifier, files, classifier.config.preprocessing, compute).astype(np.float64)
    # NumPy's exponential, and so softmax by SciPy, depends on the processor; PyTorch's can be told not to.
    scores: NDArray[np.float64] = (
        expit(logits) if classifier.config.scores == "sigmoid" else torch.from_numpy(logits).softmax(dim=1).numpy()
    )
    return scores


def predict(
    classifier: Classifier,
    source: ImageSource,
    names: Sequence[str],
    compute: Compute,
    *,
    chunk: int = 4096,
) -> tuple[NDArray[np.float64], list[str]]:
    """Compute scores that are bit-identical to those of the same images in the dataset.

    Images are resized as the classifier's config says, encoded in the dataset's format and decoded again, because JPEG
    is lossy. At most ``chunk`` resized files are on disk at one time.

    Returns
    -------
    scores : array of float, shape (n_images, n_labels)
        From 0 to 1; NaN for images that cannot be read.
    problems : list of str
        Per image, why it cannot be read, or an empty string.
    """
    scores = np.full((len(names), len(classifier.config.labels)), np.nan)
    problems: list[str] = []
    for start in range(0, len(names), chunk):
        part = names[start : start + chunk]
        with TemporaryDirectory(prefix="counterweight-") as folder:
            files, found = resize_for_model(source, part, classifier.config, Path(folder), compute.workers)
            good = [start + i for i, problem in enumerate(found) if not problem]
            if good:
                scores[good] = predict_scores(classifier, files, compute, None)
        problems += found
    return scores, problems


def resize_for_model(
    source: ImageSource, names: Sequence[str], config: ModelConfig, folder: Path, workers: int
) -> tuple[ImageFiles, list[str]]:
    """Resize images as those of the dataset were that a classifier was trained on.

    Returns
    -------
    files : ImageFiles
        The resized images that can be read, in ``folder``.
    problems : list of str
        Per image, why it cannot be read, or an empty string.
    """
    resize_image = _ResizeForModel(source, folder, config)
    jobs = list(enumerate(names))
    resized = parallel_map(resize_image, jobs, workers=workers, what="images", name=itemgetter(1))
    good = [i for i, (_, problem) in enumerate(resized) if not problem]
    files = ImageFiles([resize_image.file(i) for i in good], [resized[i][0] for i in good])
    return files, [problem for _, problem in resized]


def table_columns(labels: Sequence[str]) -> list[str]:
    """Names of the columns of `table_rows`."""
    numbers = [f"{column}:{name}" for column in ("probability", "label") for name in labels]
    return ["image", "labels", *numbers, "problem"]


def table_rows(
    names: Sequence[str], scores: NDArray[np.float64], problems: Sequence[str], decisions: DecisionRule
) -> Iterator[list[str | float]]:
    """Yield one row per image: name, predicted labels, probability of each label, each label as 0 or 1, problem.

    ``scores`` and ``problems`` are what `predict` returned for the images ``names``. The model's rule is applied to the
    scores as `counterweight.metrics.decisions.DEPLOYED` says. The probabilities are the calibrated scores, see
    `counterweight.metrics.decisions.DecisionRule.probabilities`.
    """
    readable = [not problem for problem in problems]
    y_pred = np.zeros(scores.shape, np.bool_)
    y_pred[readable] = decisions.apply(scores[readable], DEPLOYED[decisions.task])
    probabilities, empty = decisions.probabilities(scores).tolist(), [""] * (2 * len(decisions.labels))
    for name, of_image, predicted, problem in zip(names, probabilities, y_pred.tolist(), problems, strict=True):
        labels = ",".join(itertools.compress(decisions.labels, predicted))
        yield [name, labels, *(empty if problem else [*of_image, *map(int, predicted)]), problem]


def table_files(out: Path, n_rows: int) -> list[Path]:
    """Files to write the table to: a .csv, and an .xlsx if that is asked for and Excel can hold the rows.

    Raises
    ------
    InputError
        If the name ends neither in .xlsx nor in .csv.

    Examples
    --------
    >>> [file.name for file in table_files(Path("labels.xlsx"), 1_048_575)]
    ['labels.csv', 'labels.xlsx']
    >>> [file.name for file in table_files(Path("labels.xlsx"), 1_048_576)]
    ['labels.csv']
    """
    if out.suffix not in {".xlsx", ".csv"}:
        raise InputError(f"--out {out}: a table is an .xlsx or a .csv. Give a name that ends in one of them.")
    fits = out.suffix == ".xlsx" and n_rows + 1 <= EXCEL_ROWS
    return [out.with_suffix(".csv"), *([out] if fits else [])]


@dataclass(frozen=True)
class _ResizeForModel:
    """Resize an image and write it as the resize stage does."""

    source: ImageSource
    folder: Path
    config: ModelConfig

    def __call__(self, job: tuple[int, str]) -> tuple[str, str]:
        """Return the checksum of the written file, or an empty string, and why the image cannot be read."""
        number, name = job
        settings = self.config.resize
        target = TargetSize(settings["width"], settings["height"], settings["mode"])
        try:
            problem = self.source.check(name, MAX_PIXELS).problem
            if problem:
                return "", problem
            pixels = resize(self.source.read(name, target=target), target)
        except InputError as error:
            return "", str(error)
        return codec.write(pixels, self.file(number), settings["format"]), ""

    def file(self, number: int) -> Path:
        """Path of the resized image."""
        return self.folder / f"{number}.{self.config.resize['format']}"
