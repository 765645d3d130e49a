import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from counterweight.base.errors import InputError
from counterweight.images import codec
from counterweight.images.geometry import Pixels, network_view
from counterweight.networks import inference
from counterweight.networks.backbones import Backbone
from counterweight.networks.classifier import Classifier
from counterweight.networks.inference import Compute, _batch_size, _batches, extract_features, extract_features_cached
from counterweight.networks.loader import ImageFiles, Preprocessing
from counterweight.runtime.cache import Cache
from counterweight.runtime.heap import trim_heap
from tests.designs import design

CPU = Compute(torch.device("cpu"), 0)
WHOLE = Preprocessing("none", (32, 32))

read = codec.read


def killed_once(path: Path, checksum: str | None = None) -> Pixels:
    """Read an image; kill this process the first time that 050.png is read."""
    flag = path.with_name("kill")
    if path.name == "050.png" and flag.exists():
        flag.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return read(path, checksum)


def killed_each_time(path: Path, checksum: str | None = None) -> Pixels:
    """Read an image; kill this process whenever 200.png is read."""
    if path.name == "200.png":
        os.kill(os.getpid(), signal.SIGKILL)
    return killed_once(path, checksum)


@pytest.fixture(scope="module")
def nine_files(tmp_path_factory: pytest.TempPathFactory) -> ImageFiles:
    """Noise of different sizes; one image more than a batch on the CPU, if the network sees 128 pixels."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(9)]
    noise = [rng.integers(0, 256, (40 + i, 50 + 2 * i, 3), dtype=np.uint8) for i in range(9)]
    return ImageFiles(paths, [codec.write(pixels, path, "png") for pixels, path in zip(noise, paths, strict=True)])


@pytest.fixture(scope="module")
def three_batches(nine_files: ImageFiles) -> ImageFiles:
    """The nine images again and again: two whole batches of 64, of what sees 32 pixels, and seven images."""
    return nine_files.take([*range(9)] * 15)


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


def rows(
    network: nn.Module, files: ImageFiles, preprocessing: Preprocessing = WHOLE, workers: int = 0
) -> NDArray[np.float32]:
    return extract_features(network, files, preprocessing, Compute(torch.device("cpu"), workers))


def test_row_i_belongs_to_file_i(nine_files: ImageFiles) -> None:
    features = rows(nn.Flatten(), nine_files, Preprocessing("none", (8, 8)))
    views = [network_view(codec.read(path), "none", (8, 8)).ravel() for path in nine_files.paths]
    assert features.dtype == np.float32
    assert np.array_equal(features, np.array(views))


def test_crop_and_size_are_those_of_the_preprocessing(nine_files: ImageFiles) -> None:
    features = rows(nn.Flatten(), nine_files.take([0]), Preprocessing("center", (12, 16)))
    assert np.array_equal(features[0], network_view(codec.read(nine_files.paths[0]), "center", (12, 16)).ravel())


def test_rows_are_the_same_for_no_worker_and_for_two(network: nn.Module, three_batches: ImageFiles) -> None:
    assert np.array_equal(rows(network, three_batches, workers=2), rows(network, three_batches))


def test_rows_are_the_same_for_another_order_of_the_files(network: nn.Module, three_batches: ImageFiles) -> None:
    reverse = rows(network, three_batches.take(range(134, -1, -1)))
    assert np.array_equal(reverse[::-1], rows(network, three_batches))


@pytest.mark.parametrize("size", [32, 64, 128])
def test_row_of_an_image_alone_is_its_row_among_nine(size: int, network: nn.Module, nine_files: ImageFiles) -> None:
    preprocessing = Preprocessing("none", (size, size))
    among_nine = rows(network, nine_files, preprocessing)
    alone = [rows(network, nine_files.take([i]), preprocessing)[0] for i in (0, 4, 8)]
    assert np.array_equal(np.array(alone), among_nine[[0, 4, 8]])


@pytest.fixture
def threads() -> Iterator[None]:
    """Restore the number of threads after the test."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_rows_are_the_same_for_any_number_of_threads(network: nn.Module, three_batches: ImageFiles) -> None:
    results = []
    for count in (1, 2, 5):
        torch.set_num_threads(count)
        results.append(rows(network, three_batches))
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


