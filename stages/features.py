"""Describe every train image by a row of network features.

Reads   data/resized.csv, data/resized/
Writes  features/features.npy (row i belongs to the i-th train row of the table)
Params  features
Obeys   COUNTERWEIGHT_DEVICE, COUNTERWEIGHT_DEVICES, COUNTERWEIGHT_NODES, COUNTERWEIGHT_WORKERS,
        COUNTERWEIGHT_CACHE, COUNTERWEIGHT_CACHE_GB, TORCH_HOME
"""

import logging
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from counterweight.base import manifest
from counterweight.base.command import arguments, device_name, run, worker_count
from counterweight.base.describing import described
from counterweight.base.outputs import rows_aside, write_array
from counterweight.base.params import load_params
from counterweight.runtime.cache import cache_of

SIZE = 224  # What ImageNet-trained ResNets were trained to see.

log = logging.getLogger("features")


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = arguments(described(__doc__), argv, "table", "resized", "out")
    params = load_params(args.params).features

    # They bring PyTorch, whose seconds neither --help nor a wrong option or param waits for.
    import torch

    from counterweight.networks.backbones import Backbone, chosen_device, load_weights
    from counterweight.networks.distributed import group_of
    from counterweight.networks.inference import hand_over_rows
    from counterweight.networks.openvino import engine_of

    group, cache = group_of(os.environ, chosen_device(device_name())), cache_of(os.environ)

    torch.manual_seed(params.seed)
    network = Backbone(params.model, params.layer, (SIZE, SIZE))
    load_weights(network, params.weights)
    if params.weights == "random":
        log.warning("weights are random: such features see colour and texture only, not what an image shows")
    train = manifest.of_split(manifest.read(args.table), "train")
    files, checksums = [args.resized / path for path in train["path"]], train["checksum"].tolist()
    how: dict[str, Any] = {"view": params.view, "size": (SIZE, SIZE), "device": group.device}
    run_by, engine = engine_of(params.engine, network, files, checksums, **how)
    mine = group.share(len(train))
    look = partial(
        hand_over_rows,
        run_by,
        [files[i] for i in mine],
        [checksums[i] for i in mine],
        **how,
        workers=worker_count(),
        name=f"{params.model} to {params.layer} by {engine}",
        cache=cache,
    )
    if group.size == 1:
        with rows_aside(args.out, (len(train), network.n_features)) as put:
            look(take=put)
    else:
        part = np.empty((len(mine), network.n_features), dtype=np.float32)
        look(take=part.__setitem__)
        rows = group.whole_array(part, len(train))
        if group.rank == 0:
            write_array(rows, args.out)
    if group.rank == 0:
        cache.prune()

    return f"{len(train)} train images, {network.n_features} features each, on {group}"


if __name__ == "__main__":
    run(main)
