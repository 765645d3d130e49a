"""torchvision networks, cut at a node and pooled, with weights by name, from a file, or random."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import cast
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from counterweight.base.errors import InputError
from counterweight.networks.pooling import Bilinear, pooled
from counterweight.runtime.lazy_import import later

# It would load PyTorch's compiler, which takes a second, to ask it one question in an operation that no classifier has.
with later("torch._dynamo.utils", "is_compile_supported"):
    from torchvision.models import get_model, get_model_weights
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """A torchvision network up to one node, or without its last layer.

    Parameters
    ----------
    model : str
        A torchvision classifier, such as ``resnet18``.
    layer : str or None
        A node of it, such as ``layer3``; None goes to the input of the last layer.
    size : (int, int)
        Width and height of the images, in pixels.
    pooling : str or None
        How maps become a row: ``bilinear``, see `counterweight.networks.pooling.Bilinear`, or as in
        `counterweight.networks.pooling.pooled`; None leaves them as they are.
    mirror : bool
        Whether the network looks at each image's mirror image, too; its maps are the mean of both, turned back. In
        training mode it looks at each image once.

    Attributes
    ----------
    n_features : int
        Length of a row of the output, or channels of its maps.
    fresh : frozenset of str
        Names of the parameters and buffers of ``cut`` behind those that `load_weights` took: they began random.

    Raises
    ------
    InputError
        If the model has no such node, cannot take images of that size, or has no maps there to be pooled.
    """

    def __init__(
        self,
        model: str,
        layer: str | None,
        size: tuple[int, int],
        *,
        pooling: str | None = "average",
        mirror: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.layer = layer
        self.pooling = pooling
        self.mirror = mirror
        self.bilinear: Bilinear | None = None
        self.fresh: frozenset[str] = frozenset()
        whole = _built(model)
        self.cut = _without_last_layer(whole) if layer is None else _cut_at(whole, model, layer)
        self.eval()
        try:
            with torch.no_grad():
                black = torch.zeros(1, size[1], size[0], 3, dtype=torch.uint8)
                if pooling == "bilinear":
                    self.bilinear = _bilinear_of(self.maps(black), model, layer)
                self.n_features = self(black).shape[1]
        except (RuntimeError, AssertionError, ValueError) as error:
            raise InputError(
                f"{model} cannot take images of {size[0]} x {size[1]} pixels: {error}. Set size to what it was made "
                "for; 224 fits most."
            ) from None
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        """Features of RGB images: uint8 (n, height, width, 3) to float (n, n_features), or maps if not pooled."""
        maps = self.maps(images)
        if self.pooling is None:
            return maps
        if self.bilinear is not None:
            features: Tensor = self.bilinear(maps)
            return features
        return pooled(maps, self.pooling) if maps.dim() == 4 else maps.flatten(1)

    def maps(self, images: Tensor) -> Tensor:
        """What there is to be pooled of RGB images: in most layers, float (n, channels, height, width)."""
        pixels = normalised(images)
        maps = self._cut(pixels)
        if not self.mirror or self.training:
            return maps
        mirrored = self._cut(pixels.flip(3))
        return (maps + (mirrored.flip(3) if mirrored.dim() == 4 else mirrored)) / 2

    def _cut(self, pixels: Tensor) -> Tensor:
        found = self.cut(pixels)
        maps: Tensor = found["features"] if isinstance(found, dict) else found
        return maps


def _built(model: str) -> nn.Module:
    # The two that have auxiliary outputs in training: these would be outputs of other labels. Their weights were made
    # for pixels from -1 to 1, to which transform_input brings those that are normalised as for all others.
    inception = model in {"googlenet", "inception_v3"}
    extra = {"aux_logits": False, "init_weights": True, "transform_input": True} if inception else {}
    whole: nn.Module = get_model(model, weights=None, **extra)
    return whole


def _bilinear_of(maps: Tensor, model: str, layer: str | None) -> Bilinear:
    if maps.dim() != 4:
        raise InputError(
            f"{model} has no maps at {layer or 'its end'}, which bilinear pooling is of. Set layer to an earlier one, "
            "or pooling to average."
        )
    return Bilinear(maps.shape[1])


def _cut_at(whole: nn.Module, model: str, layer: str) -> nn.Module:
    nodes = get_graph_node_names(whole)[1]
    if not any(node == layer or node.startswith(f"{layer}.") for node in nodes):
        blocks = list(dict.fromkeys(node.split(".")[0] for node in nodes[1:]))
        raise InputError(
            f"{model} has no layer '{layer}'. Set layer to one of {', '.join(blocks)}, or to a node inside one."
        )
    cut: nn.Module = create_feature_extractor(whole, {layer: "features"})
    return cut


def _behind(network: Backbone, node: str) -> frozenset[str]:
    """Names of the parameters and buffers of a network that what comes out of a node does not depend on."""
    with torch.random.fork_rng(devices=[]):
        before = _cut_at(_built(network.model), network.model, node).state_dict()
    behind = frozenset(network.cut.state_dict()) - set(before)
    if not behind:
        raise InputError(
            f"{network.model} has nothing to train between {node}, up to which weights are taken, and "
            f"{network.layer or 'its last layer'}. Set weights_to to an earlier node, or to null."
        )
    return behind


def _without_last_layer(whole: nn.Module) -> nn.Module:
    """Put an identity in the place of the last layer: a linear one in all networks but SqueezeNet."""
    modules = list(whole.named_modules())
    linear = [name for name, module in modules if isinstance(module, nn.Linear)]
    last = (linear or [name for name, module in modules if isinstance(module, nn.Conv2d)])[-1]
    parent, _, child = last.rpartition(".")
    setattr(whole.get_submodule(parent), child, nn.Identity())
    return whole


def load_weights(network: Backbone, weights: str, to: str | None = None) -> None:
    """Give a backbone its weights.

    Parameters
    ----------
    network : Backbone
        It is changed.
    weights : str
        A name of torchvision's, such as ``IMAGENET1K_V1``, which is fetched once and checked against its hash; the
        path of a ``.safetensors`` or ``.pth`` file; or ``random``, which leaves the network as it was built.
    to : str, optional
        A node before the one at which the network is cut: weights are taken up to there, and what follows stays random.
        Layers so near the end serve the task that they were trained for; see J. Yosinski et al., "How transferable are
        features in deep neural networks?", NIPS 2014.

    Raises
    ------
    InputError
        If the name is unknown, the weights cannot be fetched, the file does not fit the model, or there is no such node
        ``to`` before the cut.
    """
    if weights == "random":
        return
    state = _from_file(Path(weights)) if Path(weights).suffix else _from_torchvision(network.model, weights)
    what = f"{weights} into {network.model} up to {to or network.layer or 'its last layer'}"
    if to is not None:
        network.fresh = _behind(network, to)
    _load(network, state, what)


def normalised(images: Tensor) -> Tensor:
    """Pixels as ImageNet-trained networks expect them.

    Parameters
    ----------
    images : Tensor of uint8, shape (n, height, width, 3)
        RGB.

    Returns
    -------
    Tensor of float32, shape (n, 3, height, width)
        In channels-last memory: (value / 255 - mean) / standard deviation, per channel.
    """
    # A whole line at once, which takes less than half the time of three values at once.
    lines = images.flatten(2)
    mean = torch.tensor(IMAGENET_MEAN, device=images.device).repeat(images.shape[2])
    std = torch.tensor(IMAGENET_STD, device=images.device).repeat(images.shape[2])
    return ((lines.float() / 255 - mean) / std).view(images.shape).permute(0, 3, 1, 2)


def chosen_device(name: str) -> torch.device:
    """The device to compute on.

    Parameters
    ----------
    name : str
        A torch device, or ``auto``: the first GPU if there is one, else the CPU.

    Raises
    ------
    InputError
        If this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"environment: COUNTERWEIGHT_DEVICE is '{name}', and torch cannot use it here: {reason} "
            "Set it to cpu, or unset it to use a GPU when there is one."
        ) from None