class CountThreads(nn.Module):
    """A network that returns the number of threads that compute it."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.full((len(images), 1), float(torch.get_num_threads()))


@pytest.mark.usefixtures("threads")
def test_one_thread_computes_a_batch_and_the_number_of_threads_is_restored(nine_files: ImageFiles) -> None:
    torch.set_num_threads(3)
    assert set(rows(CountThreads(), nine_files).ravel()) == {1.0}
    assert torch.get_num_threads() == 3
    with pytest.raises(InputError):
        rows(CountThreads(), ImageFiles(nine_files.paths, nine_files.checksums[::-1]))
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(
    ("size", "images"),
    [((16, 16), 64), ((32, 32), 64), ((64, 64), 32), ((96, 96), 16), ((128, 128), 8), ((400, 300), 8)],
)
def test_small_images_come_in_larger_batches_on_a_cpu(size: tuple[int, int], images: int) -> None:
    assert _batch_size(nn.Flatten(), torch.device("cpu"), size) == images
    assert _batch_size(nn.Flatten(), torch.device("cuda"), size) == 256
    network = nn.Flatten()
    network.batches_at_once = 4  # As an engine has that is compiled for batches of eight.
    assert _batch_size(network, torch.device("cpu"), size) == 8


def test_gpu_computes_one_batch_at_once() -> None:
    assert [_batches(nn.Flatten(), torch.device(name), (32, 32)) for name in ("cuda", "mps")] == [(1, 1), (1, 1)]


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(
    ("threads_used", "side", "batches"),
    [(1, 32, (2, 2)), (2, 32, (4, 4)), (3, 32, (6, 3)), (2, 128, (4, 4)), (2, 224, (4, 1)), (2, 1000, (4, 1))],
)
def test_small_images_are_passed_on_by_several_batches(threads_used: int, side: int, batches: tuple[int, int]) -> None:
    torch.set_num_threads(threads_used)
    assert _batches(nn.Flatten(), torch.device("cpu"), (side, side)) == batches


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(("threads_used", "workers"), [(1, 0), (2, 2), (3, 1)])
def test_rows_do_not_depend_on_how_many_images_are_passed_on(
    threads_used: int, workers: int, nine_files: ImageFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(threads_used)
    network = resnet18()
    for count in (64, 265, 600):
        files = nine_files.take([*range(9)] * 67).take(range(count))
        passed = extract_features(network, files, WHOLE, Compute(torch.device("cpu"), workers))
        with monkeypatch.context() as patch:
            patch.setattr(inference, "_PASSED_ON", 1)
            assert np.array_equal(passed, extract_features(network, files, WHOLE, Compute(torch.device("cpu"), 0)))


@pytest.mark.usefixtures("threads")
def test_free_memory_is_returned_after_every_sixteen_batches(
    nine_files: ImageFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def trim() -> None:
        trim_heap()
        calls.append(1)

    monkeypatch.setattr(inference, "trim_heap", trim)
    torch.set_num_threads(2)
    sees_128 = Backbone("resnet18", "layer1", (128, 128))
    # 261 images are 32 batches of eight, and a last one.
    rows(sees_128, nine_files.take([*range(9)] * 29), Preprocessing("none", (128, 128)))
    assert len(calls) == 2


def test_extracting_features_does_not_train_the_network(nine_files: ImageFiles) -> None:
    torch.manual_seed(0)
    network = resnet18().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    rows(network, nine_files)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not network.training


def test_no_files_give_no_rows() -> None:
    assert len(rows(nn.Flatten(), ImageFiles([], []))) == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_changed_file_is_an_error(workers: int, nine_files: ImageFiles) -> None:
    checksums = [*nine_files.checksums[:5], nine_files.checksums[0], *nine_files.checksums[6:]]
    with pytest.raises(InputError) as error:
        rows(nn.Flatten(), ImageFiles(nine_files.paths, checksums), workers=workers)
    assert (
        str(error.value)
        == f"{nine_files.paths[5]}: the file has changed since the manifest was written. Run dvc repro."
    )


class Fast(nn.Module):
    """A network so fast that the main process always waits for the workers."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1).float()


@pytest.fixture
def many_files(tmp_path: Path) -> ImageFiles:
    """Three hundred small images of noise, in the order of their names."""
    paths = [tmp_path / f"{i:03d}.png" for i in range(300)]
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in paths]
    return ImageFiles(paths, [codec.write(pixels, path, "png") for pixels, path in zip(noise, paths, strict=True)])


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_rows_are_the_same_when_a_worker_is_killed(
    workers: int, many_files: ImageFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = rows(Fast(), many_files)
    views = [network_view(codec.read(path), "none", (32, 32)) for path in many_files.paths]
    assert np.array_equal(expected, np.stack(views).reshape(300, -1))
    monkeypatch.setattr(codec, "read", killed_once)
    for attempt in range(5):
        (tmp_path / "kill").touch()
        assert (rows(Fast(), many_files, workers=workers) == expected).all()
        assert not (tmp_path / "kill").exists()
        (tmp_path / "kill").touch()
        cache = Cache(tmp_path / f"cache{attempt}", 10**9)
        compute = Compute(torch.device("cpu"), workers)
        features = np.full_like(expected, np.nan)
        extract_features_cached(
            Fast(), many_files, WHOLE, compute, name="fast", cache=cache, on_row=features.__setitem__
        )
        assert (features == expected).all()


def test_image_that_kills_every_worker_is_named_even_if_another_worker_died_by_chance(
    many_files: ImageFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kill").touch()
    monkeypatch.setattr(codec, "read", killed_each_time)
    with pytest.raises(InputError, match=r"200\.png' kills its worker process"):
        rows(Fast(), many_files, workers=2)
    assert not (tmp_path / "kill").exists()


def test_feature_maps_keep_their_shape(nine_files: ImageFiles) -> None:
    torch.manual_seed(0)
    maps = rows(Backbone("resnet18", "layer1", (32, 32), pooling=None), nine_files)
    assert maps.shape == (9, 64, 8, 8)


def cached_rows(network: nn.Module, files: ImageFiles, cache: Cache) -> NDArray[np.float32]:
    features: dict[int, NDArray[np.float32]] = {}
    extract_features_cached(network, files, WHOLE, CPU, name="a network", cache=cache, on_row=features.__setitem__)
    return np.stack([features[i] for i in range(len(files))])


def test_rows_of_new_images_are_computed_and_others_come_from_the_cache(
    network: nn.Module, nine_files: ImageFiles, tmp_path: Path
) -> None:
    paths, cache = nine_files.paths, Cache(tmp_path / "cache", 10**9)
    expected = rows(network, nine_files)
    assert np.array_equal(cached_rows(network, nine_files.take([3, 4]), cache), expected[3:5])
    missing = [tmp_path / path.name if i in (3, 4) else path for i, path in enumerate(paths)]
    for _ in range(2):
        assert np.array_equal(cached_rows(network, ImageFiles(missing, nine_files.checksums), cache), expected)
        missing = [tmp_path / path.name for path in paths]


def test_rows_of_other_weights_are_computed_anew(nine_files: ImageFiles, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 10**9)
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = resnet18()
        assert np.array_equal(cached_rows(network, nine_files, cache), rows(network, nine_files))
