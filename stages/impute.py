"""Impute the missing labels of train images by classifiers on their features.

Reads   data/resized.csv, features/features.npy
Writes  features/labeled.csv (the table with the imputed train labels),
        features/imputed.csv (each imputed cell and its probability), features/impute.json (metrics)
Params  impute, data.missing, data.task
"""

import logging
from collections.abc import Sequence

import numpy as np

from counterweight.base import manifest
from counterweight.base.command import parse_options, run
from counterweight.base.outputs import write_json, write_table
from counterweight.base.params import load_params
from counterweight.dataset.missing_labels import imputed_table, summary, unchanged

log = logging.getLogger("impute")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "table", "features", "labeled", "imputed", "metrics")
    params = load_params(args.params)

    table = manifest.read(args.table)
    features = np.load(args.features, mmap_mode="r", allow_pickle=False)
    # Without the columns that take most of the memory.
    train = manifest.rows_of_split(table.drop(columns=["path", "checksum"]), "train")
    labels = manifest.label_names(table)
    if params.data.missing == "self_train":
        # Imports scikit-learn, which takes a second and is seldom needed.
        from counterweight.dataset.self_training import impute_missing

        imputation = impute_missing(
            features, manifest.targets(train), labels, single_label=params.data.task != "multilabel",
            **params.impute.model_dump(),
        )  # fmt: skip
    else:
        imputation = unchanged(manifest.targets(train))

    manifest.write(manifest.with_targets(table, "train", imputation.targets), args.labeled)
    imputed = imputed_table(train["image_id"], labels, imputation)
    write_table(imputed, args.imputed)
    write_json(summary(imputation, labels), args.metrics)

    for label in imputation.untrainable:
        log.warning("label '%s': too few known images with or without it to train a classifier", label)
    left = int((imputation.targets == manifest.MISSING).sum())
    return f"{len(imputed)} missing label cells of train imputed, {left} left missing"


if __name__ == "__main__":
    run(main)
