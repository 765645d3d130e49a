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
from counterweight.networks.backbones import Backbone, chosen_device, load_weights, normalised

PRETRAINED = Path(__file__).parents[3] / "shared" / "weights" / "resnet18-imagenet-through-layer3.safetensors"
SIZE = (64, 64)
UNREADABLE = "is not a .safetensors file or a state dict saved by torch"


class Touch:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Keep requests out of the tests' output."""


def newly_built(seed: int, layer: str = "layer1") -> Backbone:
    torch.manual_seed(seed)
    return Backbone("resnet18", layer, SIZE).eval()


# A network takes a while to build, so each is built once.
_first_built = cache(newly_built)


def built(seed: int, layer: str = "layer1") -> Backbone:
    return deepcopy(_first_built(seed, layer))


def weights_of(network: Backbone) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in network.cut.state_dict().items()}


def same_weights(one: Backbone, other: Backbone) -> bool:
    mine, others = weights_of(one), weights_of(other)
    return mine.keys() == others.keys() and all(torch.equal(mine[key], others[key]) for key in mine)


@pytest.fixture
def pictures() -> Tensor:
    """Two noisy squares."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8))


@pytest.fixture
def website(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on a web server, from which torchvision fetches; what is fetched goes to an empty TORCH_HOME."""
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
    """Put a file where torchvision looks for its weights, with the start of its hash in its name."""
    torch.save(state, website / "made.pth")
    digest = digest or hashlib.sha256((website / "made.pth").read_bytes()).hexdigest()[:8]
    name = f"resnet18-{digest}.pth"
    (website / "made.pth").rename(website / name)
    entry = ResNet18_Weights.IMAGENET1K_V1.value
    monkeypatch.setattr(entry, "url", entry.url + name)
    return name


@pytest.mark.parametrize(
    ("model", "layer", "features"),
    [
        ("resnet18", "layer1", 64),
        ("resnet18", "layer2", 128),
        ("resnet18", "layer3", 256),
        ("resnet18", "layer4", 512),
        ("resnet18", "avgpool", 512),
        ("resnet18", "layer3.0.conv1", 256),
        ("resnet50", "layer1", 256),
        ("resnet50", "layer4", 2048),
    ],
)
def test_row_is_as_long_as_the_layer_has_channels(model: str, layer: str, features: int, pictures: Tensor) -> None:
    network = Backbone(model, layer, SIZE).eval()
    assert network.n_features == features
    assert network(pictures).shape == (2, features)


def test_features_are_the_layers_maps_averaged_over_height_and_width(pictures: Tensor) -> None:
    network = built(0)
    maps = network.cut(normalised(pictures))["features"]
    assert maps.shape == (2, 64, 16, 16)
    assert torch.equal(network(pictures), maps.mean(dim=(2, 3)))


def test_pooled_row_is_as_long_as_its_parts() -> None:
    assert Backbone("resnet18", "layer2", SIZE, pooling="pyramid").n_features == 128 * 2 * (1 + 4)
    assert Backbone("resnet18", "layer2", SIZE, pooling="max").n_features == 128
    assert Backbone("resnet18", "layer2", SIZE, pooling="bilinear").n_features == 64 * 65 / 2 + 64


def test_network_that_looks_at_mirror_images_cannot_tell_an_image_from_its_mirror_image(pictures: Tensor) -> None:
    torch.manual_seed(0)
    once, twice = (Backbone("resnet18", "layer1", SIZE, mirror=mirror).eval() for mirror in (False, True))
    mirrored = pictures.flip(2)
    with torch.inference_mode():
        assert not torch.allclose(once(pictures), once(mirrored), atol=1e-3)
        assert torch.allclose(twice(pictures), twice(mirrored), atol=1e-5)


def test_network_that_is_trained_sees_each_image_once(pictures: Tensor) -> None:
    torch.manual_seed(0)
    once, twice = (Backbone("resnet18", "layer1", SIZE, mirror=mirror).train() for mirror in (False, True))
    twice.load_state_dict(once.state_dict())
    assert torch.equal(once(pictures), twice(pictures))


