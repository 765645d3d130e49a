"""Load weights into backbones, from torchvision or from a file."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from counterweight.base.architectures import TIMM
from counterweight.base.errors import InputError
from counterweight.networks.backbones import Backbone, build_model, build_timm_model, cut_at_layer
from counterweight.networks.classifier import Classifier, ModelConfig


def build_classifier(config: ModelConfig, weights: str, until: str | None, seed: int) -> Classifier:
    """Build a classifier with random weights by a seed, and load the others as `load_weights` does."""
    torch.manual_seed(seed)
    classifier = Classifier(config)
    if isinstance(classifier.body, Backbone):
        load_weights(classifier.body, weights, until)
    return classifier


def load_weights(network: Backbone, weights: str, until: str | None = None) -> None:
    """Load weights into a backbone, in place.

    Parameters
    ----------
    network : Backbone
        The network.
    weights : str
        The name of torchvision weights, such as ``IMAGENET1K_V1``, which are downloaded once and checked against their
        hash; ``pretrained`` for timm's, which its hub downloads once; the path of a ``.safetensors`` or ``.pth`` file;
        or ``random``, which changes nothing.
    until : str, optional
        The last node that gets pretrained weights; later layers stay random. Layers near the end are specific to the
        task that they were trained for (J. Yosinski et al., "How transferable are features in deep neural networks?",
        NIPS 2014).

    Raises
    ------
    InputError
        If the weights are unknown, cannot be downloaded or do not fit the model, or if the network has no parameters
        after ``until``.
    """
    if weights == "random":
        return
    path = Path(weights)
    if network.model.startswith(TIMM):
        state = _from_timm(network, weights)
    else:
        state = _from_file(path) if path.suffix else _from_torchvision(network.model, weights)
    where = f"{weights} into {network.model} up to {until or network.layer or 'its last layer'}"
    if until is not None:
        network.reinitialized = _parameters_after(network, until)
    _load(network, state, where)


def _parameters_after(network: Backbone, node: str) -> frozenset[str]:
    """Names of the parameters and buffers that the output of a node does not depend on."""
    with torch.random.fork_rng(devices=[]):
        before = cut_at_layer(build_model(network.model), network.model, node).state_dict()
    after = frozenset(network.trunk.state_dict()) - set(before)
    if not after:
        raise InputError(
            f"{network.model} has nothing to train between {node}, where pretrained weights end, and "
            f"{network.layer or 'its last layer'}. Set pretrained_until to an earlier node, or to null."
        )
    return after


def _from_file(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return cast(Mapping[str, Tensor], load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
            raise ValueError("it holds something else.")
        return cast(Mapping[str, Tensor], state)
    except FileNotFoundError:
        raise InputError(f"weights: there is no file '{path}'. Put it there, or set weights to its path.") from None
    except Exception as error:  # torch and safetensors raise whatever the bytes in the file provoke
        unpicklable = isinstance(error, UnpicklingError)
        reason = "it holds objects other than tensors." if unpicklable else str(error).partition("\n")[0]
        raise InputError(
            f"weights: '{path}' is not a .safetensors file or a state dict saved by torch: {reason} "
            "Save the model's state_dict(), without other objects."
        ) from None


def _from_timm(network: Backbone, weights: str) -> Mapping[str, Tensor]:
    """Load weights as timm does, which renames tensors of other projects and resizes position embeddings."""
    path = Path(weights)
    if path.suffix != ".safetensors" and weights != "pretrained":
        return _from_file(path)
    options: dict[str, Any] = {} if weights == "pretrained" else {"pretrained_cfg_overlay": {"file": weights}}
    if options:
        _from_file(path)  # Says what is wrong with the file.
    states = []
    try:
        for seed in range(2):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                loaded = build_timm_model(network.model, network.size, pretrained=True, **options)[0]
                states.append(loaded.state_dict())
    # The hub and timm raise many types; their messages say what is missing.
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"weights: {weights} of {network.model} cannot be loaded: {reason} Download its model.safetensors from the "
            "hub on a machine with internet, and set weights to the path of the file."
        ) from None
    # timm leaves tensors random that the file lacks, without a word.
    return {key: values for key, values in states[0].items() if torch.equal(values, states[1][key])}


def _from_torchvision(model: str, name: str) -> Mapping[str, Tensor]:
    from torchvision.models import get_model_weights  # Not before backbones, which keeps the compiler from loading.

    available = get_model_weights(model)
    if name not in available.__members__:
        raise InputError(
            f"weights: '{name}' is neither a file nor weights of {model}. "
            f"Set it to one of {', '.join(available.__members__)}, the path of a .safetensors or .pth file, or random."
        )
    url = available[name].url
    try:
        # torch does not check the hash of a file that is in its cache already; weights_only keeps it from running code.
        state = available[name].get_state_dict(progress=False, check_hash=True, weights_only=True)
        return cast(Mapping[str, Tensor], state)
    except (URLError, OSError, RuntimeError, UnpicklingError, EOFError) as error:
        cache = Path(torch.hub.get_dir()) / "checkpoints"
        raise InputError(
            f"weights: {name} of {model} could not be fetched: {error}. Download {url} on a machine with "
            f"internet and put the file into {cache}, or anywhere and set weights to its path."
        ) from None


def _load(network: Backbone, state: Mapping[str, Tensor], where: str) -> None:
    """Load the tensors that the network has; those of layers that were cut off are ignored."""
    own = network.trunk.state_dict()
    wanted = {key: value for key, value in own.items() if key not in network.reinitialized}
    missing = [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]
    if missing:
        raise InputError(
            f"weights: {where}: {len(missing)} of {len(wanted)} tensors are missing, the first is '{missing[0]}'. "
            "Choose the model that the weights were made for, and a layer that they reach."
        )
    differing = [key for key in wanted if key in state and wanted[key].shape != state[key].shape]
    if differing:
        shape, expected = tuple(state[differing[0]].shape), tuple(wanted[differing[0]].shape)
        raise InputError(
            f"weights: {where}: '{differing[0]}' has the shape {shape}, the model's is {expected}. "
            "Choose the model that the weights were made for."
        )
    not_finite = [key for key in wanted if key in state and not torch.isfinite(state[key]).all()]
    if not_finite:
        raise InputError(
            f"weights: {where}: '{not_finite[0]}' holds NaN or infinite numbers. Save the model before its training "
            "failed, or choose other weights."
        )
    network.trunk.load_state_dict(own | {key: state.get(key, value) for key, value in wanted.items()})


def weights_checksum(network: nn.Module) -> str:
    """SHA-256 of a network's parameters and buffers."""
    digest = hashlib.sha256()
    for name, values in network.state_dict().items():
        digest.update(name.encode() + values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
