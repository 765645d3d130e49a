"""What a reader of the report should know of a run, though nothing failed."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from counterweight.base import manifest
from counterweight.metrics.imbalance import about_parts


def cautions(table: pd.DataFrame, ingest: Mapping[str, Any], augment: Mapping[str, Any], weights: str) -> list[str]:
    """Sentences, the gravest first.

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
    parts = {split: manifest.targets(manifest.of_split(table, split)) for split in manifest.SPLITS}
    said = [
        (
            duplicates["leaks"],
            "images stand in a part that is judged later too: results there look better than they are",
        ),
        (duplicates["other_labels"], "images have other labels than a duplicate of theirs"),
        (ingest["dropped_rows"], "rows were dropped"),
        (ingest["unlisted_files"], "images have no row, and took no part"),
        (augment["unfit_images"], "images gave no good copy, and others took their turns"),
    ]
    sentences = [f"{count} {what}." for count, what in said if count]
    sentences += [f"{remark[0].upper()}{remark[1:]}." for remark in about_parts(manifest.label_names(table), parts)]
    if weights == "random":
        sentences.append(
            "The features are of random weights: they see colour and texture, and not what an image shows."
        )
    return sentences
