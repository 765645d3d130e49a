import hashlib
import threading
from collections.abc import Iterator
from copy import deepcopy
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, get_model

from counterweight.base.errors import InputError
from counterweight.networks.backbones import Backbone
from counterweight.networks.classifier import Classifier
from counterweight.networks.weights import build_classifier, load_weights, weights_checksum
from tests.designs import design

PRETRAINED = Path(__file__).parents[3] / "shared" / "weights" / "resnet18-imagenet-through-layer3.safetensors"
SIZE = (64, 64)
UNREADABLE = "is not a .safetensors file or a state dict saved by torch"


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log no requests in the tests' output."""


def build(seed: int, layer: str = "layer1") -> Backbone:
    torch.manual_seed(seed)
    return Backbone("resnet18", layer, SIZE).eval()


# Building a network is slow, so each is built once.
_built_once = cache(build)


def built(seed: int, layer: str = "layer1") -> Backbone:
    return deepcopy(_built_once(seed, layer))


def weights_of(network: Backbone) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in network.trunk.state_dict().items()}


def same_weights(one: Backbone, other: Backbone) -> bool:
    mine, others = weights_of(one), weights_of(other)
    return mine.keys() == others.keys() and all(torch.equal(mine[key], others[key]) for key in mine)


@pytest.fixture
def images() -> Tensor:
    """Two noisy squares."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8))


@pytest.fixture
def website(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of a web server that torchvision downloads from; TORCH_HOME is empty."""
    folder = tmp_path / "website"
    folder.mkdir()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setattr(ResNet18_Weights.IMAGENET1K_V1.value, "url", f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()
        thread.join()


def publish(state: object, website: Path, monkeypatch: pytest.MonkeyPatch, digest: str | None = None) -> str:
    """Publish a file as torchvision's weights, with the start of its hash in its name."""
    torch.save(state, website / "made.pth")
    digest = digest or hashlib.sha256((website / "made.pth").read_bytes()).hexdigest()[:8]
    name = f"resnet18-{digest}.pth"
    (website / "made.pth").rename(website / name)
    entry = ResNet18_Weights.IMAGENET1K_V1.value
    monkeypatch.setattr(entry, "url", entry.url + name)
    return name


def test_without_a_layer_weights_may_lack_the_last_layer(tmp_path: Path, images: Tensor) -> None:
    torch.manual_seed(1)
    state = get_model("resnet18", weights=None).state_dict()
    save_file({key: value for key, value in state.items() if not key.startswith("fc.")}, tmp_path / "w.safetensors")
    torch.manual_seed(0)
    network = Backbone("resnet18", None, SIZE).eval()
    load_weights(network, str(tmp_path / "w.safetensors"))
    assert torch.equal(network.trunk.state_dict()["layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])


def test_without_a_layer_weights_that_lack_another_layer_are_an_error(tmp_path: Path) -> None:
    save_file(weights_of(built(0, "layer1")), tmp_path / "short.safetensors")
    with pytest.raises(InputError, match="into resnet18 up to its last layer: "):
        load_weights(Backbone("resnet18", None, SIZE), str(tmp_path / "short.safetensors"))


def test_random_weights_depend_on_torchs_seed() -> None:
    first, again, other = (build(seed) for seed in (0, 0, 1))
    assert same_weights(again, first)
    assert not same_weights(other, first)


def test_random_leaves_the_network_unchanged() -> None:
    network = built(0)
    load_weights(network, "random")
    assert same_weights(network, built(0))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_weights_are_loaded_from_a_file(suffix: str, tmp_path: Path, images: Tensor) -> None:
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(weights_of(built(1)), path)
    network = built(0)
    load_weights(network, str(path))
    assert torch.equal(network(images), built(1)(images))


def test_tensors_after_the_layer_are_ignored(tmp_path: Path) -> None:
    save_file(weights_of(built(1, "layer3")), tmp_path / "deeper.safetensors")
    network = built(0, "layer1")
    load_weights(network, str(tmp_path / "deeper.safetensors"))
    whole, part = weights_of(built(1, "layer3")), weights_of(network)
    assert all(torch.equal(part[key], whole[key]) for key in part)


def test_layers_after_until_stay_random(tmp_path: Path) -> None:
    path = tmp_path / "deeper.safetensors"
    save_file(weights_of(built(1, "layer2")), path)
    network = built(0, "layer2")
    load_weights(network, str(path), "layer1")
    loaded, pretrained, before = (weights_of(each) for each in (network, built(1, "layer2"), built(0, "layer2")))
    assert network.reinitialized == {key for key in loaded if key.startswith("layer2.")}
    assert all(
        torch.equal(loaded[key], (before if key in network.reinitialized else pretrained)[key]) for key in loaded
    )


def test_file_may_end_at_until(tmp_path: Path) -> None:
    path = tmp_path / "short.safetensors"
    save_file(weights_of(built(1, "layer1")), path)
    network = built(0, "layer2")
    load_weights(network, str(path), "layer1")
    assert torch.equal(weights_of(network)["layer1.0.conv1.weight"], weights_of(built(1))["layer1.0.conv1.weight"])


def test_until_at_the_last_layer_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(weights_of(built(1)), path)
    with pytest.raises(InputError) as error:
        load_weights(built(0), str(path), "layer1")
    assert str(error.value) == (
        "resnet18 has nothing to train between layer1, where pretrained weights end, and layer1. Set pretrained_until "
        "to an earlier node, or to null."
    )


def test_until_draws_no_random_numbers(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(weights_of(built(1)), path)
    network = built(0, "layer2")
    torch.manual_seed(0)
    load_weights(network, str(path), "layer1")
    drawn = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(1), drawn)


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "none.safetensors"
    with pytest.raises(InputError) as error:
        load_weights(built(0), str(path))
    assert str(error.value) == f"weights: there is no file '{path}'. Put it there, or set weights to its path."


def test_file_that_ends_before_the_layer_is_an_error_that_counts_missing_tensors(tmp_path: Path) -> None:
    path = tmp_path / "short.safetensors"
    save_file(weights_of(built(0, "layer1")), path)
    with pytest.raises(InputError) as error:
        load_weights(built(0, "layer2"), str(path))
    assert str(error.value) == (
        f"weights: {path} into resnet18 up to layer2: 25 of 60 tensors are missing, the first is "
        "'layer2.0.conv1.weight'. Choose the model that the weights were made for, and a layer that they reach."
    )


def test_weights_that_are_no_numbers_are_an_error(tmp_path: Path) -> None:
    state, path = weights_of(built(0)), tmp_path / "failed.safetensors"
    state["layer1.0.conv1.weight"][3, 2, 1, 0] = float("nan")
    save_file(state, path)
    with pytest.raises(InputError) as error:
        load_weights(built(1), str(path))
    assert str(error.value) == (
        f"weights: {path} into resnet18 up to layer1: 'layer1.0.conv1.weight' holds NaN or infinite numbers. Save the "
        "model before its training failed, or choose other weights."
    )


def test_file_of_another_model_is_an_error_that_shows_both_shapes(tmp_path: Path) -> None:
    path = tmp_path / "resnet50.safetensors"
    save_file(weights_of(Backbone("resnet50", "layer1", SIZE)), path)
    with pytest.raises(InputError) as error:
        load_weights(built(0), str(path))
    assert str(error.value) == (
        f"weights: {path} into resnet18 up to layer1: 'layer1.0.conv1.weight' has the shape (64, 64, 1, 1), the "
        "model's is (64, 64, 3, 3). Choose the model that the weights were made for."
    )


@pytest.mark.parametrize(
    "content",
    [
        torch.zeros(3),
        [torch.zeros(3)],
        3,
        None,
        {"epoch": 7, "state_dict": {"conv1.weight": torch.zeros(3)}},
        {"conv1.weight": 3},
    ],
    ids=["tensor", "list", "number", "none", "checkpoint", "dict of numbers"],
)
def test_pth_file_without_a_state_dict_is_an_error(content: object, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(InputError, match=r"^weights: .*other\.pth"):
        load_weights(built(0), str(path))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    "content",
    [b"", b"<!DOCTYPE html><html>not found</html>", b"hello\n", b"version https://git-lfs.github.com/spec/v1\n"],
    ids=["nothing", "web page", "text", "git-lfs pointer"],
)
def test_file_without_weights_is_an_error(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_weights(built(0), str(path))
    assert str(error.value).startswith(f"weights: '{path}' {UNREADABLE}: ")
    assert str(error.value).endswith(" Save the model's state_dict(), without other objects.")


@pytest.mark.parametrize(("made", "named"), [(".pth", ".safetensors"), (".safetensors", ".pth")])
def test_file_with_the_suffix_of_the_other_format_is_an_error(made: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{made}"
    (save_file if made == ".safetensors" else torch.save)(weights_of(built(0)), path)
    path.rename(path.with_suffix(named))
    with pytest.raises(InputError, match=UNREADABLE):
        load_weights(built(0), str(path.with_suffix(named)))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_truncated_file_is_an_error(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(weights_of(built(0)), path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(InputError, match=UNREADABLE):
        load_weights(built(0), str(path))


def test_pickled_module_is_an_error_that_asks_for_a_state_dict(tmp_path: Path) -> None:
    torch.save(nn.Linear(1, 1), tmp_path / "module.pth")
    with pytest.raises(InputError, match=r"Save the model's state_dict\(\), without other objects\.$"):
        load_weights(built(0), str(tmp_path / "module.pth"))


def test_error_does_not_repeat_torchs_advice_to_unpickle(tmp_path: Path) -> None:
    torch.save(nn.Linear(1, 1), tmp_path / "module.pth")
    with pytest.raises(InputError) as error:
        load_weights(built(0), str(tmp_path / "module.pth"))
    assert "This file can still be loaded" not in str(error.value)
    assert "\x1b" not in str(error.value)


def test_pickled_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    torch.save(weights_of(built(0)) | {"extra": Touch(tmp_path / "it ran")}, tmp_path / "pickle.pth")
    with pytest.raises(InputError, match=UNREADABLE):
        load_weights(built(0), str(tmp_path / "pickle.pth"))
    assert not (tmp_path / "it ran").exists()


def test_unknown_name_is_an_error_that_lists_known_names() -> None:
    with pytest.raises(InputError) as error:
        load_weights(built(0), "IMAGENET1K_V2")
    assert str(error.value) == (
        "weights: 'IMAGENET1K_V2' is neither a file nor weights of resnet18. Set it to one of IMAGENET1K_V1, DEFAULT, "
        "the path of a .safetensors or .pth file, or random."
    )


def test_torchvision_weights_are_fetched_by_name(website: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(weights_of(built(1)), website, monkeypatch)
    network = built(0)
    load_weights(network, "IMAGENET1K_V1")
    assert same_weights(network, built(1))


def test_torchvision_weights_are_fetched_once(website: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = publish(weights_of(built(1)), website, monkeypatch)
    load_weights(built(0), "IMAGENET1K_V1")
    (website / name).unlink()
    network = built(0)
    load_weights(network, "IMAGENET1K_V1")
    assert same_weights(network, built(1))


def test_fetched_file_with_a_wrong_hash_is_an_error_and_is_deleted(
    website: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(weights_of(built(1)), website, monkeypatch, digest="00000000")
    network = built(0)
    with pytest.raises(InputError, match=r"IMAGENET1K_V1 of resnet18 could not be fetched: invalid hash value"):
        load_weights(network, "IMAGENET1K_V1")
    assert same_weights(network, built(0))
    assert list((tmp_path / "torch").rglob("*.pth")) == []


def test_failed_download_is_an_error_that_shows_url_and_cache_folder(
    website: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = publish(weights_of(built(1)), website, monkeypatch)
    (website / name).unlink()
    with pytest.raises(InputError) as error:
        load_weights(built(0), "IMAGENET1K_V1")
    assert str(error.value) == (
        "weights: IMAGENET1K_V1 of resnet18 could not be fetched: HTTP Error 404: File not found. Download "
        f"{ResNet18_Weights.IMAGENET1K_V1.url} on a machine with internet and put the file into "
        f"{tmp_path / 'torch' / 'hub' / 'checkpoints'}, or anywhere and set weights to its path."
    )


def test_file_that_was_copied_into_the_cache_is_used(
    website: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = publish(weights_of(built(1)), website, monkeypatch)
    kept = tmp_path / "torch" / "hub" / "checkpoints"
    kept.mkdir(parents=True)
    (website / name).rename(kept / name)
    network = built(0)
    load_weights(network, "IMAGENET1K_V1")
    assert same_weights(network, built(1))


def test_pickled_code_in_the_cache_is_not_run(website: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = publish(weights_of(built(1)) | {"extra": Touch(tmp_path / "it ran")}, website, monkeypatch)
    kept = tmp_path / "torch" / "hub" / "checkpoints"
    kept.mkdir(parents=True)
    (website / name).rename(kept / name)
    with pytest.raises(InputError, match="IMAGENET1K_V1"):
        load_weights(built(0), "IMAGENET1K_V1")
    assert not (tmp_path / "it ran").exists()


def test_web_page_in_the_cache_is_an_error(website: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = publish({}, website, monkeypatch)
    kept = tmp_path / "torch" / "hub" / "checkpoints"
    kept.mkdir(parents=True)
    (kept / name).write_text("<!DOCTYPE html><html>not found</html>")
    with pytest.raises(InputError, match="IMAGENET1K_V1"):
        load_weights(built(0), "IMAGENET1K_V1")


@pytest.mark.skipif(not PRETRAINED.is_file(), reason=f"{PRETRAINED.name} is not beside the project")
def test_pretrained_features_differ_from_random_ones(images: Tensor) -> None:
    network = built(0, "layer3")
    with torch.inference_mode():
        random = network(images)
        load_weights(network, str(PRETRAINED))
        pretrained = network(images)
    assert pretrained.shape == (2, 256)
    assert not torch.allclose(pretrained, random)


@pytest.mark.skipif(not PRETRAINED.is_file(), reason=f"{PRETRAINED.name} is not beside the project")
def test_pretrained_weights_end_at_layer3() -> None:
    with pytest.raises(InputError, match=r"up to layer4: \d+ of \d+ tensors are missing, the first is 'layer4\.0\."):
        load_weights(built(0, "layer4"), str(PRETRAINED))


def test_seeds_of_a_classifier_with_weights_differ_in_the_head_alone(tmp_path: Path) -> None:
    save_file(weights_of(built(7)), tmp_path / "w.safetensors")
    config = design("resnet18", "layer1", ["cat", "dog"], 64)
    first, again, other = (build_classifier(config, str(tmp_path / "w.safetensors"), None, s) for s in (0, 0, 1))
    assert isinstance(first.body, Backbone)
    assert same_weights(first.body, built(7))
    assert weights_checksum(first) == weights_checksum(again)
    assert weights_checksum(first.body) == weights_checksum(other.body)
    assert weights_checksum(first.head) != weights_checksum(other.head)


def test_seeds_of_a_random_classifier_differ_in_the_body_too() -> None:
    config = design("resnet18", "layer1", ["cat", "dog"], 64)
    first, again, other = (build_classifier(config, "random", None, seed) for seed in (0, 0, 1))
    assert weights_checksum(first) == weights_checksum(again)
    assert weights_checksum(first.body) != weights_checksum(other.body)


def test_layers_of_a_classifier_after_until_stay_random(tmp_path: Path) -> None:
    save_file(weights_of(built(7, "layer2")), tmp_path / "w.safetensors")
    config = design("resnet18", "layer2", ["cat"], 64)
    classifier = build_classifier(config, str(tmp_path / "w.safetensors"), "layer1", 0)
    assert isinstance(classifier.body, Backbone)
    loaded, source = weights_of(classifier.body), weights_of(built(7, "layer2"))
    assert torch.equal(loaded["layer1.0.conv1.weight"], source["layer1.0.conv1.weight"])
    assert not torch.equal(loaded["layer2.0.conv1.weight"], source["layer2.0.conv1.weight"])


def test_classifier_without_a_backbone_takes_no_weights() -> None:
    classifier = build_classifier(design("cnn1", None, ["cat"], 8), "random", None, 0)
    torch.manual_seed(0)
    assert weights_checksum(classifier) == weights_checksum(Classifier(classifier.config))
