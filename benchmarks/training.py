"""How fast networks are trained, beside a plain PyTorch loop over the same images.

    python -m benchmarks.training [--data ../shared] [--model resnet18 | --another-loss | --gpu]

Both train the same architecture from scratch, with the same batches and optimizer, and look at the validation images
after each epoch. The plain loop holds normalized tensors in memory; where images are decoded, it is torchvision's
reference loop, whose loader has as many worker processes. They run in turn, and the best of three counts, in a process
each, as a stage does. With --model, only its rows are measured, and the others stay. With --another-loss, only the
whole command of another loss on a frozen body is measured, which otherwise comes first. With --gpu, trainings on a GPU
are, beside a loop in bfloat16 whose tensors are there already; where there is none, the section says so. The results go
into benchmarks/README.md.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets.folder import default_loader
from torchvision.models import resnet18
from torchvision.transforms import v2

from benchmarks import as_written
from benchmarks.common import data_parser, measured_by, read_rows, scenes, write_section
from counterweight.images import codec
from counterweight.networks.backbones import normalize
from counterweight.networks.classifier import Classifier, ModelConfig
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.loader import ArrayDataset, ImageFiles, Preprocessing
from counterweight.runtime.cache import Cache
from counterweight.training.datasets import ArmImages
from counterweight.training.losses import Objective, build_loss
from counterweight.training.optimizer import FitConfig, OptimizerConfig
from counterweight.training.sampler import SeededSampler, build_sampler
from counterweight.training.trainer import Examples, fit
from counterweight.training.transforms import TransformedDataset
from tests.workspace import make_workspace, run

THREADS, TURNS = 2, 3
RANDOM_CROP: Sequence[Mapping[str, Mapping[str, Any]]] = [
    {"RandomResizedCrop": {}},
    {"RandomHorizontalFlip": {"p": 0.5}},
]


@dataclass(frozen=True)
class Case:
    """What is trained: an architecture, the side of its images in pixels, and how often it sees them."""

    model: str
    side: int
    channels: int
    n_train: int
    n_validation: int
    batch_size: int
    epochs: int
    files: Path | None = None  # Images to decode; without, random pixels are in memory.
    device: str = "cpu"

    @property
    def name(self) -> str:
        """What the row says."""
        decoded = ", decoded from 400 x 400 and cropped at random" if self.files else ""
        return f"{self.model}, {self.side} x {self.side} x {self.channels}{decoded}"


CASES = (
    Case("convnet6", 32, 3, 4000, 1000, 64, 3),
    Case("cnn0", 64, 1, 13_260, 1000, 128, 2),
    Case("cnn2_dropout", 64, 1, 13_260, 1000, 128, 1),
    Case("resnet18", 96, 3, 1600, 400, 32, 1),
)

GPU_CASES = (
    Case("convnet6", 32, 3, 60_000, 6000, 256, 3, device="cuda"),
    Case("resnet18", 96, 3, 12_000, 1200, 128, 3, device="cuda"),
    Case("resnet18", 224, 3, 6000, 600, 128, 3, device="cuda"),
)


def images(case: Case) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Tensor, Tensor]:
    """Return train and validation images, and two classes at random."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (case.n_train + case.n_validation, case.side, case.side, 3), dtype=np.uint8)
    targets = torch.nn.functional.one_hot(torch.from_numpy(rng.integers(0, 2, len(pixels))), 2).float()
    train, validation = np.split(pixels, [case.n_train])
    return train, validation, targets[: case.n_train], targets[case.n_train :]


def files_of(case: Case) -> tuple[list[Path], list[Path], Tensor, Tensor]:
    """Return train and validation files, and two classes at random."""
    assert case.files is not None
    _, _, y_train, y_validation = images(Case(case.model, 1, 3, case.n_train, case.n_validation, 1, 1))
    found = sorted(case.files.iterdir())[: case.n_train + case.n_validation]
    return found[: case.n_train], found[case.n_train :], y_train, y_validation


def classifier(case: Case) -> Classifier:
    """Build the network with random weights."""
    torch.manual_seed(0)
    return Classifier(
        ModelConfig(
            case.model,
            None,
            "relu",
            "average",
            flip_tta=False,
            channels=case.channels,
            labels=["cat", "dog"],
            task="binary",
            scores="softmax",
            crop="none",
            input_size=(case.side, case.side),
            resize={},
            frozen=False,
        )
    )


