"""Fill minority clusters, classes or labels with copies.

Reads   features/clusters.csv, data/resized/
Writes  augmented/images/, augmented/manifest.csv (the table with the copies), augmented/arms/ (the table of each arm,
        without clusters), augmented/labels.csv (counts and IRLbl before and after), augmented/redrawn.csv (copies
        that were drawn again, with the reasons), augmented/augment.json
Params  augment, resize.format
Obeys   COUNTERWEIGHT_WORKERS, COUNTERWEIGHT_SCHEDULER, COUNTERWEIGHT_CACHE, COUNTERWEIGHT_CACHE_GB
"""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from typing import get_args

from counterweight.augmentation.allocation import AllocationConfig
from counterweight.augmentation.copy_maker import QUALITY_PROBLEMS, CopyConfig
from counterweight.augmentation.oversampling import copy_warnings, make_copies
from counterweight.augmentation.provenance import append_copies, arm_table, retry_table, train_sources
from counterweight.augmentation.strategies import GROUP_KIND, TrainImages, build_plan
from counterweight.base import manifest
from counterweight.base.command import parse_options, run, worker_count
from counterweight.base.limits import check_row_count
from counterweight.base.outputs import atomic_folder, write_json, write_table
from counterweight.base.params import load_params
from counterweight.base.training_schema import Arm
from counterweight.metrics import imbalance
from counterweight.runtime.cache import open_cache
from counterweight.runtime.dask_pool import dask_workers

log = logging.getLogger("augment")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(
        __doc__, argv, "clusters", "resized", "images", "manifest", "arms", "labels", "redrawn", "metrics"
    )
    params = load_params(args.params)
    augment = params.augment

    table = manifest.read(args.clusters)
    labels, train = manifest.label_names(table), manifest.rows_of_split(table, "train")
    images = TrainImages(train["image_id"].tolist(), train["cluster"].tolist(), manifest.targets(train), labels)
    plan = build_plan(augment.strategy, images, AllocationConfig.from_params(augment.model_dump()))
    check_row_count(len(table) + len(plan.next_copies({}, set())), params.sheet.format)
    config = CopyConfig.from_params(augment.model_dump(), params.resize.format)
    cache, sources = open_cache(os.environ), train_sources(table)
    with dask_workers(os.environ, worker_count()) as workers, atomic_folder(args.images) as folder:
        result = make_copies(
            plan, sources, resized=args.resized, folder=folder, config=config, cache=cache, workers=workers
        )
    cache.prune()
    balanced = append_copies(table, result.copies)
    after = manifest.rows_of_split(balanced, "train")
    targets = {"before": images.targets, "after": manifest.targets(after)}
    rejections = Counter(reason for copy in result.copies for reason in copy.rejections)

    manifest.write(balanced, args.manifest)
    with atomic_folder(args.arms) as folder:
        for arm in get_args(Arm):
            manifest.write(arm_table(balanced, arm), folder / f"{arm}.csv")
    write_table(imbalance.label_table(targets, labels), args.labels)
    write_table(retry_table(result.copies, list(QUALITY_PROBLEMS.values())), args.redrawn)
    metrics = {
        "copies": len(result.copies),
        "drawn_again": {reason: rejections[reason] for reason in QUALITY_PROBLEMS.values()},
        "unfit_images": len(result.unusable),
        "sizes": {str(cluster): int(size) for cluster, size in after["cluster"].value_counts().sort_index().items()},
    }
    write_json(metrics | {name: imbalance.summary(part) for name, part in targets.items()}, args.metrics)
    warnings = copy_warnings(result, GROUP_KIND.get(augment.strategy, ""), config.max_draws)
    for warning in warnings + imbalance.rarer_label_warnings(targets["before"], targets["after"], labels):
        log.warning("%s", warning)
    return (
        f"{len(result.copies)} copies by {augment.strategy}, {rejections.total()} draws rejected, MeanIR "
        f"{imbalance.mean_ir(targets['before']):.2f} before and {imbalance.mean_ir(targets['after']):.2f} after"
    )


if __name__ == "__main__":
    run(main)
