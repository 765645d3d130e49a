"""Cluster the train images by their features.

Reads   data/resized.csv, features/features.npy
Writes  features/clusters.csv (the table with clusters, 0 the largest), features/plane.csv (train images on the first
        two principal components), features/sweep.csv (quality by number of clusters), features/cluster.json (metrics)
Params  cluster
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from counterweight.base import manifest
from counterweight.base.command import parse_options, run
from counterweight.base.outputs import write_json, write_table
from counterweight.base.params import load_params
from counterweight.clustering.kmeans import fit_clusters

# Digits after the point; in the next ones, processors differ.
DIGITS = 6


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "table", "features", "clusters", "plane", "sweep", "metrics")
    params = load_params(args.params).cluster

    features = np.load(args.features, mmap_mode="r", allow_pickle=False)
    result = fit_clusters(features, **params.model_dump())
    # Read only now: for millions of images, it needs as much memory as their principal components.
    table = manifest.read(args.table)
    is_train = table["split"] == "train"
    table.loc[is_train, "cluster"] = result.assignments

    positions = np.column_stack([result.plane, result.distances]).round(DIGITS) + 0.0  # Turns -0. into 0.
    plane = pd.DataFrame(positions, columns=["first", "second", "distance"])
    plane.insert(0, "image_id", table["image_id"][is_train].array)

    manifest.write(table, args.clusters)
    write_table(plane, args.plane)
    write_table(pd.DataFrame(result.sweep, columns=["clusters", "inertia", "silhouette"]).round(DIGITS), args.sweep)
    write_json(
        {
            "sizes": {str(cluster): size for cluster, size in enumerate(result.sizes)},
            "explained_variance": round(result.explained_variance, DIGITS),
            "inertia": round(result.inertia, DIGITS),
            "silhouette": round(result.silhouette, DIGITS),
        },
        args.metrics,
    )
    sizes = ", ".join(map(str, result.sizes))
    return f"{len(features)} train images in clusters of {sizes}, silhouette {result.silhouette:.3f}"


if __name__ == "__main__":
    run(main)
