"""Features on a GPU, beside one image at a time on the same GPU, beside what bounds them, and beside the CPU's.

    python -m benchmarks.gpu [--data ../shared]

The limit is the longer of decoding on all cores and of the network on ready tensors; nvJPEG decodes on the GPU. Where
there is no GPU, nothing is measured and the section says so. The table goes into benchmarks/README.md.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import adjusted_rand_score
from torchvision.io import ImageReadMode, decode_jpeg, read_file

from benchmarks import as_written
from benchmarks.common import WEIGHTS, data_folder, measured_by, write_section
from benchmarks.speed import seconds
from counterweight.clustering.kmeans import fit_clusters
from counterweight.images import codec
from counterweight.networks.backbones import Backbone
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.inference import GPU_BATCH, Compute, extract_features
from counterweight.networks.loader import ImageDataset, ImageFiles, Preprocessing, build_loader
from counterweight.networks.weights import load_weights

WORKERS = len(os.sched_getaffinity(0))
GPU = torch.device("cuda")
CPU = torch.device("cpu")
HEAD = "| what | images a second |\n|:---|---:|\n"
SIZE = (224, 224)
PREPROCESSING = Preprocessing("center", SIZE)


def measure(files: Sequence[Path], weights: str) -> dict[str, float]:
    """Images a second of each way, and of each part of it."""
    images = ImageFiles(files, [codec.checksum(file.read_bytes()) for file in files])
    network = _network(weights)
    cut, few = as_written.network(weights).to(GPU), files[:400]
    ready = torch.zeros(GPU_BATCH, *SIZE, 3, dtype=torch.uint8, device=GPU)
    bytes_of = [read_file(str(file)) for file in files[:GPU_BATCH]]
    times = 40

    def here() -> None:
        extract_features(network, images, PREPROCESSING, Compute(GPU, WORKERS))

    def alone() -> None:
        network.eval().to(GPU).to(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast("cuda", dtype=torch.bfloat16):
            for _ in range(times):
                network(ready)
        torch.cuda.synchronize()

    def decoded() -> None:
        seen = ImageDataset(images, PREPROCESSING)
        for _ in build_loader(seen, ProcessGroup(GPU), batch_size=GPU_BATCH, workers=WORKERS, pin_memory=True):
            pass

    def nvjpeg() -> None:
        for _ in range(times):
            decode_jpeg(bytes_of, mode=ImageReadMode.RGB, device=GPU)
        torch.cuda.synchronize()

    as_written.features(few[:8], cut, "cuda")
    alone()
    nvjpeg()
    return {
        "one image at a time, as written": len(few) / seconds(lambda: as_written.features(few, cut, "cuda")),
        "here": len(files) / seconds(here),
        f"limit: decoding by {WORKERS} processes": len(files) / seconds(decoded),
        "limit: the network on ready tensors, bfloat16": times * GPU_BATCH / seconds(alone),
        "nvJPEG, decoding alone": times * len(bytes_of) / seconds(nvjpeg),
    }


def beside_the_cpu(files: Sequence[Path], weights: str) -> str:
    """Say how far features in bfloat16 are from the CPU's, and how far the clusters of them."""
    images = ImageFiles(files, [codec.checksum(file.read_bytes()) for file in files])
    rows = {
        device: extract_features(_network(weights), images, PREPROCESSING, Compute(device, WORKERS)).astype(np.float64)
        for device in (CPU, GPU)
    }
    apart = np.linalg.norm(rows[GPU] - rows[CPU], axis=1) / np.linalg.norm(rows[CPU], axis=1)
    numbers = [
        fit_clusters(rows[device].astype(np.float32), n_components=50, n_clusters=5, seed=0).assignments
        for device in (CPU, GPU)
    ]
    return (
        f"Of {len(files):,} photographs, features are by {apart.mean():.2%} of their length from the CPU's, by "
        f"{apart.max():.2%} at most; adjusted Rand index of the clusters with those of the CPU's features "
        f"{adjusted_rand_score(*numbers):.3f}.\n"
    )


def _network(weights: str) -> Backbone:
    network = Backbone("resnet18", "layer3", SIZE)
    load_weights(network, weights)
    return network


def main() -> None:
    """Measure, where there is a GPU, and write the section."""
    data = data_folder(__doc__)
    title = "## gpu\n\nResNet-18 up to layer3, 224 pixels, photographs of 400 x 400.\n\n"
    if not torch.cuda.is_available():
        rows = "Not measured yet: `make bench-gpu` on a machine with a GPU.\n"
        write_section("gpu", title + rows)
        return
    with tempfile.TemporaryDirectory() as temporary:
        photographs = sorted((data / "datasets/miml_scenes/images").iterdir())
        as_written.resize(photographs, Path(temporary))
        # Each is seen fifty times, for a GPU is done with 2,000 before the processes that decode have started.
        files, weights = sorted(Path(temporary).iterdir()), str(data / WEIGHTS)
        rates = measure(files * 50, weights)
        apart = beside_the_cpu(files, weights)
    written, here, *limits = list(rates.values())[:4]
    section = (
        title
        + measured_by("benchmarks.gpu", ("torch", "torchvision"))
        + f"\n\n100,000 views: {here / written:.1f} times the loop; {min(limits) / here:.2f} of the limit's time."
        + f"\n\n{HEAD}"
        + "".join(f"| {what} | {rate:,.0f} |\n" for what, rate in rates.items())
        + f"\n{apart}"
    )
    write_section("gpu", section)


if __name__ == "__main__":
    main()
