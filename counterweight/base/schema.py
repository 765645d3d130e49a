"""The sections of params.yaml, as models without defaults: what is not in the file does not exist."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from counterweight.base.architectures import CONVNETS, VGG_CONVS, known_model
from counterweight.base.steps import AUGMENTERS, TRANSFORMS, problem_with

# Pillow decodes no more, whatever is asked of it.
MOST_PIXELS = 178_956_970

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Pixels = Annotated[int, Field(ge=8, le=8192)]
View = Literal["centre", "whole"]
ResNet = Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
Model = Annotated[str, AfterValidator(known_model)]


def _each_once(values: list[Any]) -> list[Any]:
    twice = [value for i, value in enumerate(values) if value in values[:i]]
    if twice:
        raise ValueError(f"{twice[0]!r} stands there twice. Delete one")
    return values


def _known_steps(steps: list[dict[str, Any]], known: Any) -> list[dict[str, Any]]:
    problems = [f"step {i}: {wrong}" for i, step in enumerate(steps, 1) if (wrong := problem_with(step, known))]
    if problems:
        raise ValueError("; ".join(problems))
    return steps


Names = Annotated[list[str], Field(min_length=1), AfterValidator(_each_once)]
Augmenters = Annotated[
    list[dict[str, Any]],
    Field(min_length=1),
    AfterValidator(lambda steps: _known_steps(steps, AUGMENTERS)),
]
Transforms = Annotated[list[dict[str, Any]], AfterValidator(lambda steps: _known_steps(steps, TRANSFORMS))]


class Section(BaseModel):
    """A part of params.yaml: no unknown keys, no conversion between types, no change after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Columns(Section):
    """The sheet's columns, by their names in its first row."""

    image: str | None = Field(
        description="file of the image, relative to `data.images`, with or without its suffix; of an array, the number "
        "of the image, from 0, or `null`: the rows are in the array's order"
    )
    split: str | None = Field(description="train, val or test; `null` where the sheet has no such column")
    labels: str | Names = Field(description="one column of separated names, or a list of 0/1 columns")


class Data(Section):
    """What goes in."""

    images: str = Field(description="folder of the images, or a .npy array (images, height, width[, channels])")
    sheet: str = Field(
        description="the .xlsx (first sheet) or .csv with a row an image; or the folder of `data.images` again, where "
        "the names of its folders are the classes"
    )
    task: Literal["multilabel", "multiclass", "binary"] = Field(
        description="any number of labels an image, or exactly one, of several or of two"
    )
    columns: Columns
    separator: str = Field(min_length=1, description="what stands between two names in a column of names")
    labels: Names | None = Field(
        description="the labels there are; any other is an error. `null` takes them from the sheet"
    )
    missing: Literal["mask", "negative", "self_train"] = Field(
        description="label cells that are NA, NaN or empty: `mask` leaves them out of loss and metrics, `negative` "
        "reads them as 0, `self_train` fills those of train by a classifier"
    )
    missing_files: Literal["error", "drop"] = Field(description="rows whose file is missing: an error, or left out")
    bad_images: Literal["error", "drop"] = Field(
        description="rows whose file is no image, is cut off or too large: an error, or left out"
    )
    duplicates: Literal["report", "drop"] = Field(
        description="images that stand there more than once: listed; or those of train and val left out until one stays"
    )
    hash_distance: int = Field(
        ge=0,
        le=12,
        description="bits of 64 in which the perceptual hashes of near duplicates may differ; beyond 6, other pictures "
        "come in",
    )
    max_pixels: int = Field(ge=1, le=MOST_PIXELS, description="most pixels of an image, looked up before it is decoded")
    test: Fraction = Field(description="fraction of the images for test, where the sheet has no split")
    validation: Fraction = Field(description="fraction of the train images for validation, where the sheet has none")
    seed: Seed = Field(description="seed of the splits")


class Resize(Section):
    """The one size and file format of all images."""

    width: Pixels = Field(description="pixels; the article's is 400")
    height: Pixels = Field(description="pixels; the article's is 400")
    mode: Literal["stretch", "fit", "crop"] = Field(
        description="`stretch` changes the shape, `fit` adds black bars, `crop` cuts the longer side"
    )
    format: Literal["jpg", "png"] = Field(description="of resized images and copies; `png` loses nothing")