def train_here(case: Case) -> float:
    """Return the seconds of a training as the stage `train` does it."""
    network, transformed, group = classifier(case), case.files is not None, ProcessGroup(torch.device(case.device))
    objective = Objective(
        *(build_loss("cross_entropy", np.eye(2, dtype=np.int8), weighted=False),) * 2, "softmax", "f1"
    )
    fitting = FitConfig(
        OptimizerConfig("adam", 1e-3, 0.0, "none", case.epochs), case.epochs, case.batch_size, THREADS * transformed
    )
    sampler: Any = build_sampler(case.n_train, 0, None)
    with tempfile.TemporaryDirectory() as folder:
        cache, started = Cache(Path(folder) / "cache", 10**10), time.perf_counter()
        train: Examples
        if transformed:
            *parts, y_train, y_validation = files_of(case)
            arm = ArmImages(Path(), Path(), group, THREADS, cache)
            checked = [ImageFiles(part, [codec.checksum(file.read_bytes()) for file in part]) for part in parts]
            views = [arm.views(part, Preprocessing("none", (case.side, case.side))) for part in checked]
            assert views[0] is not None
            assert views[1] is not None
            train, validation = ArrayDataset(views[0], y_train), ArrayDataset(views[1], y_validation)
            train, sampler = TransformedDataset(train, RANDOM_CROP, (case.side, case.side)), SeededSampler(sampler, 0)
        else:
            x_train, x_validation, y_train, y_validation = images(case)
            train, validation = ArrayDataset(x_train, y_train), ArrayDataset(x_validation, y_validation)
            started = time.perf_counter()
        fit(
            network, objective, train, validation, sampler=sampler, config=fitting, group=group,
            checkpoint=Path(folder) / "checkpoint",
        )  # fmt: skip
        return time.perf_counter() - started


