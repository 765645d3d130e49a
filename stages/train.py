"""Train a network on one arm: the original train images, or the balanced ones.

Reads   the arm's table, the images that it names
Writes  results/<arm>/model/ (weights, config, and thresholds tuned on validation), results/<arm>/history.csv (plots)
Params  train, data.task, resize
Obeys   COUNTERWEIGHT_DEVICE, COUNTERWEIGHT_DEVICES, COUNTERWEIGHT_NODES, COUNTERWEIGHT_WORKERS,
        COUNTERWEIGHT_CACHE, COUNTERWEIGHT_CACHE_GB, TORCH_HOME
"""

import os
from collections.abc import Sequence

from counterweight.base import manifest
from counterweight.base.command import device_name, parse_options, run, worker_count
from counterweight.base.outputs import atomic_folder, write_text
from counterweight.base.params import load_params
from counterweight.runtime.cache import open_cache


def main(argv: Sequence[str] | None = None) -> str:
    """Run the stage."""
    args = parse_options(__doc__, argv, "table", "resized", "copies", "model", "history")
    params = load_params(args.params)

    # These load PyTorch, whose seconds neither --help nor a wrong option or param should wait for.
    import torch

    from counterweight.networks.backbones import Backbone, resolve_device
    from counterweight.networks.classifier import Classifier, ModelConfig
    from counterweight.networks.distributed import init_process_group
    from counterweight.networks.weights import load_weights
    from counterweight.training import arm
    from counterweight.training.datasets import ArmImages
    from counterweight.training.losses import score_function
    from counterweight.training.optimizer import OptimizerConfig
    from counterweight.training.trainer import FitConfig

    train, group = params.train, init_process_group(os.environ, resolve_device(device_name()))
    torch.set_num_threads(train.threads)
    torch.manual_seed(train.seed)
    table = manifest.read(args.table)
    classifier = Classifier(
        ModelConfig(
            train.model, train.layer, train.activation, train.pooling, train.flip_tta, train.channels,
            manifest.label_names(table), params.data.task, score_function(train.loss), train.crop,
            train.width_and_height, params.resize.model_dump(),
        )
    )  # fmt: skip
    if isinstance(classifier.body, Backbone):
        load_weights(classifier.body, train.weights, train.pretrained_until)
    config = arm.ArmConfig(
        train.loss, train.monitor, train.sampler, train.transforms, train.freeze,
        not train.freeze and train.weights != "random", train.threshold_metric, train.seed,
    )  # fmt: skip
    optimizer = OptimizerConfig(
        train.optimizer, train.learning_rate, train.weight_decay, train.schedule, train.epochs, train.backbone_lr_scale
    )
    fitting = FitConfig(optimizer, train.patience, train.batch_size, worker_count())

    cache = open_cache(os.environ)
    key = arm.arm_key(classifier, args.table.read_bytes(), config, fitting, group, train.threads)
    # Several processes would have to agree on what each of them finds.
    files = arm.kept_files(cache, key) if group.size == 1 else None
    kept = " (kept from an earlier run)" * (files is not None)
    checkpoint = cache.scratch_path("training", key)
    if files is None:
        images = ArmImages(args.resized, args.copies, group, fitting.workers)
        files = arm.train_arm(classifier, table, images, config=config, fitting=fitting, checkpoint=checkpoint)
        if group.rank == 0:
            arm.keep_files(cache, key, files)
    if group.rank == 0:
        with atomic_folder(args.model) as aside:
            arm.write_model(files, aside)
        write_text(files[arm.HISTORY].decode(), args.history)
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)  # Not before: where the cache cannot be written, it is all there is.
        cache.prune()

    return f"{(table['split'] == 'train').sum()} images, {arm.summary(files, train.monitor)}, on {group}{kept}"


if __name__ == "__main__":
    run(main)