class Features(Section):
    """What an image looks like, in numbers."""

    model: ResNet = Field(description="torchvision ResNet, 18 to 152")
    weights: str = Field(description="a torchvision name (IMAGENET1K_V1), a .safetensors or .pth file, or `random`")
    layer: str = Field(description="node whose output is pooled to a row, such as layer3, layer4 or avgpool")
    view: View = Field(description="`centre`: resize to 400, crop 224. `whole`: resize to 224, nothing cut off")
    engine: Literal["torch", "openvino", "openvino_bf16", "openvino_int8"] = Field(
        description="`torch`; `openvino`, `openvino_bf16` and `openvino_int8` (`make cpu`) are faster on a CPU, in "
        "numbers of their own"
    )
    seed: Seed = Field(description="seed of `random` weights")


class Fill(Section):
    """How missing label cells are filled, with `data.missing: self_train`."""

    validation: Fraction = Field(
        description="fraction of a label's known train cells on which its classifier is judged"
    )
    seed: Seed = Field(description="seed of that part")


class Cluster(Section):
    """Groups of images that look alike."""

    algorithm: Literal["kmeans", "minibatch"] = Field(
        description="`minibatch` is near to k-means, and looks at some thousand images at a time: for more than memory "
        "holds"
    )
    components: int = Field(ge=1, description="principal components that k-means sees")
    clusters: int = Field(ge=2, description="k of k-means")
    sweep: Annotated[list[Annotated[int, Field(ge=2, le=1000)]], AfterValidator(_each_once)] = Field(
        description="other numbers of clusters, tried on a part of the images and shown in the report; may be empty"
    )
    seed: Seed = Field(description="seed of PCA and k-means")


class Quality(Section):
    """When a copy is drawn again."""

    min_std: float = Field(
        ge=0, description="grey levels (of 255): a copy with a lower standard deviation is nearly uniform"
    )
    min_contrast: float = Field(
        ge=0, le=1, description="fraction of its source's standard deviation that a copy must keep"
    )
    max_draws: int = Field(ge=1, description="draws for one copy before its source counts as unfit")


class Augment(Section):
    """What is filled, how far, and with what copies."""

    strategy: Literal["clusters", "none", "classes", "labels", "clusters_labels"] = Field(
        description="what is filled: `clusters`; `classes` (one label an image); `labels` (those rarer than the mean, "
        "from images that carry few common ones); `clusters_labels` (clusters, from the images that carry rare labels)"
    )
    target: Literal["majority"] | Annotated[float, Field(gt=0, le=1)] = Field(
        description="wanted size of a cluster, class or label: `majority`, or a fraction of the largest"
    )
    minority: Literal["all"] | Annotated[int, Field(ge=1)] = Field(
        description="which are filled: `all` below the target (of labels, those above MeanIR), or the N smallest"
    )
    copies: Literal["augmented", "plain"] = Field(description="`plain` copies the images as they are")
    copies_per_image: Annotated[int, Field(ge=1)] | None = Field(
        description="most copies of one image; `null`: no limit"
    )
    pipeline: str = Field(description="one of `augment.pipelines`")
    mix: Literal["compose", "equal_parts"] = Field(
        description="`compose` applies the pipeline's augmenters in order, `equal_parts` one of them to each copy, "
        "each to as many"
    )
    seed: Seed = Field(description="seed of the choice of sources and of every copy")
    quality: Quality
    pipelines: dict[str, Augmenters] = Field(description="lists of augmenters, by imgaug's names and arguments")


class Split(Section):
    """The balanced sheet."""

    format: Literal["xlsx", "csv"] = Field(description="`csv` where there are more rows than Excel holds (1,048,576)")


