"""Fill small clusters with augmented copies.

Reads   features/clusters.csv, data/resized/
Writes  augmented/images/, augmented/manifest.csv (the table with the copies),
        augmented/labels.csv (counts and IRLbl before and after), augmented/augment.json (metrics)
Params  augment, resize.format
"""

import logging
from collections import Counter
from collections.abc import Sequence

from stages.core import imbalance, manifest
from stages.core.balancing import copies_needed
from stages.core.command import arguments, run, worker_count
from stages.core.copies import Recipe, fill
from stages.core.outputs import folder_aside, write_json, write_table
from stages.core.params import load_params
from stages.core.provenance import sources_by_cluster, with_copies
from stages.core.workbook import check_row_count

log = logging.getLogger("augment")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(__doc__, argv, "clusters", "resized", "images", "manifest", "labels", "metrics")
    params = load_params(args.params)
    augment = params.augment

    table = manifest.read(args.clusters)
    clusters = sources_by_cluster(table)
    needed = copies_needed(
        {cluster: len(members) for cluster, members in clusters.items()},
        target=1.0 if augment.target == "majority" else augment.target,
        minority=None if augment.minority == "all" else augment.minority,
    )
    check_row_count(len(table) + sum(needed.values()), params.split.format)
    recipe = Recipe(augment.pipeline, augment.seed, params.resize.format, **augment.quality.model_dump())
    with folder_aside(args.images) as aside:
        outcome = fill(
            clusters, needed, resized=args.resized, folder=aside, recipe=recipe,
            cap=augment.copies_per_image, workers=worker_count(),
        )  # fmt: skip
    balanced = with_copies(table, outcome.copies)
    before, after = (manifest.of_split(rows, "train") for rows in (table, balanced))
    parts = {"before": manifest.targets(before), "after": manifest.targets(after)}
    sizes = after["cluster"].value_counts().sort_index()
    faults = Counter(wrong for copy in outcome.copies for wrong in copy.faults)

    manifest.write(balanced, args.manifest)
    write_table(imbalance.label_table(parts, manifest.label_names(table)), args.labels)
    write_json(
        {
            "copies": len(outcome.copies),
            "drawn_again": {"uniform": faults["uniform"], "contrast": faults["contrast"]},
            "unfit_images": len(outcome.unfit),
            "sizes": {str(cluster): int(size) for cluster, size in sizes.items()},
            "train": imbalance.summary(parts["after"]),
        },
        args.metrics,
    )
    for image in outcome.unfit:
        log.warning("image '%s' gave no good copy in %d draws; others took its turns", image, recipe.max_draws)
    for cluster, lacking in outcome.short.items():
        log.warning(
            "cluster %d lacks %d copies: raise augment.copies_per_image, or lower augment.quality", cluster, lacking
        )
    return f"{len(outcome.copies)} copies in {len(needed)} clusters, {faults.total()} draws again"


if __name__ == "__main__":
    run(main)