def _from_file(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return cast(Mapping[str, Tensor], load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
            raise ValueError("it holds something else.")
        return cast(Mapping[str, Tensor], state)
    except FileNotFoundError:
        raise InputError(f"weights: there is no file '{path}'. Put it there, or set weights to where it is.") from None
    except Exception as error:  # what torch and safetensors raise depends on the bytes they meet
        unpicklable = isinstance(error, UnpicklingError)
        reason = "it holds other objects than tensors." if unpicklable else str(error).partition("\n")[0]
        raise InputError(
            f"weights: '{path}' is not a .safetensors file or a state dict saved by torch: {reason} "
            "Save the model's state_dict(), without other objects."
        ) from None


def _from_torchvision(model: str, name: str) -> Mapping[str, Tensor]:
    known = get_model_weights(model)
    if name not in known.__members__:
        raise InputError(
            f"weights: '{name}' is neither a file nor weights of {model}. "
            f"Set it to one of {', '.join(known.__members__)}, the path of a .safetensors or .pth file, or random."
        )
    url = known[name].url
    try:
        # A file that lies in torch's cache already is not checked against its hash; it must not run code either.
        state = known[name].get_state_dict(progress=False, check_hash=True, weights_only=True)
        return cast(Mapping[str, Tensor], state)
    except (URLError, OSError, RuntimeError, UnpicklingError, EOFError) as error:
        cache = Path(torch.hub.get_dir()) / "checkpoints"
        raise InputError(
            f"weights: {name} of {model} could not be fetched: {error}. Download {url} on a machine with "
            f"internet and put the file into {cache}, or anywhere and set weights to its path."
        ) from None


def _load(network: Backbone, state: Mapping[str, Tensor], what: str) -> None:
    """Give the network the part of the weights that it has; the rest, beyond the cut, is not needed."""
    own = network.cut.state_dict()
    wanted = {key: value for key, value in own.items() if key not in network.fresh}
    missing = [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]
    if missing:
        raise InputError(
            f"weights: {what}: {len(missing)} of {len(wanted)} tensors are missing, the first is '{missing[0]}'. "
            "Choose the model that the weights were made for, and a layer that they reach."
        )
    differing = [key for key in wanted if key in state and wanted[key].shape != state[key].shape]
    if differing:
        found, expected = tuple(state[differing[0]].shape), tuple(wanted[differing[0]].shape)
        raise InputError(
            f"weights: {what}: '{differing[0]}' has the shape {found}, the model's is {expected}. "
            "Choose the model that the weights were made for."
        )
    network.cut.load_state_dict(own | {key: state.get(key, value) for key, value in wanted.items()})


def checksum_of(network: nn.Module) -> str:
    """SHA-256 of a network's weights and buffers."""
    digest = hashlib.sha256()
    for name, values in network.state_dict().items():
        digest.update(name.encode() + values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