class Train(Section):
    """The network that is trained once on each arm."""

    model: Model = Field(
        description=f"{', '.join(f'`{name}`' for name in (*CONVNETS, VGG_CONVS))}, or a torchvision classifier"
    )
    weights: str = Field(description="torchvision only: as in features; `random` trains from scratch")
    weights_to: str | None = Field(
        description="torchvision only: node up to which `weights` are taken; what follows begins random and learns at "
        "the head's rate; `null`: all"
    )
    layer: str | None = Field(
        description="torchvision only: node whose pooled output feeds a new head; `null`: a new last layer alone"
    )
    freeze: bool = Field(description="torchvision only: train the head alone")
    activation: Literal["relu", "leaky_relu"] = Field(description="`cnn7` only")
    pooling: Literal["average", "max", "pyramid", "bilinear"] = Field(
        description="between the convolutions of `cnn7`; of the maps of torchvision's `layer`, also `pyramid`: average "
        "and max, of the whole picture and of its quarters; or `bilinear`: what occurs together in the same places"
    )
    mirror: bool = Field(
        description="torchvision only: look at each image's mirror image, too, at twice the time; a body that is "
        "trained does so in evaluation alone"
    )
    channels: Literal[1, 3] = Field(description="1 shows the network grey images; not for torchvision's")
    view: View = Field(description="as in features, with `train.size` in the place of 224")
    size: Pixels | Annotated[list[Pixels], Field(min_length=2, max_length=2)] = Field(
        description="pixels of the square that the network sees, or [width, height]"
    )
    transforms: Transforms = Field(
        description="changes to train images on the fly, by torchvision's v2 names and arguments; [] for none"
    )
    sampler: Literal["none", "weighted"] = Field(
        description="`weighted` draws an image with the mean of its labels' IRLbl; `none` takes each once an epoch"
    )
    loss: Literal[
        "bce", "weighted_bce", "focal", "asymmetric", "distribution_balanced", "cross_entropy", "weighted_cross_entropy"
    ] = Field(
        description="the weighted ones weigh inversely to counts; the cross-entropies are for one label an image only"
    )
    optimizer: Literal["adam", "adamw", "adadelta", "sgd"] = Field(description="`sgd` with Nesterov momentum 0.9")
    learning_rate: float = Field(gt=0, description="at the start; of `one_cycle`, the highest")
    body_rate: float = Field(
        gt=0,
        le=1,
        description="part of the rate for all but the head and what is behind the weights; below 1, a pretrained "
        "body changes slowly",
    )
    weight_decay: float = Field(ge=0, description="of the optimizer; not of biases and batch norm")
    schedule: Literal["none", "step", "cosine", "one_cycle", "plateau"] = Field(
        description="of the learning rate: a tenth at each third of the epochs, a cosine to 0, up and down once, "
        "or half after 3 epochs without gain"
    )
    epochs: int = Field(ge=1, description="most passes over the train rows")
    patience: int = Field(ge=1, description="epochs without gain in `monitor` before training stops")
    monitor: Literal["loss", "f1", "auc", "average_precision"] = Field(
        description="what chooses the best epoch, on validation; the last three are means over labels"
    )
    tune: Literal["f1", "balanced_accuracy", "platt"] = Field(
        description="what the tuned thresholds make best on validation; `balanced_accuracy` does not depend on how "
        "common a label is there; `platt` seeks the same by a sigmoid fitted to all scores, for few images of a label"
    )
    batch_size: int = Field(ge=2, description="images a step")
    threads: int = Field(ge=1, description="CPU threads; they change the order of sums and so the last digits")
    seed: Seed = Field(description="seed of the first weights, the order of images and the transforms")

    @property
    def width_and_height(self) -> tuple[int, int]:
        """The size as two numbers."""
        return (self.size, self.size) if isinstance(self.size, int) else (self.size[0], self.size[1])


class Evaluate(Section):
    """How the arms are judged on the test rows."""

    thresholds: Annotated[list[Fraction], AfterValidator(_each_once)] = Field(
        min_length=1,
        description="from which score on a label counts as given; added are one tuned on validation, and one a label",
    )


class Report(Section):
    """What the page shows."""

    images: Annotated[int, Field(ge=1, le=12)] = Field(
        description="images of a kind, such as the typical ones of a cluster"
    )
    repeats: Annotated[int, Field(ge=100, le=100_000)] = Field(
        description="draws of the test images, for the intervals of macro F1"
    )
    seed: Seed = Field(description="of these draws, and of the copies that are looked at")
