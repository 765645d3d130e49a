"""Fill what is rare with copies.

Reads   features/clusters.csv, data/resized/
Writes  augmented/images/, augmented/manifest.csv (the table with the copies),
        augmented/labels.csv (counts and IRLbl before and after), augmented/redrawn.csv (copies that were drawn again,
        and why), augmented/augment.json (metrics)
Params  augment, resize.format
Obeys   COUNTERWEIGHT_WORKERS, COUNTERWEIGHT_SCHEDULER, COUNTERWEIGHT_CACHE, COUNTERWEIGHT_CACHE_GB
"""

import logging
import os
from collections import Counter
from collections.abc import Sequence

from counterweight.augmentation.copy_maker import FAULTS, Recipe
from counterweight.augmentation.oversampling import fill
from counterweight.augmentation.provenance import redrawn, train_sources, with_copies
from counterweight.augmentation.strategies import FILLED, build_plan
from counterweight.base import manifest
from counterweight.base.command import arguments, run, worker_count
from counterweight.base.describing import described
from counterweight.base.limits import check_row_count
from counterweight.base.outputs import folder_aside, write_json, write_table
from counterweight.base.params import load_params
from counterweight.metrics import imbalance
from counterweight.runtime.cache import cache_of
from counterweight.runtime.dask_pool import scheduled

log = logging.getLogger("augment")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(
        described(__doc__), argv, "clusters", "resized", "images", "manifest", "labels", "redrawn", "metrics"
    )
    params = load_params(args.params)
    augment = params.augment

    table = manifest.read(args.clusters)
    labels, train = manifest.label_names(table), manifest.of_split(table, "train")
    plan = build_plan(
        augment.strategy, train["image_id"].tolist(), train["cluster"].tolist(), manifest.targets(train), labels,
        target=1.0 if augment.target == "majority" else augment.target,
        minority=None if augment.minority == "all" else augment.minority,
        cap=augment.copies_per_image,
        seed=augment.seed,
    )  # fmt: skip
    check_row_count(len(table) + len(plan.choose({}, set())), params.split.format)
    recipe = Recipe(
        augment.copies, augment.pipelines[augment.pipeline], augment.mix, augment.seed, params.resize.format,
        **augment.quality.model_dump(),
    )  # fmt: skip
    cache = cache_of(os.environ)
    with scheduled(os.environ, worker_count()) as workers, folder_aside(args.images) as aside:
        outcome = fill(
            plan, train_sources(table), resized=args.resized, folder=aside, recipe=recipe, cache=cache,
            workers=workers,
        )  # fmt: skip
    cache.prune()
    balanced = with_copies(table, outcome.copies)
    after = manifest.of_split(balanced, "train")
    parts = {"before": manifest.targets(train), "after": manifest.targets(after)}
    sizes = after["cluster"].value_counts().sort_index()
    faults = Counter(wrong for copy in outcome.copies for wrong in copy.faults)

    manifest.write(balanced, args.manifest)
    write_table(imbalance.label_table(parts, labels), args.labels)
    write_table(redrawn(outcome.copies, list(FAULTS.values())), args.redrawn)
    write_json(
        {
            "copies": len(outcome.copies),
            "drawn_again": {reason: faults[reason] for reason in FAULTS.values()},
            "unfit_images": len(outcome.unfit),
            "sizes": {str(cluster): int(size) for cluster, size in sizes.items()},
            **{name: imbalance.summary(targets) for name, targets in parts.items()},
        },
        args.metrics,
    )
    for image in outcome.unfit:
        log.warning("image '%s' gave no good copy in %d draws; others took its turns", image, recipe.max_draws)
    for group, lacking in outcome.short.items():
        named = f"{FILLED[augment.strategy]} {group}"
        log.warning("%s lacks %d copies: raise augment.copies_per_image, or lower augment.quality", named, lacking)
    for warning in imbalance.rarer(parts["before"], parts["after"], labels):
        log.warning("%s", warning)
    return (
        f"{len(outcome.copies)} copies by {augment.strategy}, {faults.total()} draws again, MeanIR "
        f"{imbalance.mean_ir(parts['before']):.2f} before and {imbalance.mean_ir(parts['after']):.2f} after"
    )


if __name__ == "__main__":
    run(main)
