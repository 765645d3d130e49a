"""Bring every image to one size, one colour mode and one file format.

Reads   data/manifest.csv and the images that params.yaml names
Writes  data/resized/, data/resized.csv (the table, its paths and checksums those of the resized files)
Params  resize
Obeys   COUNTERWEIGHT_WORKERS, COUNTERWEIGHT_SCHEDULER, COUNTERWEIGHT_CACHE, COUNTERWEIGHT_CACHE_GB
"""

import os
from collections.abc import Sequence

from counterweight.base import manifest
from counterweight.base.command import arguments, run, worker_count
from counterweight.base.describing import described
from counterweight.base.outputs import folder_aside
from counterweight.base.params import load_params
from counterweight.images.geometry import Wanted
from counterweight.images.resizing import resize_all
from counterweight.images.sources import open_images
from counterweight.runtime.cache import cache_of
from counterweight.runtime.dask_pool import scheduled


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(described(__doc__), argv, "manifest", "images", "resized", "table")
    params = load_params(args.params).resize

    cache, table = cache_of(os.environ), manifest.read(args.manifest)
    with scheduled(os.environ, worker_count()) as workers, folder_aside(args.resized) as aside:
        paths, checksums = resize_all(
            table["path"].tolist(),
            table["checksum"].tolist(),
            source=open_images(args.images),
            target=aside,
            wanted=Wanted(params.width, params.height, params.mode),
            format=params.format,
            cache=cache,
            workers=workers,
        )
    manifest.write(table.assign(path=paths, checksum=checksums), args.table)
    cache.prune()

    return f"{len(table)} images to {params.width} x {params.height} ({params.mode}, {params.format})"


if __name__ == "__main__":
    run(main)
