"""Warnings about a run that succeeded."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from counterweight.base import manifest
from counterweight.metrics.imbalance import absent_label_warnings


def run_warnings(table: pd.DataFrame, ingest: Mapping[str, Any], augment: Mapping[str, Any], weights: str) -> list[str]:
    """Return sentences, the most serious first.

    Parameters
    ----------
    table : pandas.DataFrame
        The manifest.
    ingest, augment : mapping
        The metrics of ingest and of augment.
    weights : str
        ``features.weights``.
    """
    duplicates = ingest["duplicates"]
    targets = {split: manifest.targets(manifest.rows_of_split(table, split)) for split in manifest.SPLITS}
    counted = [
        (duplicates["leaks"], "images also appear in a later split (leak): results there look better than they are"),
        (duplicates["other_labels"], "images have other labels than a duplicate"),
        (ingest["dropped_rows"], "rows were dropped"),
        (ingest["unlisted_files"], "images have no row and were left out"),
        (augment["unfit_images"], "images gave no usable copy, so others were copied instead"),
    ]
    sentences = [f"{count} {text}." for count, text in counted if count]
    absent = absent_label_warnings(manifest.label_names(table), targets)
    sentences += [f"{warning[0].upper()}{warning[1:]}." for warning in absent]
    if weights == "random":
        sentences.append("The features come from random weights: they capture color and texture, not content.")
    return sentences
