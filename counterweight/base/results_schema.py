"""Sections of params.yaml about what is written, trained and judged; see `counterweight.base.schema`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from counterweight.base.architectures import CONVNETS, VGG_CONVS
from counterweight.base.schema import (
    Crop,
    Fraction,
    InputSize,
    Model,
    Section,
    Seed,
    Transforms,
    unique,
    width_and_height,
)

Arm = Literal["nothing", "weights", "copies", "copies+weights"]
Loss = Literal["bce", "focal", "asymmetric", "distribution_balanced", "cross_entropy"]


class Sheet(Section):
    """Format of the balanced sheet."""

    format: Literal["xlsx", "csv"] = Field(description="`csv` for more rows than Excel's 1,048,576")


class Export(Section):
    """Forms of the balanced dataset for other libraries."""

    formats: Annotated[list[Literal["folders", "webdataset", "parquet"]], AfterValidator(unique)] = Field(
        min_length=1,
        description="`folders` for Hugging Face's imagefolder, torchvision and FiftyOne; `webdataset` for shards of "
        "1,000 images; `parquet` for Hugging Face datasets in few files",
    )


class Train(Section):
    """Training of the network, per arm and seed."""

    arms: Annotated[list[Arm], AfterValidator(unique)] = Field(
        description="remedies to train: `nothing` and `copies`; if wanted also `weights` and `copies+weights`"
    )
    weighting: Literal["loss", "sampler"] = Field(
        description="what `weights` does: weight labels in the `loss` by rarity, or draw images by mean IRLbl"
    )
    repeats: int = Field(ge=1, le=100, description="trainings per arm, with the seeds `seed`, `seed` + 1, and so on")
    model: Model = Field(description=f"`{'`, `'.join((*CONVNETS, VGG_CONVS))}`, a torchvision classifier, or timm/NAME")
    weights: str = Field(description="torchvision and timm: as in features; `random` trains from scratch")
    pretrained_until: str | None = Field(
        description="torchvision only: last node that takes pretrained `weights`, later ones start random; `null`: all"
    )
    layer: str | None = Field(description="torchvision only: node that feeds a new head; `null`: only a new last layer")
    freeze: bool = Field(description="torchvision and timm: train only the head")
    activation: Literal["relu", "leaky_relu"] = Field(description="`cnn7` only: activation function")
    pooling: Literal["average", "max", "pyramid", "bilinear"] = Field(
        description="between convolutions of `cnn7`, or of torchvision's `layer`; the latter also with `pyramid` "
        "(average and max over the image and its quarters) or `bilinear` (products of channels)"
    )
    flip_tta: bool = Field(
        description="torchvision and timm: average over mirrored images; in training only with `freeze`"
    )
    channels: Literal[1, 3] = Field(description="1 for grayscale input; not for torchvision's models")
    crop: Crop = Field(description="as in features")
    input_size: InputSize = Field(
        description="input size of the network in pixels: side of a square, or [width, height]"
    )
    transforms: Transforms = Field(description="random changes of train images, by torchvision's v2 names; [] for none")
    loss: Loss = Field(description="`cross_entropy` needs one label per image")
    optimizer: Literal["lbfgs", "adam", "adamw", "adadelta", "sgd"] = Field(
        description="`lbfgs` trains a frozen network's head until it converges; `sgd` uses Nesterov momentum 0.9"
    )
    learning_rate: float = Field(gt=0, description="initial learning rate; for `one_cycle`, the maximum")
    backbone_lr_scale: float = Field(gt=0, le=1, description="learning-rate multiplier for the pretrained layers")
    weight_decay: float = Field(ge=0, description="weight decay, except for biases and batch norm")
    schedule: Literal["none", "step", "cosine", "one_cycle", "plateau"] = Field(
        description="of the learning rate: `step` divides by 10 after each third of the epochs, `cosine` decays to 0, "
        "`one_cycle` rises and falls once, `plateau` halves after 3 epochs without improvement"
    )
    epochs: int = Field(ge=1, description="maximum number of epochs")
    patience: int = Field(ge=1, description="epochs without improvement of `monitor` before training stops")
    monitor: Literal["loss", "f1", "auc", "average_precision"] = Field(
        description="validation metric that selects the best epoch; all but `loss` are means over labels"
    )
    threshold_metric: Literal["f1", "balanced_accuracy", "platt"] = Field(
        description="validation metric that tuned thresholds maximize; `balanced_accuracy` ignores how common a label "
        "is; `platt` also does, with a sigmoid fitted to the scores, for labels with few images"
    )
    batch_size: int = Field(ge=2, description="images per step")
    threads: int = Field(ge=1, description="CPU threads; they affect the order of sums, so the last digits")
    portable: bool = Field(
        description="the same kernels on every x86-64 processor with AVX2, for the same last digits; not on a GPU"
    )
    seed: Seed = Field(description="seed of the initial weights, the order of images and the transforms")

    @property
    def width_and_height(self) -> tuple[int, int]:
        """Input size as (width, height)."""
        return width_and_height(self.input_size)

    @property
    def seed_matters(self) -> bool:
        """Whether another seed gives another network."""
        return self.optimizer != "lbfgs" or self.weights == "random" or self.weighting == "sampler"


class Evaluate(Section):
    """Evaluation of the arms on the test images."""

    thresholds: Annotated[list[Fraction], Field(min_length=1), AfterValidator(unique)] = Field(
        description="scores from which a label is predicted, in addition to thresholds tuned on validation"
    )


class Compare(Section):
    """Comparison of the arms on the test images."""

    bootstrap_samples: int = Field(ge=100, le=100_000, description="bootstrap samples for intervals of macro F1")
    seed: Seed = Field(description="seed of the bootstrap")


class Explain(Section):
    """Pictures of why networks give test images their labels."""

    method: Literal["gradcam", "occlusion", "lime", "none"] = Field(
        description="`gradcam`, the last feature maps; `occlusion`, what squares that are painted over change; `lime`, "
        "the same with many superpixels at a time; or `none`"
    )
    images_per_reason: int = Field(
        ge=1, le=12, description="test images per reason: surest errors, right by one arm alone, rarest labels, random"
    )
    patches: int = Field(ge=2, le=32, description="squares (`occlusion`) or superpixels (`lime`) per side")
    samples: int = Field(ge=10, le=5000, description="changed images per explanation by `lime`")
    seed: Seed = Field(description="seed of the images at random, and of `lime`")


class Report(Section):
    """Content of the report."""

    images_per_group: int = Field(ge=1, le=12, description="example images per group, such as per cluster")
    cluster_names: dict[str, str] = Field(
        description="names that the page gives clusters, each with a train image of the cluster: `{night: 0123.jpg}`"
    )
    max_browsed: int = Field(
        ge=0, le=5000, description="images that the page lets its readers filter and enlarge, some 10 kB each; 0: none"
    )
    gallery: bool = Field(description="whether `results/gallery/` gets pages of all images, some 5 kB each")
    seed: Seed = Field(description="seed of the choice of copies that are shown")
