"""Whether features and trainings are the same to the byte on other processors, and what `train.portable` costs.

    python -m benchmarks.processors

Other processors are emulated by QEMU (`apt-get install qemu-user`), which computes each instruction as the processor's
manual says: a Haswell by Intel and a Milan by AMD, both with AVX2. Only what a manual leaves open, such as approximate
square roots, may differ on a real one. Trainings are tiny there, because emulated instructions take 25 times as long.
The table goes into benchmarks/README.md.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.common import measured_by, write_section
from counterweight.runtime.portable_kernels import use_portable_kernels

PROCESSORS = {
    "this one": [],
    "Haswell by Intel": ["qemu-x86_64", "-cpu", "Haswell"],
    "Milan by AMD": ["qemu-x86_64", "-cpu", "EPYC-Milan"],
}
LABELS = ["common", "rare"]
CONVOLUTIONAL = {"resnet18": "layer4", "resnet50": "layer4", "densenet121": "features.norm5"}
# Threads that wait for each other take processor time, too, so what is timed has one.
THREADS, REPEATS, FACTOR = 2, 3, 4


def train(factor: int) -> Iterator[tuple[str, str, float]]:
    """Train three networks on so many times 16 images; yield name, checksum and seconds of the processor of each."""
    # The parent chooses PyTorch's kernels, so it imports no PyTorch itself.
    import torch

    from counterweight.networks.classifier import ModelConfig
    from counterweight.networks.distributed import ProcessGroup
    from counterweight.networks.loader import ArrayDataset
    from counterweight.networks.weights import build_classifier
    from counterweight.training.linear_head import fit_linear_head
    from counterweight.training.losses import Objective, build_loss
    from counterweight.training.optimizer import FitConfig, OptimizerConfig
    from counterweight.training.sampler import build_sampler
    from counterweight.training.trainer import fit

    torch.set_num_threads(THREADS if factor == 1 else 1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)

    def part(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = rng.standard_normal(shape).astype(np.float32)
        return torch.from_numpy(inputs), torch.from_numpy((inputs[:, :2] > [0, 1]).astype(np.float32))

    def checksum(network: torch.nn.Module) -> str:
        digest = hashlib.sha256()
        for tensor in network.state_dict().values():
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()[:12]

    features, validation = part(64 * factor, 32), part(64, 32)
    loss = build_loss("bce", features[1].numpy().astype(np.int8), weighted=True)
    objective, head = Objective(loss, loss, "sigmoid", "average_precision"), torch.nn.Linear(32, 2)
    started = time.process_time()
    fit_linear_head(head, objective, features, validation)
    yield "linear head, lbfgs", checksum(head), time.process_time() - started

    for model, pixels, optimizer in (("convnet6", 32, "adamw"), ("resnet18", 64, "sgd")):
        config = ModelConfig(
            model, None, "relu", "average", False, 3, LABELS, "multilabel", "sigmoid", "none", (pixels, pixels), {},
            False,
        )  # fmt: skip
        datasets = []
        for count in (16 * factor, 16):
            images = rng.integers(0, 256, (count, pixels, pixels, 3), dtype=np.uint8)
            targets = torch.from_numpy((images[:, 0, 0, :2] > [128, 200]).astype(np.float32))
            datasets.append(ArrayDataset(images, targets))
        classifier = build_classifier(config, "random", None, 0)
        fitting = FitConfig(OptimizerConfig(optimizer, 1e-2, 1e-4, "cosine", 2), 9, 8)
        started = time.process_time()
        fit(
            classifier, objective, *datasets, sampler=build_sampler(len(datasets[0]), 0), config=fitting,
            group=ProcessGroup(torch.device("cpu")),
        )  # fmt: skip
        yield f"{model}, {pixels} x {pixels}, {optimizer}", checksum(classifier), time.process_time() - started


def features(factor: int) -> Iterator[tuple[str, str, float]]:
    """Extract features of so many times 8 images; yield name, checksum and seconds of the processor of each network."""
    import torch

    from counterweight.networks.backbones import Backbone
    from counterweight.networks.determinism import batch_runner
    from counterweight.networks.openvino import fuse_conv_bn

    torch.set_num_threads(1)
    for model, layer in CONVOLUTIONAL.items():
        torch.manual_seed(0)
        network = fuse_conv_bn(Backbone(model, layer, (32, 32)).eval()).to(memory_format=torch.channels_last)
        images = torch.randint(256, (8 * factor, 32, 32, 3), dtype=torch.uint8)
        with batch_runner(network, torch.device("cpu"), 8) as run_batches:
            started = time.process_time()
            rows = run_batches(images).numpy()
            seconds = time.process_time() - started
        yield f"features of {model}, 32 x 32", hashlib.sha256(rows.tobytes()).hexdigest()[:12], seconds


def run(emulator: list[str], *, portable: bool, factor: int) -> list[tuple[str, str, float]]:
    """Extract features and train in a process of its own, perhaps on another processor."""
    packages = sysconfig.get_paths()["purelib"]
    project = str(Path(__file__).parent.parent)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([packages, project])}
    if portable:
        use_portable_kernels(environment)
    # The emulator takes no link, and so no virtual environment.
    python = str(Path(sys.executable).resolve())
    command = [*emulator, python, "-m", "benchmarks.processors", "--factor", str(factor)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(result.stderr)
    return [(name, checksum, seconds) for name, checksum, seconds in json.loads(result.stdout)]


def main() -> None:
    """Compare processors, and then seconds on this one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factor", type=int, help=argparse.SUPPRESS)
    factor = parser.parse_args().factor
    if factor:
        print(json.dumps([*features(factor), *train(factor)]))  # noqa: T201
        return
    if shutil.which("qemu-x86_64") is None:
        parser.error("there is no qemu-x86_64. Install it: apt-get install qemu-user")
    lines = ["| computation | kernels | " + " | ".join(PROCESSORS) + " | seconds |", "|:---|:---|:---|:---|:---|---:|"]
    kinds = {"own": False, "portable": True}
    computed = {
        kernels: [run(emulator, portable=portable, factor=1) for emulator in PROCESSORS.values()]
        for kernels, portable in kinds.items()
    }
    # In turn, since other work on the machine comes and goes.
    rounds = [
        {name: run([], portable=portable, factor=FACTOR) for name, portable in kinds.items()} for _ in range(REPEATS)
    ]
    for kernels, by_processor in computed.items():
        for row, computations in enumerate(zip(*by_processor, strict=True)):
            seconds = min(timed[kernels][row][2] for timed in rounds)
            checksums = " | ".join(f"`{checksum}`" for _, checksum, _ in computations)
            lines.append(f"| {computations[0][0]} | {kernels} | {checksums} | {seconds:.2f} |")
    section = (
        "## processors\n\nChecksums of the features of 8 images, and of what was trained on 16 (64 for the head), by "
        "processor, with kernels that each chooses itself or those of `train.portable`; and the least seconds of this "
        f"processor, of {REPEATS} runs by one thread on {FACTOR} times as many images.\n\n"
        + measured_by("benchmarks.processors", ("torch", "lightning"))
        + "\n\n"
        + "\n".join(lines)
        + "\n"
    )
    write_section("processors", section)


if __name__ == "__main__":
    main()