class Decoded(Dataset[tuple[Tensor, Tensor]]):
    """Image files as torchvision's reference reads them."""

    def __init__(self, files: Sequence[Path], targets: Tensor, change: Callable[[Any], Tensor]) -> None:
        self.files, self.targets, self.change = files, targets, change

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Decode one."""
        return self.change(default_loader(self.files[index])), self.targets[index]


def train_plainly(case: Case) -> float:
    """Return the seconds of a training by a plain loop."""
    built = classifier(case)
    body = built.body
    # Without the layer that normalizes: the tensors are normalized.
    network = nn.Sequential(*list(body)[1:], built.head) if isinstance(body, nn.Sequential) else resnet18(num_classes=2)
    device, on_gpu = torch.device(case.device), case.device == "cuda"
    network.to(device)
    if on_gpu:
        network.to(memory_format=torch.channels_last)
    optimizer, loss = torch.optim.Adam(network.parameters(), 1e-3), nn.CrossEntropyLoss()
    if case.files is None:
        x_train, x_validation, y_train, y_validation = images(case)
        train, validation, y_train, y_validation = (
            part.to(device) for part in (_tensors(case, x_train), _tensors(case, x_validation), y_train, y_validation)
        )

        def batches() -> Any:
            return ((train[rows], y_train[rows]) for rows in torch.split(torch.randperm(len(train)), case.batch_size))

        def checks() -> Any:
            return zip(*(torch.split(part, case.batch_size) for part in (validation, y_validation)), strict=True)

        started = time.perf_counter()
    else:
        started = time.perf_counter()
        f_train, f_validation, y_train, y_validation = files_of(case)
        to_tensor = [v2.PILToTensor(), v2.ToDtype(torch.float, scale=True)]
        to_tensor.append(v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        cropped = v2.Compose([v2.RandomResizedCrop(case.side), v2.RandomHorizontalFlip(), *to_tensor])
        whole = v2.Compose([v2.Resize(256), v2.CenterCrop(case.side), *to_tensor])
        first = DataLoader(Decoded(f_train, y_train, cropped), case.batch_size, shuffle=True, num_workers=THREADS)
        second = DataLoader(Decoded(f_validation, y_validation, whole), case.batch_size, num_workers=THREADS)
        batches, checks = lambda: iter(first), lambda: iter(second)
    for _ in range(case.epochs):
        network.train()
        for inputs, targets in batches():
            optimizer.zero_grad()
            with torch.autocast(case.device, torch.bfloat16, enabled=on_gpu):
                outputs = network(inputs)
            loss(outputs.float(), targets).backward()
            optimizer.step()
        network.eval()
        with torch.inference_mode():
            for inputs, targets in checks():
                with torch.autocast(case.device, torch.bfloat16, enabled=on_gpu):
                    outputs = network(inputs)
                loss(outputs.float(), targets)
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _tensors(case: Case, pixels: NDArray[np.uint8]) -> Tensor:
    """Return normalized images, (n, channels, height, width), in memory as PyTorch has it by default."""
    tensors = normalize(torch.from_numpy(pixels)).contiguous()
    return tensors if case.channels == 3 else tensors[:, :1].contiguous()


def in_turn(case: Case) -> dict[str, Any]:
    """Return a row: images a second of both, in processes of their own, one after the other."""
    best = {"plain": np.inf, "here": np.inf}
    for _ in range(TURNS):
        for way in best:
            given = json.dumps(case.__dict__, default=str)
            command = [sys.executable, "-m", "benchmarks.training", "--one", way, given]
            result = subprocess.run(command, check=True, capture_output=True, text=True)
            best[way] = min(best[way], float(result.stdout))
    plain, here = (case.n_train * case.epochs / best[way] for way in ("plain", "here"))
    row = {
        "training": case.name,
        "plain loop": round(plain),
        "here": round(here),
        "times faster": round(here / plain, 2),
        "measured": str(date.today()),
    }
    print(row, flush=True)  # noqa: T201
    return row


def measure_another_loss(data: Path) -> None:
    """Measure the commands that train on a frozen body with another loss, and write the section."""
    with tempfile.TemporaryDirectory() as temporary:
        one_arm, all_arms, images_in = another_loss(data, Path(temporary) / "scenes")
    measured = measured_by("benchmarks.training --another-loss", ("torch", "dvc"))
    sentence = (
        f"The whole `dvc exp run` with another loss, a frozen ResNet-18, {images_in:,} photographs: {one_arm:.0f} s "
        f"for a training and its evaluation (`evaluate@copies`), {all_arms:.0f} s for those of four arms with "
        "comparison, explanations and report"
    )
    write_section("another loss", f"{measured} {sentence}.\n")


def another_loss(data: Path, project: Path) -> tuple[float, float, int]:
    """Return the seconds of the command for one arm and for all of them, and the number of images."""
    project.mkdir()
    run(project, "git", "init", "--quiet")  # Experiments are commits.
    run(project, "git", "config", "user.name", "A User")
    run(project, "git", "config", "user.email", "user@example.invalid")
    make_workspace(project, scenes(data) | {"train.optimizer": "lbfgs"}, scm=True)
    run(project, "dvc", "repro")
    run(project, "git", "add", ".")
    run(project, "git", "commit", "--quiet", "--message", "before")

    def seconds(*options: str) -> float:
        started = time.perf_counter()
        run(project, "dvc", "exp", "run", "-S", *options)
        return time.perf_counter() - started

    one_arm, all_arms = seconds("train.loss=focal", "evaluate@copies"), seconds("train.loss=asymmetric")
    return one_arm, all_arms, len(pd.read_csv(project / "data/manifest.csv"))


def measure(data: Path, model: str | None) -> None:
    """Measure the cases of a model, or all, and write the section."""
    columns = ("training", "plain loop", "here", "times faster", "measured")
    kept = {row[0]: dict(zip(columns, row, strict=True)) for row in read_rows("training")}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "resized"
        as_written.resize(sorted((data / "datasets/miml_scenes/images").iterdir())[:1000], folder)
        decoded = Case("resnet18", 224, 3, 480, 120, 32, 2, folder)
        rows = [in_turn(case) if model in {None, case.model} else kept[case.name] for case in (*CASES, decoded)]
    table = pd.DataFrame(rows).to_markdown(index=False)
    measured = (
        f"{measured_by('benchmarks.training', ('torch', 'lightning'))} The versions are those of the last rows. "
        "Images a second, the best of three, rounded, but not for the ratio."
    )
    write_section("training", f"## training\n\n{measured}\n\n{table}\n")


def measure_on_gpu() -> None:
    """Measure the cases of a GPU, if there is one, and write the section."""
    rows = "Not measured yet: `make bench-gpu` on a machine with a GPU.\n"
    if torch.cuda.is_available():
        table = pd.DataFrame([in_turn(case) for case in GPU_CASES]).to_markdown(index=False)
        device = torch.cuda.get_device_name()
        measured = measured_by("benchmarks.training --gpu", ("torch", "lightning"))
        rows = f"{measured} {device}. Images a second, the best of three.\n\n{table}\n"
    write_section("gpu training", f"## gpu training\n\n{rows}")


def one(way: str, case: str) -> float:
    """Return the seconds of one training."""
    torch.set_num_threads(THREADS)
    given = json.loads(case)
    chosen = Case(**given | {"files": given["files"] and Path(given["files"])})
    return train_here(chosen) if way == "here" else train_plainly(chosen)


if __name__ == "__main__":
    parser = data_parser(__doc__)
    parser.add_argument("--one", nargs=2, metavar=("WAY", "CASE"), help="used by this command itself")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--model", choices=sorted({case.model for case in CASES}), help="measure its rows alone")
    part.add_argument("--another-loss", action="store_true", help="measure dvc exp run with another loss alone")
    part.add_argument("--gpu", action="store_true", help="measure trainings on a GPU alone")
    arguments = parser.parse_args()
    if arguments.one:
        print(one(*arguments.one))  # noqa: T201
    elif arguments.gpu:
        measure_on_gpu()
    else:
        if arguments.model is None:
            measure_another_loss(arguments.data.resolve())
        if not arguments.another_loss:
            measure(arguments.data.resolve(), arguments.model)
