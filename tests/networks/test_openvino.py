import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.networks import openvino
from counterweight.networks.backbones import Backbone
from counterweight.networks.inference import CPU_BATCH, Compute, extract_features
from counterweight.networks.loader import ImageFiles, Preprocessing
from counterweight.networks.openvino import build_engine, fuse_conv_bn
from counterweight.networks.weights import load_weights
from tests.conftest import skip_without_bfloat16
from tests.workspace import PROJECT

pytest.importorskip("openvino", reason="make cpu installs it")

CPU = torch.device("cpu")
SIZE = (32, 32)
WHOLE = Preprocessing("none", SIZE)
SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ImageFiles:
    """Blots of random colors, one more than two batches."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(2 * CPU_BATCH + 1)]
    blots = [np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in paths]
    return ImageFiles(paths, [codec.write(blot, path, "png") for blot, path in zip(blots, paths, strict=True)])


@pytest.fixture(scope="module")
def network() -> Backbone:
    torch.manual_seed(0)
    return Backbone("resnet18", "layer2", SIZE)


def randomize_batch_norms(network: Backbone) -> Backbone:
    """Give batch norms means, variances, scales and shifts other than 0 and 1, as training does."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_var, module.weight):
                nn.init.uniform_(values, 0.5, 2)
            for values in (module.running_mean, module.bias):
                nn.init.normal_(values)
    return network


def engine_of(name: str, network: Backbone, files: ImageFiles) -> tuple[nn.Module, str]:
    return build_engine(name, network, files, WHOLE, CPU)


def rows(network: nn.Module, files: ImageFiles, workers: int = 0) -> NDArray[np.float32]:
    return extract_features(network, files, WHOLE, Compute(CPU, workers))


def count_batch_norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.fixture(scope="module")
def trained() -> Backbone:
    torch.manual_seed(0)
    return randomize_batch_norms(Backbone("resnet18", "layer2", SIZE))


def test_torch_engine_fuses_batch_norms(trained: Backbone, files: ImageFiles) -> None:
    engine, name = engine_of("torch", trained, files)
    assert name == "torch"
    assert (count_batch_norms(engine), count_batch_norms(trained)) == (0, 10)
    found, expected = rows(engine, files), rows(trained, files)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("model", "left"),
    [("densenet121", 62), ("inception_v3", 0), ("mobilenet_v3_small", 0), ("swin_t", 0), ("vgg11_bn", 0)],
)
def test_fused_network_gives_the_same_outputs(model: str, left: int) -> None:
    torch.manual_seed(0)
    network = randomize_batch_norms(Backbone(model, None, (96, 96))).eval()
    images = torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8)
    fused = fuse_conv_bn(network)
    with torch.inference_mode():
        found, expected = fused(images), network(images)
    assert count_batch_norms(fused) == left
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * expected.abs().max().item())


def test_torch_engine_on_a_gpu_returns_the_network_itself(network: Backbone, files: ImageFiles) -> None:
    """On a GPU, autocast keeps batch norm in float32."""
    engine, _ = build_engine("torch", network, files, WHOLE, torch.device("cuda"))
    assert engine is network


def test_rows_of_openvino_differ_from_torchs_by_rounding_only(network: Backbone, files: ImageFiles) -> None:
    compiled, name = engine_of("openvino", network, files)
    assert name.startswith("openvino 20")
    np.testing.assert_allclose(rows(compiled, files), rows(network, files), rtol=1e-4, atol=1e-5)


@pytest.fixture
def bfloat16_engine(network: Backbone, files: ImageFiles) -> nn.Module:
    skip_without_bfloat16("openvino_bf16")
    return engine_of("openvino_bf16", network, files)[0]


def test_rows_of_bfloat16_are_close_to_torchs(bfloat16_engine: nn.Module, network: Backbone, files: ImageFiles) -> None:
    found, expected = rows(bfloat16_engine, files), rows(network, files)
    off = np.linalg.norm(found - expected) / np.linalg.norm(expected - expected.mean(axis=0))
    # Each rounding error is at most 1/512, and those of the layers add up.
    assert 0.0001 < off < 0.03


def test_row_of_bfloat16_does_not_depend_on_its_batch(bfloat16_engine: nn.Module, files: ImageFiles) -> None:
    alone = [rows(bfloat16_engine, files.take([i]))[0] for i in (0, 5, 16)]
    np.testing.assert_array_equal(rows(bfloat16_engine, files)[[0, 5, 16]], alone)


def test_cpu_without_bfloat16_is_an_error(
    network: Backbone, files: ImageFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "supports_bfloat16", lambda: False)
    with pytest.raises(InputError, match=r"openvino_bf16, and this CPU does not compute in bfloat16\. Set it to"):
        engine_of("openvino_bf16", network, files)


def test_openvino_does_not_change_our_log(network: Backbone, files: ImageFiles) -> None:
    root = logging.getLogger()
    before = (root.level, [(each, each.level) for each in root.handlers], list(root.filters))
    engine_of("openvino_int8", network, files)
    assert (root.level, [(each, each.level) for each in root.handlers], list(root.filters)) == before


@pytest.fixture(scope="module")
def int8_engine(network: Backbone, files: ImageFiles) -> nn.Module:
    return engine_of("openvino_int8", network, files)[0]


