"""Params that are valid one by one but not together; checked even if others are invalid, to report all at once."""

from collections.abc import Iterator, Mapping
from typing import Any

from counterweight.base.architectures import CONVNETS, TIMM, VGG_CONVS


def conflicts(params: Any) -> Iterator[tuple[str, str]]:
    """Yield the dotted name of one of the conflicting params, and what is wrong with it.

    Parameters
    ----------
    params : mapping of str to mapping, or anything else
        Content of the file, not validated yet.
    """

    def value(name: str) -> Any:
        node = params
        for key in name.split("."):
            node = node.get(key) if isinstance(node, Mapping) else None
        return node

    columns, images = value("data.columns"), value("data.images")
    no_column = isinstance(columns, Mapping) and "image" in columns and columns["image"] is None
    if no_column and isinstance(images, str) and not images.endswith(".npy"):
        yield "data.columns.image", "is null, but data.images is not a .npy array. Name the column"

    pipelines, pipeline = value("augment.pipelines"), value("augment.pipeline")
    fallback = value("augment.guard.fallback")
    if isinstance(pipelines, Mapping):
        names = ", ".join(map(str, pipelines))
        if "plain" in pipelines:
            yield "augment.pipelines.plain", "plain means the image itself, without a pipeline. Choose another name"
        if isinstance(pipeline, str) and pipeline not in pipelines:
            yield "augment.pipeline", f"'{pipeline}' is not in augment.pipelines. Choose one of: {names}"
        if isinstance(fallback, str) and fallback not in [*pipelines, "plain"]:
            problem = f"'{fallback}' is not in augment.pipelines. Choose one of: {names}; or plain, or null"
            yield "augment.guard.fallback", problem

    resampling, target = value("augment.resampling"), value("augment.target")
    if resampling in ("under", "both"):
        if value("augment.strategy") == "none":
            yield "augment.strategy", f"none has no groups, but augment.resampling is {resampling}. Choose a strategy"
        if target == "majority":
            problem = "leaves no image out, but augment.resampling is"
            yield "augment.target", f"majority {problem} {resampling}. Set a fraction or a number of images"
    if resampling in ("over", "both") and target == "minority":
        yield "augment.target", f"minority needs augment.resampling: under, not {resampling}. Set one of them otherwise"

    arms = value("train.arms")
    missing = [arm for arm in ("nothing", "copies") if isinstance(arms, list) and arm not in arms]
    if missing:
        yield "train.arms", f"{missing[0]} is missing, but copies are judged against nothing. Add it"

    loss = value("train.loss")
    if value("data.task") == "multilabel":
        needs = "needs one label per image, but data.task is multilabel"
        if value("augment.strategy") == "classes":
            yield "augment.strategy", f"classes {needs}. Choose labels, or another task"
        if loss == "cross_entropy":
            yield "train.loss", f"{loss} {needs}. Choose another loss, or another task"

    for section in ("features", "train"):
        model, layer, weights = (value(f"{section}.{name}") for name in ("model", "layer", "weights"))
        if not (isinstance(model, str) and isinstance(weights, str)):
            continue
        if model.startswith(TIMM) and layer is not None:
            yield f"{section}.layer", f"{model} is used whole. Set it to null, or choose a torchvision classifier"
        if model.startswith(TIMM) and weights.isidentifier() and weights not in ("pretrained", "random"):
            yield f"{section}.weights", f"{model} has no weights of that name. Set it to pretrained, or to a file"
        if weights == "pretrained" and not model.startswith(TIMM):
            yield f"{section}.weights", f"{model} has weights by name. Set it to one such as IMAGENET1K_V1"

    if value("data.group_pattern") is not None and value("data.columns.group") is not None:
        yield "data.group_pattern", "data.columns.group names a column of groups. Set one of them to null"

    model, pooling, frozen = value("train.model"), value("train.pooling"), value("train.freeze") is True
    convnet = model in CONVNETS
    torchvision = isinstance(model, str) and not convnet and model != VGG_CONVS
    other = "or choose a torchvision classifier"
    if convnet:
        if value("train.weights") not in ("random", None):
            yield "train.weights", f"{model} is trained from scratch. Set it to random, {other}"
        if frozen:
            yield "train.freeze", f"{model} is trained from scratch. Set it to false, {other}"
        if pooling in ("pyramid", "bilinear"):
            yield "train.pooling", f"{model} does not support {pooling}. Set it to average or max"
    if model == VGG_CONVS and value("train.freeze") is False:
        yield "train.freeze", f"{model} needs a frozen VGG19. Set it to true, or train.model to vgg19"

    name = "train.pretrained_until"
    if value(name) is not None:
        if not torchvision or str(model).startswith(TIMM):
            yield name, f"{model} does not support it. Set it to null, {other}"
        elif value("train.weights") == "random":
            yield name, "train.weights is random. Set this to null, or name pretrained weights"
        if frozen:
            yield name, "train.freeze would keep the layers after it random. Set this to null, or train.freeze to false"

    if value("train.flip_tta") is True and (convnet or model == VGG_CONVS):
        yield "train.flip_tta", f"{model} does not support it. Set it to false, {other}"
    if torchvision and value("train.layer") is None and pooling in ("max", "pyramid", "bilinear"):
        fix = "Set average" if str(model).startswith(TIMM) else "Name a layer, or set average"
        yield "train.pooling", f"{pooling} needs train.layer, which is null. {fix}"
    if value("train.channels") == 1 and isinstance(model, str) and not convnet:
        names = ", ".join(CONVNETS)
        yield "train.channels", f"{model} needs color images. Set it to 3, or choose one of {names}"
    if value("train.optimizer") == "lbfgs":
        name = "train.optimizer"
        if convnet or model == VGG_CONVS:
            yield name, f"lbfgs trains a linear head on fixed features, not {model}. Set it to adam"
        elif value("train.freeze") is False:
            yield name, "lbfgs trains a head on fixed features. Set train.freeze to true, or this to adam"
        repeats = value("train.repeats")
        same = value("train.weights") != "random" and value("train.weighting") == "loss"
        if isinstance(repeats, int) and repeats > 1 and same:
            yield "train.repeats", "lbfgs comes to the same network from each seed. Set this to 1"
    if frozen and value("train.transforms"):
        fix = "Set train.freeze to false, or train.transforms to []"
        yield "train.transforms", f"train.freeze computes features once, without transforms. {fix}"
