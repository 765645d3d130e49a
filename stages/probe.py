"""Compare remedies before any training: linear classifiers on the train features, with and without copies.

Reads   features/clusters.csv, features/features.npy, data/duplicates.csv, data/resized/
Writes  results/remedies.csv (each remedy and constant answer), results/remedy_folds.csv (the same by fold),
        results/label_issues.csv (labels to check), results/learning_curve.csv (by label),
        results/affinity.csv (labels that copies show), results/affinity/ (strips of such copies),
        results/remedies.json (recommendation), results/remedies.svg
Params  probe, features, data.task, resize.format, augment.resampling, augment.target, augment.fill_smallest,
        augment.copies_per_image, augment.composition, augment.seed, augment.quality, augment.guard, augment.pipelines
Obeys   COUNTERWEIGHT_DEVICE, COUNTERWEIGHT_WORKERS, COUNTERWEIGHT_CACHE, COUNTERWEIGHT_CACHE_GB, TORCH_HOME
"""

import logging
import os
from collections.abc import Sequence

import numpy as np
import pandas as pd

from counterweight.augmentation.allocation import AllocationConfig
from counterweight.augmentation.copy_maker import CopyConfig
from counterweight.augmentation.provenance import train_sources
from counterweight.augmentation.strategies import TrainImages
from counterweight.base import manifest
from counterweight.base.command import device_name, parse_options, run, worker_count
from counterweight.base.outputs import atomic_file, atomic_folder, scratch_folder, write_json, write_table
from counterweight.base.params import load_params
from counterweight.metrics.charts import remedies_chart
from counterweight.runtime.cache import open_cache

log = logging.getLogger("probe")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(
        __doc__, argv, "clusters", "features", "duplicates", "resized", "remedies", "folds", "issues", "curve",
        "affinity", "pictures", "metrics", "chart",
    )  # fmt: skip
    params = load_params(args.params)
    options, task, pipelines = params.probe, params.data.task, list(params.augment.pipelines)
    augment = params.augment.model_dump(exclude={"strategy", "copy_mode", "pipeline"})  # It tries all of these.

    # Imported here, so that --help, wrong options and wrong params do not wait for PyTorch.
    from counterweight.evidence import copy_sample, folds, label_guard, probe, remedies
    from counterweight.networks.backbones import resolve_device
    from counterweight.networks.feature_extractor import FeatureConfig, build_feature_extractor
    from counterweight.networks.inference import Compute
    from counterweight.networks.loader import ImageFiles

    cache, workers = open_cache(os.environ), worker_count()
    train = manifest.rows_of_split(manifest.read(args.clusters), "train")
    rows, columns = folds.draw_sample(
        manifest.targets(train), task, options.max_images, options.max_labels, probe.LABELS_AT_FULL_SIZE, options.seed
    )
    of_all = np.load(args.features, mmap_mode="r", allow_pickle=False)
    features, duplicates = of_all[rows], pd.read_csv(args.duplicates, dtype={"image_id": "str"})
    images, sources = TrainImages.of_rows(train.iloc[rows]), train_sources(train.iloc[rows])
    wanted = remedies.copies_wanted(images, task, AllocationConfig.from_params(augment, len(rows) / len(train)))
    sample = copy_sample.SampleConfig.from_params(options.model_dump())
    candidates = remedies.build_remedies(task, pipelines)
    configs = {name: CopyConfig.from_params(augment, params.resize.format, name) for name in pipelines}
    compute, config = Compute(resolve_device(device_name()), workers), FeatureConfig(**params.features.model_dump())
    network = build_feature_extractor(config, ImageFiles.of_rows(train, args.resized), compute, cache)
    limits = label_guard.GuardConfig.from_params(augment, task, params.resize.format)
    guard = label_guard.build_label_guard(train, of_all, duplicates, network, limits)
    with atomic_file(args.remedies) as aside:
        with scratch_folder(args.remedies) as scratch, atomic_folder(args.pictures) as pictures:
            extract = copy_sample.CopyExtractor(args.resized, scratch, network.features, features, cache, workers)
            copies = copy_sample.extract_sample(extract, sources, wanted, configs, sample, guard, pictures)
        result = probe.run_probe(
            probe.probe_data(task, images, columns, features, wanted, copies),
            *folds.image_groups(images.ids, duplicates), candidates,
            probe.ProbeConfig.from_params(options.model_dump(), workers, random_features=config.is_random),
        )  # fmt: skip
        result.remedies.to_csv(aside, index=False, lineterminator="\n")
    cache.prune()
    write_table(result.folds, args.folds)
    write_table(result.label_issues, args.issues)
    write_table(result.learning_curve, args.curve)
    write_table(result.affinity, args.affinity)
    write_json(summary := probe.summary(result, candidates), args.metrics)
    remedies_chart(result.remedies, args.chart)
    log.info("%s", result.no_signal or result.recommendation.sentence)
    judged = f"{len(candidates)} remedies on {len(rows)} train images and {len(columns)} labels"
    return f"{judged}, {summary['label_issues']} labels to check"


if __name__ == "__main__":
    run(main)
