"""A page of predictions: pictures with their labels and probabilities, and what speaks for the likeliest label."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray

from counterweight.explanation.attribution import ExplainConfig, explain
from counterweight.explanation.overlay import overlay
from counterweight.explanation.thumbnails import thumbnail
from counterweight.images.sources import ImageSource
from counterweight.metrics.decisions import DEPLOYED, DecisionRule
from counterweight.networks.classifier import Classifier
from counterweight.networks.loader import ImageDataset
from counterweight.networks.prediction import resize_for_model

_TEMPLATE = Path(__file__).with_name("predictions.html")
# Pictures of a page, some 20 kB each, and their pixels along the longer side.
MAX_SHOWN, _SIDE = 200, 160
# Labels whose probabilities are told besides those that the image gets.
_MAX_PROBABILITIES = 3
# Occlusion stands in for Grad-CAM where a network has no maps.
_CONFIG = ExplainConfig("gradcam", patches=7, samples=300, seed=0)


def predictions_page(
    classifier: Classifier,
    rule: DecisionRule,
    source: ImageSource,
    names: Sequence[str],
    scores: NDArray[np.float64],
    model: str,
) -> str:
    """Return a page that loads nothing from elsewhere, with the first 200 readable images.

    Parameters
    ----------
    classifier, rule : Classifier, DecisionRule
        The network, and how its scores become labels.
    source, names : ImageSource, sequence of str
        The images.
    scores : array of float, shape (n_images, n_labels)
        The result of `counterweight.networks.prediction.predict`; NaN for images that cannot be read.
    model : str
        What to call the network.
    """
    readable = np.flatnonzero(~np.isnan(scores).any(axis=1))
    shown = readable[:MAX_SHOWN]
    predicted = rule.apply(scores[shown], DEPLOYED[rule.task])
    probabilities = rule.probabilities(scores[shown])
    # Of the labels that an image gets the likeliest, or without any the likeliest of all.
    columns = np.where(predicted.any(axis=1, keepdims=True) & ~predicted, -1, probabilities).argmax(axis=1)
    images: list[dict[str, Any]] = []
    if len(shown):
        with TemporaryDirectory(prefix="counterweight-") as folder:
            files, _ = resize_for_model(source, [names[i] for i in shown], classifier.config, Path(folder), 1)
            views = ImageDataset(files, classifier.config.preprocessing).views()
        maps, _ = explain(classifier, views, columns.tolist(), _CONFIG)
        images = [
            {
                "name": names[i],
                "view": thumbnail(view, _SIDE),
                "overlay": thumbnail(overlay(view, evidence), _SIDE),
                "labels": ", ".join(np.array(rule.labels, dtype=object)[gets]),
                "probabilities": _likeliest(rule.labels, likely, gets),
                "explained": rule.labels[column],
            }
            for i, view, evidence, gets, likely, column in zip(
                shown, views, maps, predicted, probabilities, columns.tolist(), strict=True
            )
        ]
    text = f"{len(readable):,} images, of which the first {len(shown)} are shown." if len(readable) > len(shown) else ""
    environment = Environment(loader=FileSystemLoader(_TEMPLATE.parent), autoescape=True, undefined=StrictUndefined)
    return environment.get_template(_TEMPLATE.name).render(model=model, text=text, images=images)


def _likeliest(labels: Sequence[str], probabilities: NDArray[np.float64], predicted: NDArray[np.bool_]) -> str:
    """Name the labels that an image gets and the likeliest ones, with their probabilities, the likeliest first."""
    order = np.argsort(-probabilities, kind="stable")
    listed = [i for rank, i in enumerate(order.tolist()) if predicted[i] or rank < _MAX_PROBABILITIES]
    return ", ".join(f"{labels[i]} {probabilities[i]:.0%}" for i in listed)
