"""Fill the missing labels of train images by classifiers on their features.

Reads   data/resized.csv, features/features.npy
Writes  features/labelled.csv (the table; only its missing train labels may have changed),
        features/filled.csv (each cell filled, and its probability), features/fill.json (metrics)
Params  fill, data.missing, data.task
"""

import logging
from collections.abc import Sequence

import numpy as np

from counterweight.base import manifest
from counterweight.base.command import arguments, run
from counterweight.base.describing import described
from counterweight.base.outputs import write_json, write_table
from counterweight.base.params import load_params
from counterweight.dataset.missing_labels import filled_table, nothing_filled, summary

log = logging.getLogger("fill")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(described(__doc__), argv, "table", "features", "labelled", "filled", "metrics")
    params = load_params(args.params)

    table = manifest.read(args.table)
    features = np.load(args.features, allow_pickle=False)
    train, labels = manifest.of_split(table, "train"), manifest.label_names(table)
    if params.data.missing == "self_train":
        from counterweight.dataset.self_training import (
            fill_missing,
        )  # With scikit-learn it takes a second, mostly for nothing.

        filling = fill_missing(
            features, manifest.targets(train), labels, one_each=params.data.task != "multilabel",
            **params.fill.model_dump(),
        )  # fmt: skip
    else:
        filling = nothing_filled(manifest.targets(train))

    manifest.write(manifest.with_targets(table, "train", filling.targets), args.labelled)
    filled = filled_table(train["image_id"].tolist(), labels, filling)
    write_table(filled, args.filled)
    write_json(summary(filling, labels), args.metrics)

    for label in filling.unlearnt:
        log.warning("label '%s': too few images are known to have it, or not to, for a classifier", label)
    left = int((filling.targets == manifest.MISSING).sum())
    return f"{len(filled)} missing label cells of train filled, {left} left missing"


if __name__ == "__main__":
    run(main)
