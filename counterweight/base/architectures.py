"""Names of the supported networks, listed here so that params are validated without importing torch."""

from difflib import get_close_matches

CONVNETS = ("cnn7", "cnn3", "cnn2_dropout", "cnn1", "cnn0", "convnet6")
VGG_CONVS = "vgg19_convs"
# What the names of timm's networks begin with.
TIMM = "timm/"

# torchvision's classifiers; a test compares this with `torchvision.models.list_models`.
TORCHVISION = (
    "alexnet", "convnext_base", "convnext_large", "convnext_small", "convnext_tiny",
    "densenet121", "densenet161", "densenet169", "densenet201",
    "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4", "efficientnet_b5",
    "efficientnet_b6", "efficientnet_b7",
    "efficientnet_v2_l", "efficientnet_v2_m", "efficientnet_v2_s",
    "googlenet", "inception_v3", "maxvit_t",
    "mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3",
    "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small",
    "regnet_x_16gf", "regnet_x_1_6gf", "regnet_x_32gf", "regnet_x_3_2gf", "regnet_x_400mf", "regnet_x_800mf",
    "regnet_x_8gf",
    "regnet_y_128gf", "regnet_y_16gf", "regnet_y_1_6gf", "regnet_y_32gf", "regnet_y_3_2gf", "regnet_y_400mf",
    "regnet_y_800mf", "regnet_y_8gf",
    "resnet101", "resnet152", "resnet18", "resnet34", "resnet50", "resnext101_32x8d", "resnext101_64x4d",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0", "squeezenet1_0",
    "squeezenet1_1",
    "swin_b", "swin_s", "swin_t", "swin_v2_b", "swin_v2_s", "swin_v2_t",
    "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
    "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32", "wide_resnet101_2", "wide_resnet50_2",
)  # fmt: skip


def validate_model(name: str) -> str:
    """Return the name if it is a supported network; otherwise raise ValueError with the choices.

    Examples
    --------
    >>> validate_model("resnet18")
    'resnet18'
    >>> validate_model("resnet-18")
    Traceback (most recent call last):
        ...
    ValueError: 'resnet-18' is not a model. Choose one of cnn7, cnn3, cnn2_dropout, cnn1, cnn0, convnet6, vgg19_convs, \
a torchvision classifier such as resnet18, or timm/NAME
    """
    own = (*CONVNETS, VGG_CONVS)
    if name in own or name in TORCHVISION or name.removeprefix(TIMM) not in (name, ""):
        return name
    close, *_ = [*get_close_matches(name, [*own, *TORCHVISION], 1), "resnet50"]
    raise ValueError(
        f"'{name}' is not a model. Choose one of {', '.join(own)}, a torchvision classifier such as {close}, or "
        f"{TIMM}NAME"
    )


def validate_backbone(name: str) -> str:
    """Return the name if it is that of a network with pretrained weights; otherwise raise ValueError."""
    if name in (*CONVNETS, VGG_CONVS):
        raise ValueError(f"'{name}' has no pretrained weights. Choose a torchvision classifier, or {TIMM}NAME")
    return validate_model(name)
