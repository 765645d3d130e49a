"""Tune the decision rule of a classifier on validation images."""

import pandas as pd
import torch

from counterweight.base import manifest
from counterweight.metrics.decisions import DecisionRule, positive_class, tune
from counterweight.networks.classifier import Classifier
from counterweight.networks.inference import Compute, predict_scores
from counterweight.training.datasets import ArmImages


def tune_on_validation(
    classifier: Classifier,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    *,
    metric: str,
    images: ArmImages,
    device: torch.device,
    workers: int,
) -> DecisionRule:
    """Choose the thresholds that are best on validation images, scored exactly as evaluation scores them.

    Parameters
    ----------
    classifier : Classifier
        As it is saved.
    train, validation : pandas.DataFrame
        Rows of a manifest. In a binary task, the class that is rarer among the train originals is positive.
    metric : str
        As in `counterweight.metrics.decisions.tune`.
    images, device, workers
        As in `counterweight.training.datasets.build_dataset`.
    """
    config = classifier.config
    scores = predict_scores(classifier, images.files(validation), Compute(device, workers))
    counts = (manifest.targets(train[train["source_id"] == ""]) == 1).sum(axis=0)
    positive = positive_class(config.task, config.labels, counts)
    return tune(manifest.targets(validation), scores, config.labels, config.task, positive, metric=metric)
