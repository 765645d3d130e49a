import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.geometry import view
from counterweight.networks import inference
from counterweight.networks.backbones import Backbone
from counterweight.networks.classifier import Classifier
from counterweight.networks.inference import _at_once, hand_over_rows, rows_of, scores_of
from counterweight.runtime.cache import Cache
from counterweight.runtime.malloc import give_back
from tests.designs import design

Files = tuple[list[Path], list[str]]

read = codec.read


def killed_once(path: Path, checksum: str | None = None) -> codec.Pixels:
    """Read an image; kill this process the first time that a certain one is to be read."""
    flag = path.with_name("kill")
    if path.name == "050.png" and flag.exists():
        flag.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return read(path, checksum)


def killed_each_time(path: Path, checksum: str | None = None) -> codec.Pixels:
    """Read an image, unless it is the one that kills each process that reads it."""
    if path.name == "200.png":
        os.kill(os.getpid(), signal.SIGKILL)
    return killed_once(path, checksum)


@pytest.fixture(scope="module")
def nine_files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Noise of different sizes, with the checksums; one image more than a batch on the CPU."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    files = [folder / f"{i}.png" for i in range(9)]
    noise = [rng.integers(0, 256, (40 + i, 50 + 2 * i, 3), dtype=np.uint8) for i in range(9)]
    return files, [codec.write(pixels, path, "png") for pixels, path in zip(noise, files, strict=True)]


def cnn7() -> nn.Module:
    return Classifier(design("cnn7", None, ["cat", "dog"], 32))


def resnet_classifier() -> nn.Module:
    return Classifier(design("resnet18", "layer2", ["cat", "dog"], 32))


def resnet18() -> nn.Module:
    return Backbone("resnet18", "layer3", (32, 32))


def resnet50() -> nn.Module:
    return Backbone("resnet50", "layer2", (32, 32))


@pytest.fixture(scope="module", params=[cnn7, resnet_classifier, resnet18, resnet50], ids=lambda build: build.__name__)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    built: nn.Module = request.param()
    return built


def rows(network: nn.Module, files: list[Path], checksums: list[str], **changes: Any) -> NDArray[np.float32]:
    how: dict[str, Any] = {"view": "whole", "size": (32, 32), "device": torch.device("cpu"), "workers": 0}
    return rows_of(network, files, checksums, **(how | changes))


def test_row_i_belongs_to_file_i(nine_files: Files) -> None:
    files, checksums = nine_files
    found = rows(nn.Flatten(), files, checksums, size=(8, 8))
    squares = [view(codec.read(path), "whole", (8, 8)).ravel() for path in files]
    assert found.dtype == np.float32
    assert np.array_equal(found, np.array(squares))


def test_view_and_size_are_those_asked_for(nine_files: Files) -> None:
    files, checksums = nine_files
    found = rows(nn.Flatten(), files[:1], checksums[:1], view="centre", size=(12, 16))
    assert np.array_equal(found[0], view(codec.read(files[0]), "centre", (12, 16)).ravel())


def test_rows_are_the_same_for_no_worker_and_for_two(network: nn.Module, nine_files: Files) -> None:
    files, checksums = nine_files
    assert np.array_equal(rows(network, files, checksums, workers=2), rows(network, files, checksums))


def test_rows_are_the_same_for_another_order_of_the_files(network: nn.Module, nine_files: Files) -> None:
    files, checksums = nine_files
    turned = rows(network, files[::-1], checksums[::-1])
    assert np.array_equal(turned[::-1], rows(network, files, checksums))


@pytest.mark.parametrize("size", [32, 64])
def test_row_of_an_image_alone_is_its_row_among_nine(size: int, network: nn.Module, nine_files: Files) -> None:
    files, checksums = nine_files
    among = rows(network, files, checksums, size=(size, size))
    alone = [rows(network, files[i : i + 1], checksums[i : i + 1], size=(size, size))[0] for i in (0, 4, 8)]
    assert np.array_equal(np.array(alone), among[[0, 4, 8]])