def test_maps_of_an_image_and_its_mirror_image_are_averaged_where_they_show_the_same(pictures: Tensor) -> None:
    torch.manual_seed(0)
    network = Backbone("resnet18", "layer1", SIZE, pooling=None, mirror=True).eval()
    with torch.inference_mode():
        maps, mirrored = (network.cut(normalised(images))["features"] for images in (pictures, pictures.flip(2)))
        assert torch.allclose(network(pictures), (maps + mirrored.flip(3)) / 2, atol=1e-5)


def test_without_maps_there_is_no_bilinear_pooling() -> None:
    with pytest.raises(InputError) as error:
        Backbone("vgg11", "classifier.0", SIZE, pooling="bilinear")
    assert str(error.value) == (
        "vgg11 has no maps at classifier.0, which bilinear pooling is of. Set layer to an earlier one, or pooling to "
        "average."
    )


def test_features_that_are_not_pooled_are_maps(pictures: Tensor) -> None:
    network = Backbone("resnet18", "layer2", SIZE, pooling=None).eval()
    assert network.n_features == 128
    assert network(pictures).shape == (2, 128, 8, 8)


@pytest.mark.parametrize(
    ("model", "features"),
    [
        ("resnet18", 512),
        ("squeezenet1_0", 512),
        ("mobilenet_v3_small", 1024),
        ("alexnet", 4096),
        ("densenet121", 1024),
        ("shufflenet_v2_x0_5", 1024),
        ("googlenet", 1024),
    ],
)
def test_without_a_layer_all_but_the_last_one_is_kept(model: str, features: int, pictures: Tensor) -> None:
    network = Backbone(model, None, SIZE).eval()
    assert network.n_features == features
    with torch.inference_mode():
        assert network(pictures).shape == (2, features)


def test_without_a_layer_features_are_what_the_last_layer_would_take(pictures: Tensor) -> None:
    torch.manual_seed(0)
    whole = Backbone("resnet18", None, SIZE).eval()
    torch.manual_seed(0)
    pooled = Backbone("resnet18", "avgpool", SIZE).eval()
    with torch.inference_mode():
        assert torch.equal(whole(pictures), pooled(pictures))


def test_googlenet_sees_pixels_from_minus_1_to_1_as_its_weights_do() -> None:
    whites = torch.full((1, 64, 64, 3), 255, dtype=torch.uint8)
    network = Backbone("googlenet", None, SIZE).eval()
    seen: list[Tensor] = []
    network.cut.get_submodule("conv1").register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        network(whites)
    assert torch.allclose(seen[0], torch.ones(1, 3, 64, 64), atol=1e-5)


def test_network_is_given_in_training_mode() -> None:
    assert Backbone("resnet18", "layer1", SIZE).training


def test_building_changes_no_running_mean() -> None:
    means = [value for key, value in newly_built(0).cut.state_dict().items() if key.endswith("running_mean")]
    assert len(means) == 5
    assert all((mean == 0).all() for mean in means)


def test_images_may_be_wider_than_high() -> None:
    network = Backbone("resnet18", "layer1", (96, 64), pooling=None).eval()
    assert network(torch.zeros(1, 64, 96, 3, dtype=torch.uint8)).shape == (1, 64, 16, 24)


@pytest.mark.parametrize(("model", "size"), [("alexnet", 8), ("vit_b_32", 64), ("inception_v3", 32)])
def test_size_that_the_model_cannot_take_is_an_error_that_says_what_to_set(model: str, size: int) -> None:
    with pytest.raises(InputError) as error:
        Backbone(model, None, (size, size))
    assert str(error.value).startswith(f"{model} cannot take images of {size} x {size} pixels: ")
    assert str(error.value).endswith(". Set size to what it was made for; 224 fits most.")


