import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.networks import openvino
from counterweight.networks.backbones import Backbone, load_weights
from counterweight.networks.inference import CPU_BATCH, rows_of
from counterweight.networks.openvino import engine_of, folded
from tests.conftest import skip_without_bfloat16
from tests.workspace import PROJECT

pytest.importorskip("openvino", reason="make cpu installs it")

CPU = torch.device("cpu")
SIZE = (32, 32)
SHARED = Path(__file__).parents[3] / "shared"

Files = tuple[list[Path], list[str]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Blots of other colours, one more than two batches."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(2 * CPU_BATCH + 1)]
    blots = [np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in paths]
    return paths, [codec.write(blot, path, "png") for blot, path in zip(blots, paths, strict=True)]


@pytest.fixture(scope="module")
def network() -> Backbone:
    torch.manual_seed(0)
    return Backbone("resnet18", "layer2", SIZE)


def with_statistics(network: Backbone) -> Backbone:
    """Give its norms means, variances, scales and shifts as training leaves them: none is 0 or 1."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_var, module.weight):
                nn.init.uniform_(values, 0.5, 2)
            for values in (module.running_mean, module.bias):
                nn.init.normal_(values)
    return network


def run_by(name: str, network: Backbone, files: Files) -> tuple[nn.Module, str]:
    return engine_of(name, network, *files, view="whole", size=SIZE, device=CPU)


def rows(network: nn.Module, paths: list[Path], checksums: list[str], workers: int = 0) -> np.ndarray:
    return rows_of(network, paths, checksums, view="whole", size=SIZE, device=CPU, workers=workers)


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.fixture(scope="module")
def trained() -> Backbone:
    torch.manual_seed(0)
    return with_statistics(Backbone("resnet18", "layer2", SIZE))


def test_torch_runs_a_network_without_batch_norm_of_its_own(trained: Backbone, files: Files) -> None:
    run_by_torch, name = run_by("torch", trained, files)
    assert name == "torch"
    assert (norms(run_by_torch), norms(trained)) == (0, 10)
    found, expected = rows(run_by_torch, *files), rows(trained, *files)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("model", "left"),
    [("densenet121", 62), ("inception_v3", 0), ("mobilenet_v3_small", 0), ("swin_t", 0), ("vgg11_bn", 0)],
)
def test_every_kind_of_network_says_the_same_without_its_batch_norms(model: str, left: int) -> None:
    torch.manual_seed(0)
    network = with_statistics(Backbone(model, None, (96, 96))).eval()
    seen = torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8)
    fewer = folded(network)
    with torch.inference_mode():
        found, expected = fewer(seen), network(seen)
    assert norms(fewer) == left
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * expected.abs().max().item())


def test_torch_on_a_gpu_runs_a_network_as_it_is(network: Backbone, files: Files) -> None:
    """There, autocast keeps batch norm in float32."""
    found, _ = engine_of("torch", network, *files, view="whole", size=SIZE, device=torch.device("cuda"))
    assert found is network


def test_rows_of_openvino_are_torchs_but_for_rounding(network: Backbone, files: Files) -> None:
    compiled, name = run_by("openvino", network, files)
    assert name.startswith("openvino 20")
    np.testing.assert_allclose(rows(compiled, *files), rows(network, *files), rtol=1e-4, atol=1e-5)


@pytest.fixture
def half(network: Backbone, files: Files) -> nn.Module:
    skip_without_bfloat16("openvino_bf16")
    return run_by("openvino_bf16", network, files)[0]


def test_rows_of_bfloat16_are_near_to_torchs(half: nn.Module, network: Backbone, files: Files) -> None:
    found, expected = rows(half, *files), rows(network, *files)
    off = np.linalg.norm(found - expected) / np.linalg.norm(expected - expected.mean(axis=0))
    # Each rounding is by a 512th at most, and those of the layers add up.
    assert 0.0001 < off < 0.03


def test_row_of_bfloat16_does_not_depend_on_its_batch(half: nn.Module, files: Files) -> None:
    paths, checksums = files
    alone = [rows(half, paths[i : i + 1], checksums[i : i + 1])[0] for i in (0, 5, 16)]
    np.testing.assert_array_equal(rows(half, *files)[[0, 5, 16]], alone)


def test_cpu_without_bfloat16_is_an_error(network: Backbone, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "computes_bfloat16", lambda: False)
    with pytest.raises(InputError, match=r"openvino_bf16, and this CPU does not compute in bfloat16\. Set it to"):
        run_by("openvino_bf16", network, files)


def test_openvino_leaves_the_log_as_it_was(network: Backbone, files: Files) -> None:
    root = logging.getLogger()
    before = (root.level, [(each, each.level) for each in root.handlers], list(root.filters))
    run_by("openvino_int8", network, files)
    assert (root.level, [(each, each.level) for each in root.handlers], list(root.filters)) == before


@pytest.fixture(scope="module")
def quantised(network: Backbone, files: Files) -> nn.Module:
    return run_by("openvino_int8", network, files)[0]


def test_rows_of_eight_bits_are_near_to_torchs(quantised: nn.Module, network: Backbone, files: Files) -> None:
    found, expected = rows(quantised, *files), rows(network, *files)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99
    assert np.abs(found - expected).max() > 0


@pytest.mark.skipif(not SHARED.exists(), reason="real photographs and weights are not beside the project")
def test_eight_bits_change_rows_of_photographs_by_less_than_three_hundredths_of_their_spread() -> None:
    photographs = Backbone("resnet18", "layer3", (224, 224))
    load_weights(photographs, str(SHARED / "weights/resnet18-imagenet-through-layer3.safetensors"))
    paths = sorted((SHARED / "datasets/miml_scenes/images").iterdir())[::20]
    asked: dict[str, Any] = {"view": "centre", "size": (224, 224), "device": CPU}
    checksums = [codec.checksum(path.read_bytes()) for path in paths]
    found, expected = (
        rows_of(engine_of(name, photographs, paths, checksums, **asked)[0], paths, checksums, **asked, workers=2)
        for name in ("openvino_int8", "torch")
    )
    assert np.linalg.norm(found - expected) < 0.03 * np.linalg.norm(expected - expected.mean(axis=0))


SIGNALS_AFTER_ENGINES = """
import os, signal
import torch
from counterweight.networks.backbones import Backbone
from counterweight.networks.openvino import Compiled
torch.manual_seed(0)
network = Backbone("resnet18", "layer2", (32, 32))
batch = torch.zeros(8, 32, 32, 3, dtype=torch.uint8)
for _ in range(3):
    engine = Compiled(network, (32, 32), calibration=[batch])
del engine
told = []
signal.signal(signal.SIGUSR1, lambda *_: told.append(1))
os.kill(os.getpid(), signal.SIGUSR1)
print(len(told))
"""


def test_a_signal_after_several_engines_does_not_end_the_process() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SIGNALS_AFTER_ENGINES], cwd=PROJECT, capture_output=True, text=True, timeout=300
    )
    assert (ran.returncode, ran.stdout) == (0, "1\n"), ran.stderr


@pytest.mark.parametrize("engine", ["torch", "openvino_int8"])
def test_row_depends_neither_on_its_batch_nor_on_workers(engine: str, trained: Backbone, files: Files) -> None:
    runs, (paths, checksums) = run_by(engine, trained, files)[0], files
    alone = [rows(runs, paths[i : i + 1], checksums[i : i + 1])[0] for i in (0, 5, 16)]
    np.testing.assert_array_equal(rows(runs, *files)[[0, 5, 16]], alone)
    np.testing.assert_array_equal(rows(runs, paths[::-1], checksums[::-1], workers=2)[::-1], rows(runs, *files))


@pytest.mark.parametrize("engine", ["openvino", "openvino_bf16", "openvino_int8"])
def test_row_of_openvino_does_not_depend_on_threads(
    engine: str, trained: Backbone, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_without_bfloat16(engine)
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        runs = run_by(engine, trained, files)[0]
        assert runs.at_once == 2 * threads
        found.append(rows(runs, *files))
    np.testing.assert_array_equal(found[1:], [found[0], found[0]])


class Interrupted:
    """Requests of which the second is not made: what happens when a process that decodes is killed then."""

    def __init__(self, requests: Any) -> None:
        self.requests = requests

    def __getattr__(self, name: str) -> Any:
        return getattr(self.requests, name)

    def start_async(self, inputs: Any, number: int) -> None:
        if number:
            raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed.")
        self.requests.start_async(inputs, number)


def test_a_call_that_was_interrupted_leaves_nothing_running(network: Backbone) -> None:
    runs = openvino.Compiled(network, (224, 224))
    seen = torch.randint(0, 256, (2 * CPU_BATCH, 224, 224, 3), dtype=torch.uint8)
    expected, requests = runs(seen), runs.requests
    runs.requests = Interrupted(requests)
    with pytest.raises(RuntimeError, match="is killed"):
        runs(seen)
    runs.requests = requests
    assert torch.equal(runs(seen), expected)


def test_calibration_does_not_depend_on_the_order_of_the_images(
    quantised: nn.Module, network: Backbone, files: Files
) -> None:
    again, name = run_by("openvino_int8", network, (files[0][::-1], files[1][::-1]))
    assert name == run_by("openvino_int8", network, files)[1]
    np.testing.assert_array_equal(rows(again, *files), rows(quantised, *files))


def test_rows_of_another_calibration_are_told_apart(network: Backbone, files: Files) -> None:
    fewer = (files[0][1:], files[1][1:])
    assert run_by("openvino_int8", network, fewer)[1] != run_by("openvino_int8", network, files)[1]


def test_openvino_on_a_gpu_is_an_error(network: Backbone, files: Files) -> None:
    with pytest.raises(InputError, match=r"features\.engine is openvino, which computes on the CPU"):
        engine_of("openvino", network, *files, view="whole", size=SIZE, device=torch.device("cuda"))


@pytest.mark.parametrize(
    ("engine", "missing", "what"),
    [
        ("openvino", "openvino", "OpenVINO"),
        ("openvino_bf16", "openvino", "OpenVINO"),
        ("openvino_int8", "nncf", "NNCF"),
    ],
)
def test_engine_that_is_not_installed_is_an_error(
    engine: str, missing: str, what: str, network: Backbone, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError, match=f"{what} is not installed. Run make cpu"):
        run_by(engine, network, files)
