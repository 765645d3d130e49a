"""Networks of timm as backbones: those that take any size, and those with position embeddings."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from counterweight.base.errors import InputError
from counterweight.networks.backbones import Backbone
from counterweight.networks.weights import load_weights

timm = pytest.importorskip("timm", reason="make timm installs it")
SIZE = (32, 32)


def images() -> Tensor:
    return torch.randint(0, 256, (2, 32, 32, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("model", "n_features", "mean"),
    [("resnet10t", 512, 0.485), ("vit_tiny_patch16_224", 192, 0.5), ("mobilenetv3_small_050", 1024, 0.485)],
)
def test_rows_are_what_the_network_gives_before_its_last_layer(model: str, n_features: int, mean: float) -> None:
    torch.manual_seed(0)
    network = Backbone(f"timm/{model}", None, SIZE).eval()
    assert (network.n_features, network.mean[0]) == (n_features, mean)
    pixels = (images().permute(0, 3, 1, 2) / 255 - torch.tensor(network.mean).view(1, 3, 1, 1)) / torch.tensor(
        network.std
    ).view(1, 3, 1, 1)
    with torch.inference_mode():
        torch.testing.assert_close(network(images()), network.trunk(pixels))


def test_position_embeddings_of_another_size_are_resized(tmp_path: Path) -> None:
    torch.manual_seed(1)
    saved = timm.create_model("vit_tiny_patch16_224")
    save_file(saved.state_dict(), tmp_path / "vit.safetensors")
    network = Backbone("timm/vit_tiny_patch16_224", None, SIZE)
    load_weights(network, str(tmp_path / "vit.safetensors"))
    state = network.trunk.state_dict()
    assert state["pos_embed"].shape == (1, 5, 192)
    torch.testing.assert_close(state["blocks.3.attn.qkv.weight"], saved.state_dict()["blocks.3.attn.qkv.weight"])


def test_weights_are_read_from_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    saved = timm.create_model("resnet10t")
    repository = timm.get_pretrained_cfg("resnet10t").hf_hub_id.replace("/", "--")
    cache = tmp_path / f"models--{repository}"
    (cache / "snapshots/1234").mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs/main").write_text("1234")
    save_file(saved.state_dict(), cache / "snapshots/1234/model.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    network = Backbone("timm/resnet10t", None, SIZE)
    load_weights(network, "pretrained")
    torch.testing.assert_close(network.trunk.state_dict()["layer1.0.conv1.weight"], saved.layer1[0].conv1.weight.data)


def test_weights_that_are_not_in_the_cache_cannot_be_loaded_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as error:
        load_weights(Backbone("timm/resnet10t", None, SIZE), "pretrained")
    assert str(error.value).startswith("weights: pretrained of timm/resnet10t cannot be loaded: ")
    assert str(error.value).endswith("and set weights to the path of the file.")


def test_weights_of_another_network_are_an_error(tmp_path: Path) -> None:
    save_file({"conv.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(
        InputError, match=r"other\.safetensors into timm/resnet10t .* tensors are missing, the first is 'conv1"
    ):
        load_weights(Backbone("timm/resnet10t", None, SIZE), str(tmp_path / "other.safetensors"))


def test_an_unknown_name_is_answered_with_similar_ones() -> None:
    with pytest.raises(InputError) as error:
        Backbone("timm/resnet10", None, SIZE)
    assert str(error.value) == (
        "params.yaml: timm has no model 'resnet10'. Choose another, such as resnet10t, resnet101, resnet101_clip and 4 "
        "more."
    )