@pytest.fixture
def threads() -> Iterator[None]:
    """Let a test set the number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_rows_are_the_same_for_any_number_of_threads(network: nn.Module, nine_files: Files) -> None:
    found = []
    for count in (1, 2, 5):
        torch.set_num_threads(count)
        found.append(rows(network, *nine_files))
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


class OneThread(nn.Module):
    """A network that says by how many threads it is computed."""

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return torch.full((len(seen), 1), float(torch.get_num_threads()))


@pytest.mark.usefixtures("threads")
def test_a_batch_is_computed_by_one_thread_and_then_all_are_there_again(nine_files: Files) -> None:
    torch.set_num_threads(3)
    assert set(rows(OneThread(), *nine_files).ravel()) == {1.0}
    assert torch.get_num_threads() == 3
    with pytest.raises(InputError):
        rows(OneThread(), nine_files[0], nine_files[1][::-1])
    assert torch.get_num_threads() == 3


def test_a_device_that_is_no_cpu_has_one_batch_at_once() -> None:
    assert [_at_once(nn.Flatten(), torch.device(name)) for name in ("cuda", "mps")] == [1, 1]


@pytest.mark.usefixtures("threads")
def test_free_memory_is_given_back_after_every_sixteen_batches(
    nine_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, checksums = nine_files
    given_back: list[int] = []

    def counted() -> None:
        give_back()
        given_back.append(1)

    monkeypatch.setattr(inference, "give_back", counted)
    torch.set_num_threads(2)
    rows(resnet18(), files * 29, checksums * 29)  # 261 images are 32 batches of eight, and a last one.
    assert len(given_back) == 2


def test_network_is_not_trained_by_being_applied(nine_files: Files) -> None:
    torch.manual_seed(0)
    network = resnet18().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    rows(network, *nine_files)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not network.training


def test_no_files_give_no_rows() -> None:
    assert len(rows(nn.Flatten(), [], [])) == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_changed_file_is_an_error_that_names_it(workers: int, nine_files: Files) -> None:
    files, checksums = nine_files
    wrong = [*checksums[:5], checksums[0], *checksums[6:]]
    with pytest.raises(InputError) as error:
        rows(nn.Flatten(), files, wrong, workers=workers)
    assert str(error.value) == f"{files[5]}: the file has changed since the manifest was written. Run dvc repro."


class Fast(nn.Module):
    """A network that is done before the next batch is read, so that this process waits for the workers all the time."""

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return seen.flatten(1).float()


@pytest.fixture
def many_files(tmp_path: Path) -> Files:
    """Three hundred images of one pixel's noise, in the order of their names."""
    files = [tmp_path / f"{i:03d}.png" for i in range(300)]
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in files]
    return files, [codec.write(pixels, path, "png") for pixels, path in zip(noise, files, strict=True)]


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_are_the_same_though_a_worker_was_killed(
    workers: int, many_files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = rows(Fast(), *many_files)
    seen = [view(codec.read(path), "whole", (32, 32)) for path in many_files[0]]
    assert np.array_equal(undisturbed, np.stack(seen).reshape(300, -1))
    monkeypatch.setattr(codec, "read", killed_once)
    for attempt in range(5):
        (tmp_path / "kill").touch()
        assert (rows(Fast(), *many_files, workers=workers) == undisturbed).all()
        assert not (tmp_path / "kill").exists()
        (tmp_path / "kill").touch()
        cache = Cache(tmp_path / f"cache{attempt}", 10**9)
        how: dict[str, Any] = {"view": "whole", "size": (32, 32), "device": torch.device("cpu"), "workers": workers}
        found = np.full_like(undisturbed, np.nan)
        hand_over_rows(Fast(), *many_files, name="fast", cache=cache, take=found.__setitem__, **how)
        assert (found == undisturbed).all()


def test_image_that_kills_every_worker_is_named_though_another_died_by_chance(
    many_files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kill").touch()
    monkeypatch.setattr(codec, "read", killed_each_time)
    with pytest.raises(InputError, match=r"200\.png' ends the process that works on it"):
        rows(Fast(), *many_files, workers=2)
    assert not (tmp_path / "kill").exists()


def test_maps_are_kept_as_they_are(nine_files: Files) -> None:
    torch.manual_seed(0)
    maps = rows(Backbone("resnet18", "layer1", (32, 32), pooling=None), *nine_files)
    assert maps.shape == (9, 64, 8, 8)


def test_scores_are_the_sigmoid_of_the_logits(nine_files: Files) -> None:
    torch.manual_seed(0)
    classifier = Classifier(design("cnn1", None, ["cat", "dog", "cow"], 32, scores="sigmoid"))
    how: Any = {"view": "whole", "size": (32, 32), "device": torch.device("cpu"), "workers": 0}
    found = scores_of(classifier, *nine_files, **how)
    logits = rows_of(classifier, *nine_files, **how).astype(np.float64)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), rtol=1e-12)


def test_scores_of_classes_are_the_softmax_of_the_logits(nine_files: Files) -> None:
    torch.manual_seed(0)
    classifier = Classifier(design("cnn1", None, ["cat", "dog", "cow"], 32, task="multiclass", scores="softmax"))
    how: Any = {"view": "whole", "size": (32, 32), "device": torch.device("cpu"), "workers": 0}
    found = scores_of(classifier, *nine_files, **how)
    powers = np.exp(rows_of(classifier, *nine_files, **how).astype(np.float64))
    np.testing.assert_allclose(found, powers / powers.sum(axis=1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), np.ones(9), rtol=1e-12)


def kept_rows(network: nn.Module, files: list[Path], checksums: list[str], cache: Cache) -> NDArray[np.float32]:
    how: dict[str, Any] = {"view": "whole", "size": (32, 32), "device": torch.device("cpu"), "workers": 0}
    found: dict[int, NDArray[np.float32]] = {}
    hand_over_rows(network, files, checksums, **how, name="a network", cache=cache, take=found.__setitem__)
    return np.stack([found[i] for i in range(len(files))])


def test_rows_of_new_images_are_computed_and_those_of_old_ones_kept(
    network: nn.Module, nine_files: Files, tmp_path: Path
) -> None:
    (files, checksums), cache = nine_files, Cache(tmp_path / "cache", 10**9)
    expected = rows(network, files, checksums)
    assert np.array_equal(kept_rows(network, files[3:5], checksums[3:5], cache), expected[3:5])
    gone = [tmp_path / path.name if i in (3, 4) else path for i, path in enumerate(files)]
    for _ in range(2):
        assert np.array_equal(kept_rows(network, gone, checksums, cache), expected)
        gone = [tmp_path / path.name for path in files]


def test_other_weights_are_another_network(nine_files: Files, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 10**9)
    files, checksums = nine_files
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = resnet18()
        found = kept_rows(network, files, checksums, cache)
        assert np.array_equal(found, rows(network, files, checksums))