def test_weights_without_a_layer_need_all_but_the_last_layer(tmp_path: Path, pictures: Tensor) -> None:
    torch.manual_seed(1)
    state = get_model("resnet18", weights=None).state_dict()
    save_file({key: value for key, value in state.items() if not key.startswith("fc.")}, tmp_path / "w.safetensors")
    torch.manual_seed(0)
    network = Backbone("resnet18", None, SIZE).eval()
    load_weights(network, str(tmp_path / "w.safetensors"))
    assert torch.equal(network.cut.state_dict()["layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])


def test_file_that_lacks_a_layer_of_a_whole_network_is_an_error_that_says_so(tmp_path: Path) -> None:
    save_file(weights_of(built(0, "layer1")), tmp_path / "short.safetensors")
    with pytest.raises(InputError, match="into resnet18 up to its last layer: "):
        load_weights(Backbone("resnet18", None, SIZE), str(tmp_path / "short.safetensors"))


def test_pixels_are_normalised_as_for_imagenet() -> None:
    # Black and white: (0 - 0.485) / 0.229, (1 - 0.485) / 0.229 and so on.
    squares = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 1, 1, 3)
    black, white = normalised(squares).flatten(1)
    assert black.tolist() == pytest.approx([-2.1179, -2.0357, -1.8044], abs=1e-4)
    assert white.tolist() == pytest.approx([2.2489, 2.4286, 2.6400], abs=1e-4)


def test_random_weights_are_those_of_torchs_seed() -> None:
    first, again, other = (newly_built(seed) for seed in (0, 0, 1))
    assert same_weights(again, first)
    assert not same_weights(other, first)


def test_weights_named_random_leave_the_network_as_it_was_built() -> None:
    network = built(0)
    load_weights(network, "random")
    assert same_weights(network, built(0))


def test_layer_that_the_model_has_not_is_an_error_that_names_its_layers() -> None:
    with pytest.raises(InputError) as error:
        Backbone("resnet18", "layer5", SIZE)
    assert str(error.value) == (
        "resnet18 has no layer 'layer5'. Set layer to one of conv1, bn1, relu, maxpool, layer1, layer2, layer3, "
        "layer4, avgpool, flatten, fc, or to a node inside one."
    )


def test_beginning_of_a_layers_name_is_no_layer() -> None:
    with pytest.raises(InputError, match="resnet18 has no layer 'layer'"):
        Backbone("resnet18", "layer", SIZE)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_weights_are_read_from_a_file(suffix: str, tmp_path: Path, pictures: Tensor) -> None:
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(weights_of(built(1)), path)
    network = built(0)
    load_weights(network, str(path))
    assert torch.equal(network(pictures), built(1)(pictures))


def test_tensors_beyond_the_layer_are_not_needed_and_do_not_disturb(tmp_path: Path) -> None:
    save_file(weights_of(built(1, "layer3")), tmp_path / "deeper.safetensors")
    network = built(0, "layer1")
    load_weights(network, str(tmp_path / "deeper.safetensors"))
    whole, part = weights_of(built(1, "layer3")), weights_of(network)
    assert all(torch.equal(part[key], whole[key]) for key in part)


def test_layers_behind_the_weights_stay_as_they_were_built(tmp_path: Path) -> None:
    path = tmp_path / "deeper.safetensors"
    save_file(weights_of(built(1, "layer2")), path)
    network = built(0, "layer2")
    load_weights(network, str(path), "layer1")
    found, given, before = (weights_of(each) for each in (network, built(1, "layer2"), built(0, "layer2")))
    assert network.fresh == {key for key in found if key.startswith("layer2.")}
    assert all(torch.equal(found[key], (before if key in network.fresh else given)[key]) for key in found)


def test_weights_may_end_where_they_are_taken_to(tmp_path: Path) -> None:
    path = tmp_path / "short.safetensors"
    save_file(weights_of(built(1, "layer1")), path)
    network = built(0, "layer2")
    load_weights(network, str(path), "layer1")
    assert torch.equal(weights_of(network)["layer1.0.conv1.weight"], weights_of(built(1))["layer1.0.conv1.weight"])


def test_weights_that_are_taken_to_the_end_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(weights_of(built(1)), path)
    with pytest.raises(InputError) as error:
        load_weights(built(0), str(path), "layer1")
    assert str(error.value) == (
        "resnet18 has nothing to train between layer1, up to which weights are taken, and layer1. Set weights_to to an "
        "earlier node, or to null."
    )


def test_finding_out_what_is_behind_the_weights_draws_nothing(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(weights_of(built(1)), path)
    network = built(0, "layer2")
    torch.manual_seed(0)
    load_weights(network, str(path), "layer1")
    drawn = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(1), drawn)


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.safetensors"
    with pytest.raises(InputError) as error:
        load_weights(built(0), str(path))
    assert str(error.value) == f"weights: there is no file '{path}'. Put it there, or set weights to where it is."


def test_file_that_ends_before_the_layer_is_an_error_that_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "short.safetensors"
    save_file(weights_of(built(0, "layer1")), path)
    with pytest.raises(InputError) as error:
        load_weights(built(0, "layer2"), str(path))
    assert str(error.value) == (
        f"weights: {path} into resnet18 up to layer2: 25 of 60 tensors are missing, the first is "
        "'layer2.0.conv1.weight'. Choose the model that the weights were made for, and a layer that they reach."
    )


def test_file_of_another_model_is_an_error_that_names_a_shape(tmp_path: Path) -> None:
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
def test_pth_that_holds_something_else_than_a_state_dict_is_an_error(content: object, tmp_path: Path) -> None:
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
def test_file_that_holds_no_weights_is_an_error(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_weights(built(0), str(path))
    assert str(error.value).startswith(f"weights: '{path}' {UNREADABLE}: ")
    assert str(error.value).endswith(" Save the model's state_dict(), without other objects.")


@pytest.mark.parametrize(("made", "named"), [(".pth", ".safetensors"), (".safetensors", ".pth")])
def test_file_under_the_suffix_of_the_other_kind_is_an_error(made: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{made}"
    (save_file if made == ".safetensors" else torch.save)(weights_of(built(0)), path)
    path.rename(path.with_suffix(named))
    with pytest.raises(InputError, match=UNREADABLE):
        load_weights(built(0), str(path.with_suffix(named)))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_file_that_was_cut_off_is_an_error(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(weights_of(built(0)), path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(InputError, match=UNREADABLE):
        load_weights(built(0), str(path))


def test_pickled_module_is_refused_with_advice(tmp_path: Path) -> None:
    torch.save(nn.Linear(1, 1), tmp_path / "module.pth")
    with pytest.raises(InputError, match=r"Save the model's state_dict\(\), without other objects\.$"):
        load_weights(built(0), str(tmp_path / "module.pth"))


def test_reason_does_not_advise_to_run_a_pickle(tmp_path: Path) -> None:
    torch.save(nn.Linear(1, 1), tmp_path / "module.pth")
    with pytest.raises(InputError) as error:
        load_weights(built(0), str(tmp_path / "module.pth"))
    assert "This file can still be loaded" not in str(error.value)
    assert "\x1b" not in str(error.value)


def test_pickle_in_a_file_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save(weights_of(built(0)) | {"extra": Touch(tmp_path / "it ran")}, tmp_path / "pickle.pth")
    with pytest.raises(InputError, match=UNREADABLE):
        load_weights(built(0), str(tmp_path / "pickle.pth"))
    assert not (tmp_path / "it ran").exists()


def test_name_that_torchvision_has_not_is_an_error_that_lists_what_it_has() -> None:
    with pytest.raises(InputError) as error:
        load_weights(built(0), "IMAGENET1K_V2")
    assert str(error.value) == (
        "weights: 'IMAGENET1K_V2' is neither a file nor weights of resnet18. Set it to one of IMAGENET1K_V1, DEFAULT, "
        "the path of a .safetensors or .pth file, or random."
    )


def test_torchvisions_weights_are_fetched_by_their_name(website: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(weights_of(built(1)), website, monkeypatch)
    network = built(0)
    load_weights(network, "IMAGENET1K_V1")
    assert same_weights(network, built(1))


def test_torchvisions_weights_are_fetched_once(website: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = publish(weights_of(built(1)), website, monkeypatch)
    load_weights(built(0), "IMAGENET1K_V1")
    (website / name).unlink()
    network = built(0)
    load_weights(network, "IMAGENET1K_V1")
    assert same_weights(network, built(1))


def test_fetched_file_with_another_hash_is_refused_and_not_kept(
    website: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(weights_of(built(1)), website, monkeypatch, digest="00000000")
    network = built(0)
    with pytest.raises(InputError, match=r"IMAGENET1K_V1 of resnet18 could not be fetched: invalid hash value"):
        load_weights(network, "IMAGENET1K_V1")
    assert same_weights(network, built(0))
    assert list((tmp_path / "torch").rglob("*.pth")) == []


def test_weights_that_cannot_be_fetched_are_an_error_that_names_their_address_and_where_to_put_them(
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


def test_file_put_where_fetched_weights_are_kept_is_used(
    website: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = publish(weights_of(built(1)), website, monkeypatch)
    kept = tmp_path / "torch" / "hub" / "checkpoints"
    kept.mkdir(parents=True)
    (website / name).rename(kept / name)
    network = built(0)
    load_weights(network, "IMAGENET1K_V1")
    assert same_weights(network, built(1))


def test_pickle_where_fetched_weights_are_kept_is_refused_and_not_run(
    website: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = publish(weights_of(built(1)) | {"extra": Touch(tmp_path / "it ran")}, website, monkeypatch)
    kept = tmp_path / "torch" / "hub" / "checkpoints"
    kept.mkdir(parents=True)
    (website / name).rename(kept / name)
    with pytest.raises(InputError, match="IMAGENET1K_V1"):
        load_weights(built(0), "IMAGENET1K_V1")
    assert not (tmp_path / "it ran").exists()


def test_web_page_where_fetched_weights_are_kept_is_an_error(
    website: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = publish({}, website, monkeypatch)
    kept = tmp_path / "torch" / "hub" / "checkpoints"
    kept.mkdir(parents=True)
    (kept / name).write_text("<!DOCTYPE html><html>not found</html>")
    with pytest.raises(InputError, match="IMAGENET1K_V1"):
        load_weights(built(0), "IMAGENET1K_V1")


def test_cpu_is_a_device_everywhere() -> None:
    assert chosen_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_auto_is_the_cpu_where_there_is_no_gpu() -> None:
    assert chosen_device("auto") == torch.device("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_auto_is_the_gpu_where_there_is_one() -> None:
    assert chosen_device("auto") == torch.device("cuda")


@pytest.mark.parametrize("name", ["banana", "", "cuda:99", "hpu"])
def test_device_that_torch_cannot_use_is_an_error_that_says_what_to_set(name: str) -> None:
    with pytest.raises(InputError) as error:
        chosen_device(name)
    start = f"environment: COUNTERWEIGHT_DEVICE is '{name}', and torch cannot use it here: "
    assert str(error.value).startswith(start)
    assert str(error.value).endswith("Set it to cpu, or unset it to use a GPU when there is one.")


@pytest.mark.skipif(not PRETRAINED.is_file(), reason=f"{PRETRAINED.name} is not beside the project")
def test_pretrained_features_of_a_picture_are_256_numbers_and_not_those_of_random_weights(pictures: Tensor) -> None:
    network = built(0, "layer3")
    with torch.inference_mode():
        random = network(pictures)
        load_weights(network, str(PRETRAINED))
        pretrained = network(pictures)
    assert pretrained.shape == (2, 256)
    assert not torch.allclose(pretrained, random)


@pytest.mark.skipif(not PRETRAINED.is_file(), reason=f"{PRETRAINED.name} is not beside the project")
def test_pretrained_weights_end_at_layer3() -> None:
    with pytest.raises(InputError, match=r"up to layer4: \d+ of \d+ tensors are missing, the first is 'layer4\.0\."):
        load_weights(built(0, "layer4"), str(PRETRAINED))
