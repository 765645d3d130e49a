"""Fill minority clusters, classes or labels with copies, or leave redundant images of the others out.

Reads   features/clusters.csv, features/features.npy, data/duplicates.csv, data/resized/
Writes  augmented/images/ (copies), augmented/manifest.csv, augmented/arms/ (a table per arm), augmented/labels.csv,
        augmented/copies.csv (draws), augmented/hidden_labels.csv (of copied images), augmented/augment.json
Params  augment, features, resize.format, data.task
Obeys   COUNTERWEIGHT_DEVICE, COUNTERWEIGHT_WORKERS, COUNTERWEIGHT_SCHEDULER, COUNTERWEIGHT_CACHE,
        COUNTERWEIGHT_CACHE_GB, TORCH_HOME
"""

import logging
import os
from collections.abc import Sequence
from typing import get_args

import numpy as np
import pandas as pd

from counterweight.augmentation import oversampling, provenance
from counterweight.augmentation.allocation import AllocationConfig
from counterweight.augmentation.copy_maker import CopyConfig
from counterweight.augmentation.strategies import GROUP_KIND, TrainImages
from counterweight.augmentation.undersampling import UndersamplingConfig, plan_balance
from counterweight.base import manifest
from counterweight.base.command import device_name, parse_options, run, worker_count
from counterweight.base.limits import check_row_count
from counterweight.base.outputs import atomic_folder, write_json, write_table
from counterweight.base.params import load_params
from counterweight.base.results_schema import Arm
from counterweight.metrics import imbalance
from counterweight.runtime.cache import open_cache
from counterweight.runtime.dask_pool import dask_workers

log = logging.getLogger("augment")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(
        __doc__, argv, "clusters", "features", "duplicates", "resized", "images", "manifest", "arms", "labels",
        "copies", "hidden", "metrics",
    )  # fmt: skip
    params = load_params(args.params)
    augment, options = params.augment, params.augment.model_dump()
    table, features = manifest.read(args.clusters), np.load(args.features, mmap_mode="r", allow_pickle=False)
    images = TrainImages.of_rows(manifest.rows_of_split(table.drop(columns=["path", "checksum"]), "train"))
    limits = AllocationConfig.from_params(options), UndersamplingConfig.from_params(options)
    plan, left_out = plan_balance(augment.strategy, images, features, *limits)
    check_row_count(len(table) + (n_copies := len(plan.next_copies({}, set()))), params.sheet.format)
    cache, guard = open_cache(os.environ), None
    if n_copies and augment.guard is not None and augment.copy_mode == "augmented":
        # PyTorch takes seconds that a run without a guard need not wait for.
        from counterweight.evidence.label_guard import GuardConfig, build_label_guard
        from counterweight.networks.backbones import resolve_device
        from counterweight.networks.feature_extractor import FeatureConfig, build_feature_extractor
        from counterweight.networks.inference import Compute
        from counterweight.networks.loader import ImageFiles

        train = manifest.rows_of_split(table, "train")
        duplicates = pd.read_csv(args.duplicates, dtype={"image_id": "str"})
        compute, files = Compute(resolve_device(device_name()), worker_count()), ImageFiles.of_rows(train, args.resized)
        network = build_feature_extractor(FeatureConfig(**params.features.model_dump()), files, compute, cache)
        config = GuardConfig.from_params(options, params.data.task, params.resize.format)
        guard = build_label_guard(train, features, duplicates, network, config)
    with dask_workers(os.environ, worker_count()) as workers, atomic_folder(args.images) as folder:
        result = oversampling.make_copies(
            plan, provenance.train_sources(table), resized=args.resized, folder=folder, cache=cache, workers=workers,
            config=CopyConfig.from_params(options, params.resize.format), guard=guard,
        )  # fmt: skip
    cache.prune()
    balanced = provenance.append_copies(table, result.copies, left_out)
    targets = {"before": images.targets, "after": manifest.targets(manifest.rows_of_split(balanced, "train"))}
    manifest.write(balanced, args.manifest)
    with atomic_folder(args.arms) as folder:
        for arm in get_args(Arm):
            manifest.write(provenance.arm_table(balanced, arm), folder / f"{arm}.csv")
    write_table(imbalance.label_table(targets, images.labels), args.labels)
    write_table(provenance.copies_table(result.copies, oversampling.REASONS), args.copies)
    write_table(oversampling.hidden_labels(guard, result.copies), args.hidden)
    counts = oversampling.copy_counts(result) | {"left_out": len(left_out), "sizes": provenance.cluster_sizes(balanced)}
    write_json(counts | {name: imbalance.summary(part) for name, part in targets.items()}, args.metrics)
    warnings = oversampling.copy_warnings(result, GROUP_KIND.get(augment.strategy, ""), augment.quality.max_draws)
    for warning in warnings + imbalance.rarer_label_warnings(images.targets, targets["after"], images.labels):
        log.warning("%s", warning)
    made = f"{counts['copies']} copies by {augment.strategy}, {counts['redrawn']} redrawn"
    return f"{made}{f', {len(left_out)} images left out' * bool(left_out)}, {imbalance.phrase(targets)}"


if __name__ == "__main__":
    run(main)
