"""The augmenters that params.yaml may name, with their arguments, known without importing imgaug.

Names, arguments and accepted values are imgaug's own. Left out are the arguments that would change the size of the
image (``keep_size``, ``fit_output``), and the ones by which imgaug seeds itself: a copy's seed is made from its source.
"""

from stages.base.steps import Known, Number, Word

_COLOUR = Number(0, 255)
_FLAG = Word((False, True))
_SHARE = Number(0, 1, single=True)

ARGUMENTS: Known = {
    "Add": {"value": Number(-255, 255), "per_channel": _SHARE},
    "AdditiveGaussianNoise": {"scale": Number(0), "per_channel": _SHARE},
    "AverageBlur": {"k": Number(1, whole=True)},
    "Crop": {"px": Number(0, whole=True), "percent": Number(0, 0.49), "sample_independently": _FLAG},
    "CropAndPad": {
        "px": Number(whole=True),
        "percent": Number(-0.99),
        "pad_mode": Word(
            ("constant", "edge", "linear_ramp", "maximum", "mean", "median", "minimum", "reflect", "symmetric", "wrap")
        ),
        "pad_cval": _COLOUR,
        "sample_independently": _FLAG,
    },
    "Cutout": {
        "nb_iterations": Number(0, whole=True),
        "position": Word(("uniform", "normal", "center"), single=True),
        "size": Number(0, 1),
        "squared": _SHARE,
        "fill_mode": Word(("constant", "gaussian")),
        "cval": _COLOUR,
        "fill_per_channel": _SHARE,
    },
    "ElasticTransformation": {
        "alpha": Number(0),
        "sigma": Number(0),
        "order": Number(0, 5, whole=True),
        "cval": _COLOUR,
        "mode": Word(("constant", "nearest", "reflect", "wrap")),
    },
    "Fliplr": {"p": _SHARE},
    "Flipud": {"p": _SHARE},
    "GammaContrast": {"gamma": Number(0), "per_channel": _SHARE},
    "GaussianBlur": {"sigma": Number(0)},
    "LinearContrast": {"alpha": Number(0), "per_channel": _SHARE},
    "MedianBlur": {"k": Number(1, whole=True)},
    "Multiply": {"mul": Number(0), "per_channel": _SHARE},
    "MultiplyBrightness": {"mul": Number(0)},
    "PerspectiveTransform": {"scale": Number(0), "cval": _COLOUR, "mode": Word(("replicate", "constant"))},
    "Rotate": {
        "rotate": Number(),
        "order": Number(0, 5, whole=True, single=True),
        "cval": _COLOUR,
        "mode": Word(("constant", "edge", "symmetric", "reflect", "wrap")),
    },
    "SaltAndPepper": {"p": Number(0, 1), "per_channel": _SHARE},
}
