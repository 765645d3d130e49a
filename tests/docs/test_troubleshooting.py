"""Every message of docs/troubleshooting.md, provoked: it is what the code says, but for its numbers."""

import fcntl
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset
from torchvision.models import ResNet18_Weights

from counterweight.base import limits
from counterweight.base.errors import InputError
from counterweight.base.outputs import atomic_folder
from counterweight.base.params import load_params
from counterweight.clustering.kmeans import fit_clusters
from counterweight.images import codec
from counterweight.images.sources import open_images
from counterweight.metrics import decisions
from counterweight.metrics.imbalance import rarer_label_warnings
from counterweight.networks import loader, openvino
from counterweight.networks.backbones import Backbone
from counterweight.networks.distributed import ProcessGroup, init_process_group
from counterweight.networks.openvino import OpenVINOModule
from counterweight.networks.weights import load_weights
from counterweight.runtime.dask_pool import dask_workers
from counterweight.runtime.parallel import map_isolated
from counterweight.sheets.sheet_writer import write_sheet
from recipes.experiments import clean_commit
from stages import init
from tests.test_bad_input import FEW, STAGES, Dataset
from tests.training.test_trainer import fitted, line
from tests.workspace import PROJECT, run, write_params

GUIDE = (PROJECT / "docs/troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = re.findall(r"^```text\n(.*?)\n```", GUIDE, re.DOTALL | re.MULTILINE)


def numberless(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "N", text)


class Case:
    """A folder of its own, in which a message is provoked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        self.folder, self.patch, self.caplog = folder, monkeypatch, caplog

    def run_to(self, last: str, spoil: Callable[[Dataset], object] = lambda data: None, **changes: object) -> str:
        """Run the stages on ten images up to one, and return what was warned of."""
        data = Dataset(self.folder)
        spoil(data)
        write_sheet(data.columns, data.rows, Path("labels.xlsx"), "xlsx")
        write_params(Path("params.yaml"), FEW | {name.replace("__", "."): value for name, value in changes.items()})
        for stage in list(STAGES)[: list(STAGES).index(last) + 1]:
            main, options = STAGES[stage]
            main(options)
        return self.caplog.text


def two_names_wrong(case: Case) -> None:
    write_params(Path("params.yaml"), {})
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("  n_clusters: 5", "  cluster: 5"))
    load_params(Path("params.yaml"))


def no_params(case: Case) -> None:
    load_params(Path("params.yaml"))


def params_of_ones_own(case: Case) -> None:
    Dataset(case.folder)
    write_params(Path("params.yaml"), {"data.images": "photos"})
    init.main(["--images", "images", "--sheet", "labels.xlsx"])


def rows_wrong(case: Case) -> str:
    def spoil(data: Dataset) -> None:
        data.rows[1][0], data.rows[2][1] = "a.png", "tset"

    return case.run_to("ingest", spoil)


def no_folder(case: Case) -> None:
    open_images(Path("photos"))


def image_in_two_parts(case: Case) -> str:
    return case.run_to("ingest", lambda data: data.draw(0).save(data.images / "9.png"))


def image_changed(case: Case) -> None:
    codec.write(np.zeros((8, 8, 3), np.uint8), Path("data/resized/0.png"), "png")
    codec.read(Path("data/resized/0.png"), "0" * 64)


def no_network(case: Case) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("offline")

    case.patch.setattr(ResNet18_Weights.IMAGENET1K_V1.__class__, "get_state_dict", offline)
    case.patch.setattr(torch.hub, "get_dir", lambda: "cache/hub")
    load_weights(Backbone("resnet18", "layer1", (8, 8)), "IMAGENET1K_V1")


def random_weights(case: Case) -> str:
    return case.run_to("features")


def few_images(case: Case) -> None:
    fit_clusters(np.zeros((40, 4), np.float32), algorithm="kmeans", n_components=2, n_clusters=50, seed=0, sweep=[])


def equal_images(case: Case) -> None:
    fit_clusters(np.zeros((40, 4), np.float32), algorithm="kmeans", n_components=2, n_clusters=2, seed=0, sweep=[])


def copies_lack(case: Case) -> str:
    return case.run_to("augment", cluster__n_clusters=3, augment__copies_per_image=1)


def image_unfit(case: Case) -> str:
    return case.run_to("augment", cluster__n_clusters=3, augment__quality__min_std=255.0, augment__quality__max_draws=2)


def label_rarer(case: Case) -> str:
    return rarer_label_warnings(np.array([[1, 0], [1, 1]]), np.array([[1, 0], [1, 1], [1, 0]]), ["sea", "ice"])[0]


def disk_full(case: Case) -> None:
    case.patch.setattr(limits, "free_bytes", lambda folder: 1e9)
    limits.check_space(Path("augmented/images"), 1.8e9, "9000 copies")


def stage_runs_twice(case: Case) -> None:
    with atomic_folder(Path("augmented/images")), atomic_folder(Path("augmented/images")):
        pass


def dvc_runs_twice(case: Case) -> str:
    run(case.folder, "dvc", "init", "--quiet", "--no-scm")
    with Path(".dvc/tmp/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return run(case.folder, "dvc", "repro", check=False).stderr


def process_ends(case: Case) -> None:
    map_isolated(os._exit, [1], lambda item: "0.png")


def long_tmpdir(case: Case) -> None:
    case.patch.setattr(loader, "get_temp_dir", lambda: f"/{'x' * 94}/pymp-12345678")
    loader.build_loader(TensorDataset(torch.arange(2)), ProcessGroup(torch.device("cpu")), batch_size=1, workers=1)


def no_gpus(case: Case) -> None:
    case.patch.setattr(torch.cuda, "device_count", lambda: 0)
    init_process_group({"COUNTERWEIGHT_DEVICES": "4"}, torch.device("cuda"))


def no_dask(case: Case) -> None:
    case.patch.setitem(sys.modules, "distributed", None)
    with dask_workers({"COUNTERWEIGHT_SCHEDULER": "tcp://host:8786"}, 1):
        pass


def no_openvino(case: Case) -> None:
    case.patch.setitem(sys.modules, "openvino", None)
    OpenVINOModule(nn.Identity(), (8, 8))


def no_bfloat16(case: Case) -> None:
    pytest.importorskip("openvino", reason="make cpu installs it")

    case.patch.setattr(openvino, "supports_bfloat16", lambda: False)
    OpenVINOModule(nn.Identity(), (8, 8), "bf16")


def training_diverges(case: Case) -> None:
    images = TensorDataset(torch.tensor([[-1.0, 1.0], [1.0, -1.0]]), torch.tensor([[0.0], [1.0]]))
    fitted(line(), images, images, learning_rate=1e38)


def params_not_committed(case: Case) -> None:
    Path("params.yaml").write_text("first")
    run(case.folder, "git", "init", "--quiet")
    run(case.folder, "git", "add", "params.yaml")
    run(case.folder, "git", "-c", "user.name=A", "-c", "user.email=a@example.invalid", "commit", "-qm", "first")
    Path("params.yaml").write_text("second")
    clean_commit()


def no_model(case: Case) -> None:
    decisions.read(Path("results/arms/copies/models/seed-0"))


# In the order of the document.
PROVOKED = [
    two_names_wrong, no_params, params_of_ones_own, rows_wrong, no_folder, image_in_two_parts, image_changed,
    no_network, random_weights, few_images, equal_images, copies_lack, image_unfit, label_rarer, disk_full,
    stage_runs_twice, dvc_runs_twice, process_ends, long_tmpdir, no_gpus, no_dask, no_openvino, no_bfloat16,
    training_diverges, params_not_committed, no_model,
]  # fmt: skip


def test_every_message_of_the_guide_is_provoked() -> None:
    assert len(MESSAGES) == len(PROVOKED)


@pytest.mark.parametrize(
    ("message", "provoke"), [*zip(MESSAGES, PROVOKED, strict=False)], ids=lambda value: getattr(value, "__name__", "")
)
def test_message_is_said_as_in_the_guide(
    message: str,
    provoke: Callable[[Case], str | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COUNTERWEIGHT_WORKERS", "1")
    caplog.set_level(logging.WARNING)
    try:
        text = provoke(Case(tmp_path, monkeypatch, caplog))
    except InputError as error:
        text = str(error)
    assert text
    assert numberless(message) in numberless(text)


def test_the_readme_shows_what_is_said_of_three_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)

    def spoil(data: Dataset) -> None:
        data.rows[1][0], data.rows[2][1], data.rows[3][2] = "a.jpg", "tset", "sae"
        for row in data.rows[4:]:
            row[2] = "sea,sunset"
        data.rows[0][2] = data.rows[1][2] = data.rows[2][2] = "sea"

    with pytest.raises(InputError) as error:
        Case(tmp_path, monkeypatch, caplog).run_to("ingest", spoil, data__labels=["sea", "sunset"])
    text = str(error.value).replace("not in images.", "not in data/raw/images.")
    assert numberless(text) in numberless((PROJECT / "README.md").read_text(encoding="utf-8"))
