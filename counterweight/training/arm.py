"""Train one arm: from a classifier with its first weights to the files of a trained model."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import save
from torch.utils.data import Sampler

from counterweight.base import manifest
from counterweight.images import codec
from counterweight.metrics.decisions import FILE as DECISIONS
from counterweight.metrics.decisions import DecisionRule, calibrate, rarest, tune
from counterweight.metrics.imbalance import irlbl_weights
from counterweight.metrics.training_history import best_epoch
from counterweight.networks.classifier import Classifier
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.loader import ArrayDataset
from counterweight.networks.prediction import predict_scores
from counterweight.networks.weights import weights_checksum
from counterweight.runtime.cache import Cache, cache_key
from counterweight.runtime.fingerprint import fingerprint
from counterweight.training.datasets import ArmImages, all_of, build_dataset
from counterweight.training.linear_head import fit_linear_head
from counterweight.training.losses import Objective, build_loss
from counterweight.training.optimizer import FitConfig
from counterweight.training.pretrained_body import fit_pretrained_body
from counterweight.training.sampler import SeededSampler, build_sampler

# What a training depends on, beside the packages of `codec` and the code of this module and of all that it imports.
PACKAGES = ("lightning", "torch", "torchvision")
HISTORY = "history.csv"
LBFGS = "lbfgs"
FILES = ("model.safetensors", "model.json", DECISIONS, HISTORY)


@dataclass(frozen=True)
class ArmConfig:
    """How a classifier is trained.

    Attributes
    ----------
    loss, monitor, transforms, recalibrate, threshold_metric
        As in `build_loss`, `Objective`, `TransformedDataset` (empty for none), `fit_pretrained_body` and
        `counterweight.metrics.decisions.tune`.
    weighting : str or None
        What weights do: ``loss`` weights labels in the loss by rarity, ``sampler`` draws images by the mean IRLbl of
        their labels; None for an arm without weights.
    seed : int
        Of the order of images and of the transforms.
    """

    loss: str
    weighting: str | None
    monitor: str
    transforms: Sequence[Mapping[str, Mapping[str, Any]]]
    recalibrate: bool
    threshold_metric: str
    seed: int


def train_arm(
    classifier: Classifier,
    table: pd.DataFrame,
    images: ArmImages,
    *,
    config: ArmConfig,
    fitting: FitConfig,
    checkpoint: Path | None,
) -> dict[str, bytes]:
    """Train a classifier on the train rows of a manifest, and tune its thresholds on the validation rows.

    Parameters
    ----------
    classifier : Classifier
        With its first weights; it is trained in place.
    table, images : pandas.DataFrame, ArmImages
        The arm's manifest and images.
    config, fitting : ArmConfig, FitConfig
        How to train.
    checkpoint : Path or None
        As in `fit`.

    Returns
    -------
    dict of str to bytes
        The result of `model_files`, the same in all processes.
    """
    train, val = (manifest.rows_of_split(table, split) for split in ("train", "val"))
    fit_pretrained_body(classifier, train, images, recalibrate=config.recalibrate)
    examples, validation = (build_dataset(classifier, rows, images) for rows in (train, val))
    targets, model = manifest.targets(train), classifier.config
    weights = irlbl_weights(targets) if config.weighting == "sampler" else None
    sampler: Sampler[Any] = build_sampler(len(targets), config.seed, weights)
    if config.transforms:
        # Torchvision's transforms, and Lightning below, take seconds to load; a head of frozen features needs neither.
        from counterweight.training.transforms import TransformedDataset

        examples = TransformedDataset(examples, config.transforms, model.input_size)
        sampler = SeededSampler(sampler, config.seed)
    objective = Objective(
        build_loss(config.loss, targets, weighted=config.weighting == "loss"),
        build_loss("cross_entropy" if model.scores == "softmax" else "bce", targets, weighted=False),
        model.scores, config.monitor,
    )  # fmt: skip
    if fitting.optimizer.optimizer == LBFGS:
        order = list(sampler) if weights is not None else slice(None)
        history = fit_linear_head(
            classifier.head, objective, [part[order] for part in all_of(examples)], all_of(validation)
        )
    else:
        from counterweight.training.trainer import fit

        history = fit(
            classifier.head if model.frozen else classifier, objective, examples, validation,
            sampler=sampler,
            # Other processes are worth their cost where they decode or transform.
            config=replace(fitting, workers=0) if isinstance(examples, ArrayDataset) else fitting,
            group=images.group,
            checkpoint=checkpoint,
        )  # fmt: skip
    rule = tune_on_validation(classifier, train, val, images, config.threshold_metric)
    return model_files(classifier, rule, history)


def tune_on_validation(
    classifier: Classifier, train: pd.DataFrame, validation: pd.DataFrame, images: ArmImages, metric: str
) -> DecisionRule:
    """Tune thresholds and calibration on validation images, scored exactly as evaluation scores them.

    In a binary task, the class that is rarer among the train originals is positive. ``metric`` is that of
    `counterweight.metrics.decisions.tune`.
    """
    config = classifier.config
    scores = predict_scores(classifier, images.files(validation), images.compute, images.cache)
    counts = (manifest.targets(train[train["source_id"] == ""]) == 1).sum(axis=0)
    positive = rarest(config.labels, counts) if config.task == "binary" else None
    targets = manifest.targets(validation)
    return calibrate(tune(targets, scores, config.labels, config.task, positive, metric=metric), targets, scores)


def model_files(classifier: Classifier, rule: DecisionRule, history: list[dict[str, float]]) -> dict[str, bytes]:
    """Return the content of the files in `FILES`, by name; ``history`` has one row per epoch as in `fit`."""
    weights = {name: value.contiguous().cpu() for name, value in classifier.state_dict().items()}
    return {
        "model.safetensors": save(weights),
        "model.json": _json(asdict(classifier.config)),
        DECISIONS: _json(asdict(rule)),
        HISTORY: pd.DataFrame(history).to_csv(index=False, lineterminator="\n").encode(),
    }


def arm_key(
    classifier: Classifier,
    table: bytes,
    config: ArmConfig,
    fitting: FitConfig,
    group: ProcessGroup,
    threads: int,
    *,
    portable: bool,
) -> str:
    """Cache key of a training.

    Parameters
    ----------
    classifier, config, fitting : Classifier, ArmConfig, FitConfig
        As in `train_arm`.
    table : bytes
        The arm's manifest, which holds the checksums of all images.
    group : ProcessGroup
        The processes that train.
    threads : int
        CPU threads, which change the order of sums.
    portable : bool
        See `counterweight.runtime.portable_kernels.use_portable_kernels`.
    """
    depends = {
        "model": asdict(classifier.config),
        "weights": weights_checksum(classifier),
        "config": asdict(config),
        "fitting": asdict(replace(fitting, workers=0)),
        "device": group.device.type,
        "processes": group.size,
        "threads": threads,
        "portable": portable,
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


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files of a training into a new folder."""
    folder.mkdir()
    for name in FILES:
        (folder / name).write_bytes(files[name])


def summary(trainings: Mapping[int, Mapping[str, bytes]], monitor: str) -> str:
    """Describe the trainings of each seed for the log: epochs, the best one, and how good that is on validation."""
    sentences = []
    for seed, files in trainings.items():
        history: list[Any] = pd.read_csv(io.BytesIO(files[HISTORY])).to_dict("records")
        best = best_epoch(history, monitor)
        seeds = f"seed {seed}: " * (len(trainings) > 1)
        sentences.append(
            f"{seeds}{len(history)} epochs, best {best['epoch']:.0f} with validation loss "
            f"{best['validation_loss']:.4f} and F1 {best['validation_f1']:.3f}"
        )
    return "; ".join(sentences)


def _file_key(key: str, name: str) -> str:
    return cache_key(key, name, {})


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
