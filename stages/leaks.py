"""List held-out images that look like a train image, by their features.

Reads   data/resized.csv, data/resized/, data/duplicates.csv, features/features.npy
Writes  features/leaks.csv (the images, the most similar first), features/leaks.json (metrics)
Params  leaks, features
Obeys   COUNTERWEIGHT_DEVICE, COUNTERWEIGHT_WORKERS, COUNTERWEIGHT_CACHE, COUNTERWEIGHT_CACHE_GB, TORCH_HOME
"""

import logging
import os
from collections.abc import Sequence

import numpy as np
import pandas as pd

from counterweight.base import manifest
from counterweight.base.command import device_name, parse_options, run, worker_count
from counterweight.base.errors import name_some
from counterweight.base.outputs import write_json, write_table
from counterweight.base.params import load_params
from counterweight.clustering.similar_images import (
    COLUMNS,
    MIN_TRAIN_IMAGES,
    evenly_spaced,
    nearest_train_images,
    similar_images_table,
    whitened,
)
from counterweight.runtime.cache import open_cache

log = logging.getLogger("leaks")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "table", "resized", "duplicates", "features", "leaks", "metrics")
    params = load_params(args.params)
    min_cosine, table = params.leaks.min_cosine, manifest.read(args.table)
    if params.features.weights == "random" and min_cosine is not None:
        log.info("weights are random: such features cannot tell what is the same picture, so none is looked for")
        min_cosine = None
    train = manifest.rows_of_split(table, "train")
    if len(train) < MIN_TRAIN_IMAGES and min_cosine is not None:
        log.info("%d train images are too few to tell what is similar, so nothing is looked for", len(train))
        min_cosine = None

    held_out = table[table["split"].isin(["val", "test"])]
    compared = held_out.iloc[evenly_spaced(len(held_out), params.leaks.max_images if min_cosine is not None else 0)]
    found = pd.DataFrame(columns=list(COLUMNS))
    if len(compared):
        # Imported here, so that a run that looks for none does not wait for PyTorch.
        from counterweight.networks.backbones import resolve_device
        from counterweight.networks.feature_extractor import FeatureConfig, build_feature_extractor
        from counterweight.networks.inference import Compute
        from counterweight.networks.loader import ImageFiles

        compute, cache = Compute(resolve_device(device_name()), worker_count()), open_cache(os.environ)
        calibration, files = (ImageFiles.of_rows(rows, args.resized) for rows in (train, compared))
        config = FeatureConfig(**params.features.model_dump())
        extractor = build_feature_extractor(config, calibration, compute, cache)
        views = [extractor.features(files), extractor.mirrored().features(files)]
        of_train, *of_views = whitened(np.load(args.features, mmap_mode="r"), views)
        nearest = nearest_train_images(of_train, of_views)
        duplicates = pd.read_csv(args.duplicates, dtype={"image_id": "str"}, keep_default_na=False)
        found = similar_images_table(train, compared, nearest, duplicates, min_cosine=min_cosine or 0)
        cache.prune()

    write_table(found, args.leaks)
    write_json({"compared": len(compared), "held_out": len(held_out), "similar": len(found)}, args.metrics)

    if len(found):
        pairs = [f"'{row.image_id}' of {row.split} and '{row.train_image_id}'" for row in found.itertuples()]
        log.warning(
            "%d val and test images are similar to a train image, most of all %s. Look at them (%s): where both show "
            "the same, results are too good, so give both one data.columns.group, or delete the row of the train image",
            len(found), name_some(pairs), args.leaks,
        )  # fmt: skip
    return f"{len(compared)} of {len(held_out)} val and test images compared with train, {len(found)} similar to one"


if __name__ == "__main__":
    run(main)
