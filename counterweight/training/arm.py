"""Train one arm: from a classifier with its first weights to the files of a trained model."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.torch import save

from counterweight.base import manifest
from counterweight.images import codec
from counterweight.metrics.decisions import FILE as DECISIONS
from counterweight.metrics.decisions import DecisionRule
from counterweight.metrics.imbalance import irlbl_weights
from counterweight.networks.classifier import Classifier
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.weights import weights_checksum
from counterweight.runtime.cache import Cache, cache_key
from counterweight.runtime.fingerprint import fingerprint
from counterweight.training.callbacks import best_epoch
from counterweight.training.datasets import ArmImages, build_dataset
from counterweight.training.losses import build_loss, unweighted_loss
from counterweight.training.module import Objective
from counterweight.training.pretrained_body import fit_pretrained_body
from counterweight.training.sampler import SeededSampler, build_sampler
from counterweight.training.trainer import FitConfig, fit
from counterweight.training.transforms import TransformedDataset
from counterweight.training.tuning import tune_on_validation

# What a training depends on, beside the packages of `codec` and the code of this module and of all that it imports.
PACKAGES = ("lightning", "torch", "torchvision")
HISTORY = "history.csv"
FILES = ("model.safetensors", "model.json", DECISIONS, HISTORY)


@dataclass(frozen=True)
class ArmConfig:
    """How a classifier is trained.

    Attributes
    ----------
    loss, monitor : str
        As in `counterweight.training.losses.build_loss` and in `Objective`.
    sampler : str
        ``weighted`` draws images by the mean IRLbl of their labels; ``none`` takes each once per epoch.
    transforms : sequence of mapping
        As in `TransformedDataset`; empty for none.
    freeze : bool
        Train the head alone, on features that are computed once.
    recalibrate : bool
        As in `fit_pretrained_body`.
    threshold_metric : str
        As in `counterweight.metrics.decisions.tune`.
    seed : int
        Of the order of images and of the transforms.
    """

    loss: str
    monitor: str
    sampler: str
    transforms: Sequence[Mapping[str, Mapping[str, Any]]]
    freeze: bool
    recalibrate: bool
    threshold_metric: str
    seed: int


@dataclass(frozen=True)
class TrainedArm:
    """A trained classifier, its decision rule, and one row per epoch as `fit` returned it."""

    classifier: Classifier
    rule: DecisionRule
    history: list[dict[str, float]]

    def files(self) -> dict[str, bytes]:
        """Content of the files in `FILES`, by name."""
        weights = {name: value.contiguous().cpu() for name, value in self.classifier.state_dict().items()}
        return {
            "model.safetensors": save(weights),
            "model.json": _json(asdict(self.classifier.config)),
            DECISIONS: _json(asdict(self.rule)),
            HISTORY: pd.DataFrame(self.history).to_csv(index=False, lineterminator="\n").encode(),
        }


def train_arm(
    classifier: Classifier,
    table: pd.DataFrame,
    images: ArmImages,
    *,
    config: ArmConfig,
    fitting: FitConfig,
    group: ProcessGroup,
    checkpoint: Path | None,
) -> TrainedArm:
    """Train a classifier on the train rows of a manifest, and tune its thresholds on the validation rows.

    Parameters
    ----------
    classifier : Classifier
        With its first weights; it is trained in place.
    table : pandas.DataFrame
        The arm's manifest.
    images : ArmImages
        Where the images are.
    config, fitting : ArmConfig, FitConfig
        How to train.
    group : ProcessGroup
        The processes that train; each returns the same.
    checkpoint : Path or None
        As in `fit`.
    """
    rows = {split: manifest.rows_of_split(table, split) for split in ("train", "val")}
    compute: dict[str, Any] = {"images": images, "group": group, "workers": fitting.workers}
    fit_pretrained_body(classifier, rows["train"], recalibrate=config.recalibrate, **compute)
    train, validation = (build_dataset(classifier, part, frozen=config.freeze, **compute) for part in rows.values())
    targets, scores = manifest.targets(rows["train"]), classifier.config.scores
    sampler = build_sampler(len(targets), config.seed, _image_weights(targets, config.sampler))
    history = fit(
        classifier.head if config.freeze else classifier,
        Objective(build_loss(config.loss, targets), unweighted_loss(scores, targets.shape[1]), scores, config.monitor),
        TransformedDataset(train, config.transforms, classifier.config.input_size) if config.transforms else train,
        validation,
        sampler=SeededSampler(sampler, config.seed) if config.transforms else sampler,
        config=fitting.without_workers() if config.freeze else fitting,
        group=group,
        checkpoint=checkpoint,
    )
    rule = tune_on_validation(
        classifier, rows["train"], rows["val"],
        metric=config.threshold_metric, images=images, device=group.device, workers=fitting.workers,
    )  # fmt: skip
    return TrainedArm(classifier, rule, history)


def arm_key(
    classifier: Classifier, table: bytes, config: ArmConfig, fitting: FitConfig, group: ProcessGroup, threads: int
) -> str:
    """Cache key of a training.

    Parameters
    ----------
    classifier : Classifier
        With its first weights.
    table : bytes
        The arm's manifest, which holds the checksums of all images.
    config, fitting, group
        As in `train_arm`.
    threads : int
        CPU threads, which change the order of sums.
    """
    depends = {
        "model": asdict(classifier.config),
        "weights": weights_checksum(classifier),
        "config": asdict(config),
        "fitting": asdict(fitting.without_workers()),
        "device": group.device.type,
        "processes": group.size,
        "threads": threads,
    }
    return cache_key(fingerprint([__name__], (*codec.PACKAGES, *PACKAGES)), codec.checksum(table), depends)


def kept_files(cache: Cache, key: str) -> dict[str, bytes] | None:
    """Files of a training that was finished before, by name; None unless all are there and undamaged."""
    entries = cache.find(_file_key(key, name) for name in FILES)
    files = {name: cache.read(entries[_file_key(key, name)]) for name in FILES if _file_key(key, name) in entries}
    whole = {name: content for name, content in files.items() if content is not None}
    return whole if len(whole) == len(FILES) else None


def keep_files(cache: Cache, key: str, files: Mapping[str, bytes]) -> None:
    """Keep the files of a finished training."""
    for name, content in files.items():
        cache.put_bytes(_file_key(key, name), content)


def write_model(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files of a model into a folder; the history has a place of its own."""
    for name in FILES:
        if name != HISTORY:
            (folder / name).write_bytes(files[name])


def summary(files: Mapping[str, bytes], monitor: str) -> str:
    """Describe a training for the log: its epochs, the best one, and how good that is on validation."""
    history = pd.read_csv(io.BytesIO(files[HISTORY])).to_dict("records")
    best = best_epoch([{str(name): float(value) for name, value in row.items()} for row in history], monitor)
    return (
        f"{len(history)} epochs, best {best['epoch']:.0f} with validation loss {best['validation_loss']:.4f} "
        f"and F1 {best['validation_f1']:.3f}"
    )


def _file_key(key: str, name: str) -> str:
    return cache_key(key, name, {})


def _image_weights(targets: NDArray[np.integer], sampler: str) -> NDArray[np.float64] | None:
    return irlbl_weights(targets) if sampler == "weighted" else None


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
