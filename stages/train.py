"""Train a network on one arm, once per seed.

Reads   augmented/arms/<arm>.csv, the images that it names
Writes  results/arms/<arm>/models/seed-<seed>/ (weights, config, history, and thresholds tuned on validation),
        results/arms/<arm>/history.csv (plots, of the first seed)
Params  train, data.task, resize
Obeys   COUNTERWEIGHT_DEVICE, COUNTERWEIGHT_DEVICES, COUNTERWEIGHT_NODES, COUNTERWEIGHT_WORKERS,
        COUNTERWEIGHT_CACHE, COUNTERWEIGHT_CACHE_GB, TORCH_HOME
"""

import os
from collections.abc import Sequence
from dataclasses import replace

from counterweight.base import manifest
from counterweight.base.command import device_name, parse_options, run, worker_count
from counterweight.base.outputs import atomic_folder, write_text
from counterweight.base.params import load_params
from counterweight.runtime.cache import open_cache
from counterweight.runtime.portable_kernels import use_portable_kernels


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "table", "resized", "copies", "models", "history")
    params = load_params(args.params)
    if params.train.portable:
        use_portable_kernels(os.environ)

    # These load PyTorch, whose seconds neither --help nor a wrong option or param should wait for.
    import torch

    from counterweight.networks.backbones import resolve_device
    from counterweight.networks.classifier import ModelConfig
    from counterweight.networks.distributed import init_process_group
    from counterweight.networks.weights import build_classifier
    from counterweight.training import arm
    from counterweight.training.datasets import ArmImages
    from counterweight.training.losses import score_function
    from counterweight.training.optimizer import FitConfig, OptimizerConfig

    train, group = params.train, init_process_group(os.environ, resolve_device(device_name()))
    torch.set_num_threads(train.threads)
    table, cache = manifest.read(args.table), open_cache(os.environ)
    images = ArmImages(args.resized, args.copies, group, worker_count(), cache)
    model = ModelConfig(
        train.model, train.layer, train.activation, train.pooling, train.flip_tta, train.channels,
        manifest.label_names(table), params.data.task, score_function(train.loss), train.crop, train.width_and_height,
        params.resize.model_dump(), train.freeze,
    )  # fmt: skip
    config = arm.ArmConfig(
        train.loss, train.weighting if "weights" in args.table.stem else None, train.monitor, train.transforms,
        not train.freeze and train.weights != "random", train.threshold_metric, train.seed,
    )  # fmt: skip
    optimizer = OptimizerConfig(
        train.optimizer, train.learning_rate, train.weight_decay, train.schedule, train.epochs, train.backbone_lr_scale
    )
    fitting = FitConfig(optimizer, train.patience, train.batch_size, worker_count())

    trainings, checkpoints, kept = {}, [], 0
    for seed in range(train.seed, train.seed + train.repeats):
        classifier = build_classifier(model, train.weights, train.pretrained_until, seed)
        config = replace(config, seed=seed)
        key = arm.arm_key(
            classifier, args.table.read_bytes(), config, fitting, group, train.threads, portable=train.portable
        )
        checkpoints.append(cache.scratch_path("training", key))
        # Several processes would have to agree on what each of them finds.
        files = arm.kept_files(cache, key) if group.size == 1 else None
        kept += files is not None
        if files is None:
            files = arm.train_arm(classifier, table, images, config=config, fitting=fitting, checkpoint=checkpoints[-1])
            if group.rank == 0:
                arm.keep_files(cache, key, files)
        trainings[seed] = files
    if group.rank == 0:
        with atomic_folder(args.models) as aside:
            for seed, files in trainings.items():
                arm.write_files(files, aside / f"seed-{seed}")
        write_text(trainings[train.seed][arm.HISTORY].decode(), args.history)
        for checkpoint in filter(None, checkpoints):
            checkpoint.unlink(missing_ok=True)  # Not before: where the cache cannot be written, it is all there is.
        cache.prune()

    earlier = f" ({kept} of {len(trainings)} trainings kept from an earlier run)" * (kept > 0)
    return f"{(table['split'] == 'train').sum()} images, {arm.summary(trainings, train.monitor)}, on {group}{earlier}"


if __name__ == "__main__":
    run(main)
