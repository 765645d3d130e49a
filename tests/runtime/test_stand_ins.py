import subprocess
import sys

from tests.workspace import PROJECT

# A new process, in which nothing has loaded PyTorch's compiler yet.
PROGRAM = """
import sys
import torch
import counterweight.networks.backbones

assert not [name for name in sys.modules if name.startswith("torch._dynamo")]
assert "_dynamo" not in vars(torch)

from torchvision.ops import roi_align
corners = torch.tensor([[0.0, 0.0, 0.0, 2.0, 2.0]])
assert roi_align(torch.ones(1, 1, 4, 4), corners, output_size=1).item() == 1

import torch._dynamo
assert torch._dynamo.__file__ and torch._dynamo.utils.__file__
assert torch._dynamo.utils is sys.modules["torch._dynamo.utils"]
double = torch.compile(lambda numbers: 2 * numbers, backend="eager")
assert double(torch.ones(2)).tolist() == [2, 2]
"""


def test_backbones_import_without_the_compiler_which_loads_as_usual_afterwards() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], cwd=PROJECT, check=True)


def test_the_compiler_works_after_an_error_in_a_block_without_it() -> None:
    program = """
import sys
from counterweight.runtime.stand_ins import stand_ins
try:
    with stand_ins():
        raise ValueError
except ValueError:
    print([name for name in sys.modules if name.startswith("torch._dynamo")])
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=True, capture_output=True, text=True)
    assert result.stdout == "[]\n"


def test_loaded_compiler_stays_as_it_is() -> None:
    program = "import torch._dynamo.utils as utils, sys; import counterweight.networks.backbones; "
    program += "assert sys.modules['torch._dynamo.utils'] is utils; "
    program += "from torchvision.ops.roi_align import is_compile_supported; "
    program += "assert is_compile_supported is utils.is_compile_supported"
    subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=True)


def test_a_network_trains_without_the_compiler_and_signals() -> None:
    program = """
import sys
import torch
from torch.utils.data import SequentialSampler, TensorDataset
from counterweight.networks.distributed import ProcessGroup
from counterweight.training.losses import Objective, build_loss
from counterweight.training.optimizer import FitConfig, OptimizerConfig
from counterweight.training.trainer import fit

targets = torch.eye(2)[[0, 1, 0, 1]]
examples = TensorDataset(torch.rand(4, 3), targets)
loss = build_loss("bce", targets.numpy().astype("int8"), weighted=False)
config = FitConfig(OptimizerConfig("adam", 0.1, 0, "none", epochs=2), patience=2, batch_size=2)
history = fit(
    torch.nn.Linear(3, 2), Objective(loss, loss, "sigmoid", "loss"), examples, examples,
    sampler=SequentialSampler(examples), config=config, group=ProcessGroup(torch.device("cpu")),
)
loaded = [name for name in sys.modules if name.startswith(("torch._dynamo", "torch._inductor.", "scipy.signal"))]
print(len(history), loaded, torch.are_deterministic_algorithms_enabled())
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=True, capture_output=True, text=True)
    assert result.stdout == "2 [] True\n"


def test_imgaug_imports_without_statistics_and_numba_which_load_as_usual_afterwards() -> None:
    program = """
import sys
import numpy as np
from counterweight.augmentation.imgaug_pipeline import AugmentationPipeline, iaa
assert not [name for name in sys.modules if name.startswith(("scipy.stats", "scipy.spatial", "numba"))]

pixels = np.zeros((8, 8, 3), np.uint8)
assert AugmentationPipeline([{"Add": {"value": 9}}])(pixels, 0).min() == 9
import imgaug.parameters as iap
assert abs(iap.TruncatedNormal(5.0, 1e-3, 4.0, 6.0).draw_sample() - 5) < 0.1
import numba, scipy.spatial.distance, scipy.stats
assert numba.__file__ and scipy.stats.norm.cdf(0) == 0.5 and scipy.spatial.distance.cdist([[0]], [[3]]) == 3
"""
    subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=True)
