"""The changes that train images may see on the fly, with their arguments, known without importing torchvision.

Names and arguments are those of torchvision's v2 transforms; the size of the image is given where one asks for it.
"""

from stages.base.steps import Known, Number, Word

_SHARE = Number(0, 1, single=True)
_FILL = Number(0, 255, single=True)
_PADDING = Word(("constant", "edge", "reflect", "symmetric"))

ARGUMENTS: Known = {
    "ColorJitter": {
        "brightness": Number(0),
        "contrast": Number(0),
        "saturation": Number(0),
        "hue": Number(-0.5, 0.5),
    },
    "GaussianBlur": {"kernel_size": Number(1, whole=True, single=True), "sigma": Number(0)},
    "RandomAffine": {
        "degrees": Number(),
        "translate": Number(0, 1),
        "scale": Number(0),
        "shear": Number(),
        "interpolation": Word(("nearest", "bilinear")),
        "fill": _FILL,
    },
    "RandomCrop": {"padding": Number(0, whole=True, single=True), "padding_mode": _PADDING, "fill": _FILL},
    "RandomErasing": {"p": _SHARE, "scale": Number(0, 1), "ratio": Number(0), "value": _FILL},
    "RandomGrayscale": {"p": _SHARE},
    "RandomHorizontalFlip": {"p": _SHARE},
    "RandomResizedCrop": {"scale": Number(0, 1), "ratio": Number(0)},
    "RandomRotation": {"degrees": Number(), "interpolation": Word(("nearest", "bilinear")), "fill": _FILL},
    "RandomVerticalFlip": {"p": _SHARE},
    "TrivialAugmentWide": {},
}