def test_rows_of_int8_are_close_to_torchs(int8_engine: nn.Module, network: Backbone, files: ImageFiles) -> None:
    found, expected = rows(int8_engine, files), rows(network, files)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99
    assert np.abs(found - expected).max() > 0


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="real photographs and weights are not beside the project")
def test_int8_changes_rows_of_photographs_by_less_than_3_percent_of_their_spread() -> None:
    photographs = Backbone("resnet18", "layer3", (224, 224))
    load_weights(photographs, str(SHARED / "weights/resnet18-imagenet-through-layer3.safetensors"))
    paths = sorted((SHARED / "datasets/miml_scenes/images").iterdir())[::20]
    images = ImageFiles(paths, [codec.checksum(path.read_bytes()) for path in paths])
    preprocessing = Preprocessing("center", (224, 224))
    found, expected = (
        extract_features(
            build_engine(name, photographs, images, preprocessing, CPU)[0], images, preprocessing, Compute(CPU, 2)
        )
        for name in ("openvino_int8", "torch")
    )
    assert np.linalg.norm(found - expected) < 0.03 * np.linalg.norm(expected - expected.mean(axis=0))


SIGNALS_AFTER_ENGINES = """
import os, signal
import torch
from counterweight.networks.backbones import Backbone
from counterweight.networks.openvino import OpenVINOModule
torch.manual_seed(0)
network = Backbone("resnet18", "layer2", (32, 32))
batch = torch.zeros(8, 32, 32, 3, dtype=torch.uint8)
for _ in range(3):
    engine = OpenVINOModule(network, (32, 32), calibration=batch)
del engine
received = []
signal.signal(signal.SIGUSR1, lambda *_: received.append(1))
os.kill(os.getpid(), signal.SIGUSR1)
print(len(received))
"""


def test_signal_after_several_engines_does_not_crash_the_process() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SIGNALS_AFTER_ENGINES], cwd=PROJECT, capture_output=True, text=True, timeout=300
    )
    assert (ran.returncode, ran.stdout) == (0, "1\n"), ran.stderr


@pytest.mark.parametrize("name", ["torch", "openvino_int8"])
def test_row_does_not_depend_on_its_batch_or_on_workers(name: str, trained: Backbone, files: ImageFiles) -> None:
    engine = engine_of(name, trained, files)[0]
    alone = [rows(engine, files.take([i]))[0] for i in (0, 5, 16)]
    np.testing.assert_array_equal(rows(engine, files)[[0, 5, 16]], alone)
    reverse = files.take(reversed(range(len(files))))
    np.testing.assert_array_equal(rows(engine, reverse, workers=2)[::-1], rows(engine, files))


@pytest.mark.parametrize("name", ["openvino", "openvino_bf16", "openvino_int8"])
def test_row_of_openvino_does_not_depend_on_the_number_of_threads(
    name: str, trained: Backbone, files: ImageFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_without_bfloat16(name)
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        engine = engine_of(name, trained, files)[0]
        assert engine.batches_at_once == 2 * threads
        results.append(rows(engine, files))
    np.testing.assert_array_equal(results[1:], [results[0], results[0]])


class Interrupted:
    """Requests whose second one fails, as if a decoding process had been killed at that moment."""

    def __init__(self, requests: Any) -> None:
        self.requests = requests

    def __getattr__(self, name: str) -> Any:
        return getattr(self.requests, name)

    def start_async(self, inputs: Any, number: int) -> None:
        if number:
            raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed.")
        self.requests.start_async(inputs, number)


def test_interrupted_call_leaves_no_request_running(network: Backbone) -> None:
    engine = openvino.OpenVINOModule(network, (224, 224))
    images = torch.randint(0, 256, (2 * CPU_BATCH, 224, 224, 3), dtype=torch.uint8)
    expected, requests = engine(images), engine.requests
    engine.requests = Interrupted(requests)
    with pytest.raises(RuntimeError, match="is killed"):
        engine(images)
    engine.requests = requests
    assert torch.equal(engine(images), expected)


def test_calibration_does_not_depend_on_the_order_of_the_images(
    int8_engine: nn.Module, network: Backbone, files: ImageFiles
) -> None:
    again, name = engine_of("openvino_int8", network, files.take(reversed(range(len(files)))))
    assert name == engine_of("openvino_int8", network, files)[1]
    np.testing.assert_array_equal(rows(again, files), rows(int8_engine, files))


def test_name_depends_on_the_calibration_images(network: Backbone, files: ImageFiles) -> None:
    fewer = files.take(range(1, len(files)))
    assert engine_of("openvino_int8", network, fewer)[1] != engine_of("openvino_int8", network, files)[1]


def test_openvino_on_a_gpu_is_an_error(network: Backbone, files: ImageFiles) -> None:
    with pytest.raises(InputError, match=r"features\.engine is openvino, which computes on the CPU"):
        build_engine("openvino", network, files, WHOLE, torch.device("cuda"))


@pytest.mark.parametrize(
    ("name", "missing", "product"),
    [
        ("openvino", "openvino", "OpenVINO"),
        ("openvino_bf16", "openvino", "OpenVINO"),
        ("openvino_int8", "nncf", "NNCF"),
    ],
)
def test_engine_that_is_not_installed_is_an_error(
    name: str, missing: str, product: str, network: Backbone, files: ImageFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError, match=f"{product} is not installed. Run make cpu"):
        engine_of(name, network, files)
