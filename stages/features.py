"""Extract one row of network features per train image.

Reads   data/resized.csv, data/resized/
Writes  features/features.npy (row i is the i-th train row of the table)
Params  features
Obeys   COUNTERWEIGHT_DEVICE, COUNTERWEIGHT_DEVICES, COUNTERWEIGHT_NODES, COUNTERWEIGHT_SCHEDULER,
        COUNTERWEIGHT_WORKERS, COUNTERWEIGHT_CACHE, COUNTERWEIGHT_CACHE_GB, TORCH_HOME
"""

import logging
import os
from collections.abc import Sequence

from counterweight.base import manifest
from counterweight.base.command import device_name, parse_options, run, worker_count
from counterweight.base.errors import InputError
from counterweight.base.outputs import atomic_rows, write_array
from counterweight.base.params import load_params
from counterweight.runtime.cache import open_cache
from counterweight.runtime.dask_pool import dask_workers

log = logging.getLogger("features")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "table", "resized", "out")
    params = load_params(args.params).features

    # Imported here, so that --help, wrong options and wrong params do not wait for PyTorch.
    from counterweight.networks.backbones import resolve_device
    from counterweight.networks.distributed import init_process_group
    from counterweight.networks.feature_extractor import FeatureConfig, build_feature_extractor, extract_remotely
    from counterweight.networks.inference import Compute
    from counterweight.networks.loader import ImageFiles

    group, cache = init_process_group(os.environ, resolve_device(device_name())), open_cache(os.environ)

    if params.weights == "random":
        log.warning("weights are random: such features see color and texture only, not what an image shows")
    train = manifest.rows_of_split(manifest.read(args.table), "train")
    files = ImageFiles.of_rows(train, args.resized)
    config = FeatureConfig(**params.model_dump()).with_engine(group.device)
    if params.engine == "auto":
        if group.size > 1 or os.environ.get("COUNTERWEIGHT_SCHEDULER"):
            raise InputError(
                "params.yaml: features.engine is auto, which other machines may answer otherwise than this one. Set it "
                f"to {config.engine}, or compute on this machine alone."
            )
        log.info("engine: %s", config.engine)
    compute = Compute(group.device, worker_count())
    extractor, devices = build_feature_extractor(config, files, compute, cache), str(group)
    if group.size == 1:
        shape = (len(train), extractor.n_features)
        with dask_workers(os.environ, 0) as remote_workers, atomic_rows(args.out, shape) as put:
            if remote_workers:
                devices = extract_remotely(extractor, config, files, remote_workers, device_name, put)
            else:
                extractor.extract(files, put)
    else:
        rows = group.all_gather_array(extractor.features(files.take(group.shard(len(train)))), len(train))
        if group.rank == 0:
            write_array(rows, args.out)
    if group.rank == 0:
        cache.prune()

    return f"{len(train)} train images, {extractor.n_features} features each, on {devices}"


if __name__ == "__main__":
    run(main)
