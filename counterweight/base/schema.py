"""Sections of params.yaml about the data, as models without defaults, so that every value is in the file."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from counterweight.base.architectures import validate_backbone, validate_model
from counterweight.base.steps import AUGMENTERS, TRANSFORMS, validate_steps

# Pillow's limit.
MAX_PIXELS = 178_956_970

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Pixels = Annotated[int, Field(ge=8, le=8192)]
# The side of a square, or width and height.
InputSize = Pixels | Annotated[list[Pixels], Field(min_length=2, max_length=2)]
Crop = Literal["none", "center"]
OnProblem = Literal["error", "drop"]
Model = Annotated[str, AfterValidator(validate_model)]
PretrainedModel = Annotated[str, AfterValidator(validate_backbone)]


def unique(values: list[Any]) -> list[Any]:
    """Return the values if none occurs twice; raise ValueError otherwise."""
    duplicates = [value for i, value in enumerate(values) if value in values[:i]]
    if duplicates:
        raise ValueError(f"{duplicates[0]!r} occurs twice. Delete one")
    return values


def validate_pattern(pattern: str) -> str:
    """Return a regular expression with one pair of brackets; raise ValueError for any other text."""
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}. Correct it") from None
    if groups != 1:
        raise ValueError(f"{pattern!r} has {groups} pairs of brackets. Put one pair around what names the group")
    return pattern


Names = Annotated[list[str], Field(min_length=1), AfterValidator(unique)]
Steps = list[dict[str, Any]]
Augmenters = Annotated[Steps, Field(min_length=1), AfterValidator(lambda steps: validate_steps(steps, AUGMENTERS))]
Transforms = Annotated[Steps, AfterValidator(lambda steps: validate_steps(steps, TRANSFORMS))]


def width_and_height(size: int | Sequence[int]) -> tuple[int, int]:
    """Return an input size as (width, height)."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


