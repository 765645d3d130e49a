"""Extract one row of network features per train image.

Reads   data/resized.csv, data/resized/
Writes  features/features.npy (row i is the i-th train row of the table)
Params  features
Obeys   COUNTERWEIGHT_DEVICE, COUNTERWEIGHT_DEVICES, COUNTERWEIGHT_NODES, COUNTERWEIGHT_WORKERS,
        COUNTERWEIGHT_CACHE, COUNTERWEIGHT_CACHE_GB, TORCH_HOME
"""

import logging
import os
from collections.abc import Sequence
from functools import partial

import numpy as np

from counterweight.base import manifest
from counterweight.base.command import device_name, parse_options, run, worker_count
from counterweight.base.outputs import atomic_rows, write_array
from counterweight.base.params import load_params
from counterweight.runtime.cache import open_cache

SIZE = 224  # The size that ImageNet-trained ResNets were trained on.

log = logging.getLogger("features")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "table", "resized", "out")
    params = load_params(args.params).features

    # Imported here, so that --help, wrong options and wrong params do not wait for PyTorch.
    import torch

    from counterweight.networks.backbones import Backbone, resolve_device
    from counterweight.networks.distributed import init_process_group
    from counterweight.networks.inference import Compute, extract_features_cached
    from counterweight.networks.loader import ImageFiles, Preprocessing
    from counterweight.networks.openvino import build_engine
    from counterweight.networks.weights import load_weights

    group, cache = init_process_group(os.environ, resolve_device(device_name())), open_cache(os.environ)

    torch.manual_seed(params.seed)
    network = Backbone(params.model, params.layer, (SIZE, SIZE))
    load_weights(network, params.weights)
    if params.weights == "random":
        log.warning("weights are random: such features see color and texture only, not what an image shows")
    train = manifest.rows_of_split(manifest.read(args.table), "train")
    files = ImageFiles([args.resized / path for path in train["path"]], train["checksum"].tolist())
    preprocessing = Preprocessing(params.crop, (SIZE, SIZE))
    runner, engine = build_engine(params.engine, network, files, preprocessing, group.device)
    shard = group.shard(len(train))
    extract = partial(
        extract_features_cached,
        runner,
        files.take(shard),
        preprocessing,
        Compute(group.device, worker_count()),
        name=f"{params.model} to {params.layer} by {engine}",
        cache=cache,
    )
    if group.size == 1:
        with atomic_rows(args.out, (len(train), network.n_features)) as put:
            extract(on_row=put)
    else:
        part = np.empty((len(shard), network.n_features), dtype=np.float32)
        extract(on_row=part.__setitem__)
        rows = group.all_gather_array(part, len(train))
        if group.rank == 0:
            write_array(rows, args.out)
    if group.rank == 0:
        cache.prune()

    return f"{len(train)} train images, {network.n_features} features each, on {group}"


if __name__ == "__main__":
    run(main)
