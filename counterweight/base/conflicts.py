"""Params that are fine each, and wrong together; looked at also where others are wrong, so that all is said at once."""

from collections.abc import Mapping
from typing import Any

from counterweight.base.architectures import CONVNETS, VGG_CONVS


def exclusions(params: Any) -> list[tuple[str, str]]:
    """What cannot stand together in the content of params.yaml.

    Parameters
    ----------
    params : mapping of str to mapping, or anything else
        The file as it was read, of which nothing is known yet.

    Returns
    -------
    list of (str, str)
        The dotted name of one of the params, and what is wrong with it.
    """

    def value(name: str) -> Any:
        found = params
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found

    model, several = value("train.model"), value("data.task") == "multilabel"
    loss, pipelines = value("train.loss"), value("augment.pipelines")
    found = []
    if value("data.columns.image") is None and isinstance(value("data.columns"), Mapping):
        images = value("data.images")
        if "image" in value("data.columns") and isinstance(images, str) and not images.endswith(".npy"):
            found.append(("data.columns.image", "is null, and data.images is no .npy array. Name the column"))
    if several and value("augment.strategy") == "classes":
        found.append(
            (
                "augment.strategy",
                "is classes, which is for one label an image, and data.task is multilabel. Choose labels, or another "
                "task",
            )
        )
    if isinstance(pipelines, Mapping) and isinstance(value("augment.pipeline"), str):
        name = value("augment.pipeline")
        if name not in pipelines:
            known = ", ".join(map(str, pipelines))
            found.append(("augment.pipeline", f"is '{name}', and pipelines has {known}. Choose one of them"))
    if several and isinstance(loss, str) and loss.endswith("cross_entropy"):
        found.append(
            (
                "train.loss",
                f"is {loss}, which is for one label an image, and data.task is multilabel. Choose another loss, or "
                "another task",
            )
        )
    if model in CONVNETS:
        scratch = f"{model} is trained from scratch"
        if value("train.weights") not in ("random", None):
            found.append(("train.weights", f"{scratch}: set it to random, or choose a torchvision classifier"))
        if value("train.freeze") is True:
            found.append(("train.freeze", f"{scratch}: set it to false, or choose a torchvision classifier"))
    if value("train.weights_to") is not None:
        if model in (*CONVNETS, VGG_CONVS):
            said = f"{model} has no layers behind its weights: set it to null, or choose a torchvision classifier"
            found.append(("train.weights_to", said))
        elif value("train.weights") == "random":
            found.append(("train.weights_to", "ends weights, and weights is random: set it to null, or name weights"))
        if value("train.freeze") is True:
            said = "leaves layers random, and freeze would keep them so: set it to null, or freeze to false"
            found.append(("train.weights_to", said))
    if model == VGG_CONVS and value("train.freeze") is False:
        found.append(
            ("train.freeze", f"{model} is convolutions on a frozen VGG19: set it to true, or the model to vgg19")
        )
    if value("train.pooling") in ("pyramid", "bilinear") and model in CONVNETS:
        found.append(
            (
                "train.pooling",
                f"is {value('train.pooling')}, and {model} has no layer to pool: set it to average or max",
            )
        )
    if value("train.mirror") is True and model in (*CONVNETS, VGG_CONVS):
        found.append(
            ("train.mirror", f"{model} sees each image once: set it to false, or choose a torchvision classifier")
        )
    whole = isinstance(model, str) and model not in (*CONVNETS, VGG_CONVS) and value("train.layer") is None
    if whole and value("train.pooling") in ("max", "pyramid", "bilinear"):
        found.append(("train.pooling", "pools the maps of a layer, and layer is null: name one, or set it to average"))
    if value("train.channels") == 1 and isinstance(model, str) and model not in CONVNETS:
        found.append(("train.channels", f"{model} sees colour: set it to 3, or choose one of {', '.join(CONVNETS)}"))
    if value("train.freeze") is True and value("train.transforms"):
        found.append(
            ("train.transforms", "change images anew each epoch, and freeze looks at each once: give up one of them")
        )
    return found