class Section(BaseModel):
    """A section of params.yaml: immutable, without unknown keys or conversions between types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Columns(Section):
    """Columns of the sheet, by their names in its first row."""

    image: str | None = Field(
        description="image file, relative to `data.images`, with or without suffix; for an array, the index of the "
        "image, from 0, or `null` if the rows are in the array's order"
    )
    split: str | None = Field(description="train, val or test; `null` if the sheet has no such column")
    labels: str | Names = Field(description="one column of separated names, or a list of 0/1 columns")
    group: str | None = Field(
        description="what images have in common that must not be in two splits, such as the patient or the video; or "
        "`null`"
    )


class Values(Section):
    """What 0/1 columns hold, as texts."""

    positive: Names = Field(description="cells that say that the image has the label")
    negative: Names = Field(description="cells that say that it has not")
    missing: Annotated[list[str], AfterValidator(unique)] = Field(
        description="cells that say that it is unknown, besides NA, NaN and empty ones"
    )


class Data(Section):
    """Input images and labels, and how problems in them are handled."""

    images: str = Field(description="folder of images, or a .npy array (images, height, width[, channels])")
    sheet: str = Field(
        description=".xlsx, .csv, .tsv, .txt, .jsonl or .parquet; or `data.images`, if its subfolders are the classes, "
        "or splits with a sheet each"
    )
    worksheet: str | None = Field(description="name of a workbook's worksheet; `null`: the first")
    match_names: Literal["exact", "near"] = Field(
        description="`near`: an image that is not there by its name in the sheet is the only one whose name differs "
        "just in case, leading folders, backslashes, suffix or leading zeros"
    )
    duplicate_rows: Literal["error", "merge"] = Field(
        description="several rows of an image: an error, or merged, so that it has the labels of all"
    )
    follow_links: list[str] = Field(
        description="folders that links among the images may lead into, besides those in the folder of `data.images`, "
        "its parent and DVC's cache; links that lead elsewhere are not followed"
    )
    task: Literal["multilabel", "multiclass", "binary"] = Field(
        description="any number of labels per image (`multilabel`), or exactly one of several or of two"
    )
    columns: Columns
    separator: str = Field(min_length=1, description="separator of the names in a column of labels")
    values: Values | None = Field(
        description="what 0/1 columns hold, such as -1 for 0; `null`: 0 or 1, true or false, yes or no"
    )
    group_pattern: Annotated[str, AfterValidator(validate_pattern)] | None = Field(
        description="regular expression that the names of images begin with, whose brackets hold the group if it is in "
        "the name: `(.+)_\\d+` for a_1.jpg and a_2.jpg"
    )
    merge_labels: bool = Field(
        description="whether names in cells that differ only in case, or in how accents are composed, are one label"
    )
    labels: Names | None = Field(description="allowed labels, any other is an error; `null`: all labels of the sheet")
    missing: Literal["mask", "negative", "self_train"] = Field(
        description="label cells that are NA, NaN or empty: `mask` ignores them in loss and metrics, `negative` reads "
        "them as 0, `self_train` lets a classifier fill those of train images"
    )
    missing_files: OnProblem = Field(description="rows without an image file: an error, or dropped")
    bad_images: OnProblem = Field(description="rows with an unreadable, cut off or too large image: error, or dropped")
    duplicates: Literal["report", "drop"] = Field(
        description="repeated images: `report` lists them; `drop` removes those of train and val until one is left"
    )
    max_hash_distance: Annotated[int, Field(ge=0, le=12)] = Field(
        description="bits (of 64) in which hashes of near duplicates may differ; above 6, other pictures match"
    )
    max_pixels: int = Field(ge=1, le=MAX_PIXELS, description="maximum pixels per image, checked before decoding")
    test: Fraction = Field(description="fraction of images for test, if the sheet has no split")
    validation: Fraction = Field(description="fraction of train images for validation, if the sheet has no val rows")
    seed: Seed = Field(description="seed of the splits")


class Resize(Section):
    """Common size and format of all images."""

    width: Pixels = Field(description="width in pixels; 400 in the article")
    height: Pixels = Field(description="height in pixels; 400 in the article")
    mode: Literal["stretch", "fit", "crop"] = Field(
        description="`stretch` ignores the aspect ratio, `fit` adds black bars, `crop` cuts off the longer side"
    )
    format: Literal["jpg", "png"] = Field(description="file format of resized images and copies; `png` is lossless")


class Features(Section):
    """Feature extraction with a pretrained network."""

    model: PretrainedModel = Field(description="torchvision classifier, such as resnet18, or timm/NAME (`make timm`)")
    weights: str = Field(
        description="torchvision name (IMAGENET1K_V1), `pretrained` for timm, .safetensors or .pth file, or `random`"
    )
    layer: str | None = Field(
        description="node whose pooled output is the feature vector, such as layer3 or avgpool; `null`: all but the "
        "last layer"
    )
    crop: Crop = Field(
        description="`none` resizes to `input_size`; `center` to more (224: 400) by the shorter side, and crops"
    )
    input_size: InputSize = Field(
        description="input size of the network in pixels, side of a square or [width, height]; for small images, a "
        "smaller one is faster"
    )
    engine: Literal["torch", "openvino", "openvino_bf16", "openvino_int8", "auto"] = Field(
        description="`openvino` engines (`make cpu`) are faster on a CPU; each engine's features differ slightly; "
        "`auto`: the fastest here whose clusters are those of `torch`"
    )
    seed: Seed = Field(description="seed of `random` weights")


class Leaks(Section):
    """Search for validation and test images that look like a train image."""

    min_cosine: Annotated[float, Field(gt=0, le=1)] | None = Field(
        description="cosine of the whitened features of two images from which they are listed as similar; "
        "`null`: none is looked for"
    )
    max_images: int = Field(ge=1, description="maximum number of validation and test images that are compared")


class Impute(Section):
    """Imputation of missing labels, with `data.missing: self_train`."""

    validation: Fraction = Field(description="fraction of each label's known train cells held out for evaluation")
    seed: Seed = Field(description="seed of the held-out cells")


class Cluster(Section):
    """Clustering of images by their features."""

    algorithm: Literal["kmeans", "minibatch"] = Field(description="`minibatch` approximates k-means in less memory")
    n_components: int = Field(ge=1, description="number of principal components to cluster on")
    n_clusters: int = Field(ge=2, description="number of clusters")
    sweep: Annotated[list[Annotated[int, Field(ge=2, le=1000)]], AfterValidator(unique)] = Field(
        description="other numbers of clusters to compare in the report, on a sample of the images; may be empty"
    )
    seed: Seed = Field(description="seed of PCA and k-means")


class Quality(Section):
    """Minimum quality of a copy; below it, the copy is generated again."""

    min_std: float = Field(ge=0, description="minimum standard deviation of a copy, in gray levels (of 255)")
    min_contrast: float = Field(ge=0, le=1, description="minimum standard deviation as a fraction of the source's")
    max_draws: int = Field(ge=1, description="attempts per copy before its source counts as unusable")


class Guard(Section):
    """Redraws a copy on which linear classifiers of features no longer see a label that it inherits."""

    min_score: float = Field(gt=0, le=1, description="fraction of the source's score that a copy must reach per label")
    min_similarity: float = Field(
        gt=0, le=1, description="cosine of the features of copy and source that a copy must reach"
    )
    max_draws: int = Field(ge=1, le=100, description="attempts per copy by the pipeline, and as many by the fallback")
    fallback: str | None = Field(
        description="how a copy is made if no attempt shows its labels: one of `augment.pipelines`, or `plain`; "
        "`null`: the best attempt is taken"
    )


class Augment(Section):
    """Oversampling with augmented copies."""

    strategy: Literal["clusters", "none", "classes", "labels", "clusters_labels"] = Field(
        description="groups to fill: `clusters`; `classes` (one label per image); `labels` (those rarer than average, "
        "from images with few common labels); `clusters_labels` (clusters, from images with rare labels)"
    )
    resampling: Literal["over", "under", "both"] = Field(
        description="`over` fills groups below the target with copies; `under` leaves out redundant images of those "
        "above it, with the split `unused` in the new sheet; or `both`"
    )
    target: Literal["majority", "minority"] | Annotated[float, Field(gt=0, le=1)] | Annotated[int, Field(ge=2)] = Field(
        description="size that each cluster, class or label is to have: that of the largest (`majority`), a fraction "
        "of it, a number of images, or, only with `under`, that of the smallest (`minority`)"
    )
    fill_smallest: Literal["all"] | Annotated[int, Field(ge=1)] = Field(
        description="groups to fill: `all` below the target (of labels, those above MeanIR), or the N smallest"
    )
    copy_mode: Literal["augmented", "plain"] = Field(description="`plain` copies images unchanged")
    copies_per_image: Annotated[int, Field(ge=1)] | None = Field(description="limit of copies per image; `null`: none")
    pipeline: str = Field(description="one of `augment.pipelines`")
    composition: Literal["compose", "equal_parts"] = Field(
        description="`compose` applies all augmenters in order; `equal_parts` applies one per copy, each equally often"
    )
    seed: Seed = Field(description="seed of the choice of sources and of all copies")
    quality: Quality
    guard: Guard | None = Field(description="redraws copies that hide their labels; `null`: does not")
    pipelines: dict[str, Augmenters] = Field(description="lists of augmenters, with imgaug's names and arguments")


class Probe(Section):
    """Comparison of remedies before any training, by linear classifiers on the features."""

    folds: int = Field(ge=3, le=20, description="folds of the cross-validation")
    repeats: int = Field(ge=1, le=100, description="repeats of the cross-validation; more of them narrow intervals")
    max_images: int = Field(
        ge=100, description="maximum number of train images, drawn at random; fewer with over 10 labels"
    )
    max_labels: int = Field(ge=2, description="maximum number of labels, from the commonest to the rarest")
    max_copied: int = Field(ge=1, description="maximum number of images that are copied per strategy and pipeline")
    copies_per_image: int = Field(ge=1, description="maximum number of copies per image, weighted for all")
    images_per_augmenter: int = Field(ge=1, description="maximum number of images per strategy and single augmenter")
    metric: Literal["macro_f1", "balanced_f1"] = Field(
        description="what the recommendation is judged by: macro F1 with labels as common as in train, or as if all "
        "were equally common"
    )
    seed: Seed = Field(description="seed of folds and samples")
