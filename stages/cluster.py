"""Group the train images that look alike.

Reads   data/resized.csv, features/features.npy
Writes  features/clusters.csv (the table with clusters, 0 the largest), features/plane.csv (where train images lie),
        features/sweep.csv (other numbers of clusters), features/cluster.json (metrics)
Params  cluster
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from counterweight.base import manifest
from counterweight.base.command import arguments, run
from counterweight.base.describing import described
from counterweight.base.outputs import write_json, write_table
from counterweight.base.params import load_params
from counterweight.clustering.kmeans import find_clusters


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(described(__doc__), argv, "table", "features", "clusters", "plane", "sweep", "metrics")
    params = load_params(args.params).cluster

    table = manifest.read(args.table)
    features = np.load(args.features, mmap_mode="r", allow_pickle=False)
    found = find_clusters(features, **params.model_dump())
    table.loc[table["split"] == "train", "cluster"] = found.numbers

    places = np.column_stack([found.plane, found.distances]).round(6) + 0.0  # No zero is written as -0.
    plane = pd.DataFrame(places, columns=["first", "second", "distance"])
    plane.insert(0, "image_id", manifest.of_split(table, "train")["image_id"])

    manifest.write(table, args.clusters)
    write_table(plane, args.plane)
    write_table(pd.DataFrame(found.sweep, columns=["clusters", "inertia", "silhouette"]), args.sweep)
    write_json(
        {
            "sizes": {str(cluster): size for cluster, size in enumerate(found.sizes)},
            "explained_variance": found.explained_variance,
            "inertia": found.inertia,
            "silhouette": found.silhouette,
        },
        args.metrics,
    )
    return (
        f"{len(features)} train images in clusters of {', '.join(map(str, found.sizes))}, "
        f"silhouette {found.silhouette:.3f}"
    )


if __name__ == "__main__":
    run(main)
