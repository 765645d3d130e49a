"""Whether PyTorch's CPU wheels compute the bytes of those with CUDA, on a CPU, and what they take.

    python -m benchmarks.torch_builds /path/to/cuda/bin/python /path/to/cpu/bin/python

Both environments need the same version of PyTorch, and NumPy. In each, a network of a ResNet's layers is trained and
used, a linear head is fitted by L-BFGS, and the usual operations of linear algebra run; the hash is over all results.
The table goes into benchmarks/README.md.
"""

import argparse
import subprocess
from pathlib import Path

import pandas as pd

from benchmarks.common import measured_by, write_section

# Runs where torchvision may be missing: published builds of it fit one build of PyTorch each.
PROGRAM = """
import time
started = time.perf_counter()
import torch
seconds = time.perf_counter() - started
import hashlib
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as loss

torch.set_num_threads(2)
torch.manual_seed(0)
digest = hashlib.sha256()

def add(*tensors):
    for tensor in tensors:
        digest.update(tensor.detach().contiguous().numpy().tobytes())

def block(n_in, n_out, stride):
    first, second = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
    return nn.Sequential(first, nn.BatchNorm2d(n_out), nn.ReLU(), second, nn.BatchNorm2d(n_out), nn.ReLU())

start = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
body = nn.Sequential(start, block(64, 64, 1), block(64, 128, 2), block(128, 256, 2))
network = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))
network.to(memory_format=torch.channels_last)
images = torch.rand(32, 3, 96, 96).contiguous(memory_format=torch.channels_last)
targets = (torch.rand(32, 10) > 0.7).float()
optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=True)
for _ in range(20):
    optimizer.zero_grad()
    value = loss(network(images), targets)
    value.backward()
    optimizer.step()
    add(value)
network.eval()
with torch.inference_mode():
    add(*network.state_dict().values(), network(images), network(images[:, :, ::2, ::2]))
features, labels = torch.rand(700, 129), (torch.rand(700, 10) > 0.6).float()
head = torch.zeros(10, 129, requires_grad=True)
optimizer = torch.optim.LBFGS([head], max_iter=60, line_search_fn="strong_wolfe")

def closure():
    head.grad = None
    value = loss(features @ head.T, labels, reduction="sum") + head.square().sum()
    value.backward()
    return value

optimizer.step(closure)
doubles = torch.rand(700, 128, dtype=torch.float64)
add(head, *torch.linalg.svd(doubles), doubles.T @ doubles, doubles.exp().sum(0))
print(torch.__version__, digest.hexdigest(), seconds)
"""


def main() -> None:
    """Run the program by each Python, and again, since the first run reads the wheels from the disk."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", type=Path, nargs=2)
    rows = []
    for python in parser.parse_args().pythons:
        runs = [subprocess.run([python, "-c", PROGRAM], check=True, capture_output=True, text=True) for _ in range(4)]
        builds, hashes, seconds = zip(*(run.stdout.split() for run in runs), strict=True)
        size = sum(file.lstat().st_size for file in python.parent.parent.rglob("*"))
        if len(set(hashes)) > 1:
            raise SystemExit(f"{python}: two runs have different results")
        fastest = min(map(float, seconds[1:]))
        row = {"PyTorch": builds[0], "results, SHA-256": hashes[0][:16], "import, s": fastest}
        rows.append({**row, "environment, GB": size / 1e9})
    table = pd.DataFrame(rows)
    if len({build.partition("+")[0] for build in table["PyTorch"]}) > 1:
        raise SystemExit("the two have different versions of PyTorch")
    equal = "the same bytes" if len(set(table["results, SHA-256"])) == 1 else "DIFFERENT bytes"
    section = (
        "## torch_builds\n\n"
        + measured_by("benchmarks.torch_builds CUDA_PYTHON CPU_PYTHON", [])
        + "\n\n"
        + table.round(2).to_markdown(index=False)
        + f"\n\nOn a CPU both builds compute {equal}.\n"
    )
    write_section("torch_builds", section)


if __name__ == "__main__":
    main()
