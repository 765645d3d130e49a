"""params.yaml: every value that changes a result, checked as a whole before any work.

The models have no defaults: what is not in the file does not exist, so that DVC sees every value there is.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.core import augmenters
from stages.core.errors import InputError, raise_problems

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Pixels = Annotated[int, Field(ge=8, le=8192)]
View = Literal["centre", "whole"]
ResNet = Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


def _each_once(values: list[Any]) -> list[Any]:
    twice = [value for i, value in enumerate(values) if value in values[:i]]
    if twice:
        raise ValueError(f"{twice[0]!r} stands there twice. Delete one")
    return values


Names = Annotated[list[str], Field(min_length=1), AfterValidator(_each_once)]


class Section(BaseModel):
    """A part of params.yaml: no unknown keys, no conversion between types, no change after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Columns(Section):
    """The sheet's columns, by their names in its first row."""

    image: str = Field(description="file of the image, relative to `data.images`, with or without its suffix")
    split: str | None = Field(description="train, val or test; `null` where the sheet has no such column")
    labels: str | Names = Field(description="one column of separated names, or a list of 0/1 columns")


class Data(Section):
    """What goes in."""

    images: str = Field(description="folder of the images")
    sheet: str = Field(description="the .xlsx (first sheet) or .csv with a row an image")
    columns: Columns
    separator: str = Field(min_length=1, description="what stands between two names in a column of names")
    labels: Names | None = Field(
        description="the labels there are; any other is an error. `null` takes them from the sheet"
    )
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
    seed: Seed = Field(description="seed of `random` weights")


class Cluster(Section):
    """Groups of images that look alike."""

    components: int = Field(ge=1, description="principal components that k-means sees")
    clusters: int = Field(ge=2, description="k of k-means")
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
    """Which clusters are filled, how far, and with what copies."""

    target: Literal["majority"] | Annotated[float, Field(gt=0, le=1)] = Field(
        description="wanted size of a cluster: `majority`, or a fraction of the largest"
    )
    minority: Literal["all"] | Annotated[int, Field(ge=1)] = Field(
        description="clusters that are filled: `all` below the target, or the N smallest"
    )
    copies_per_image: Annotated[int, Field(ge=1)] | None = Field(
        description="most copies of one image; `null`: no limit"
    )
    seed: Seed = Field(description="seed of the choice of sources and of every copy")
    quality: Quality
    pipeline: list[dict[str, Any]] = Field(
        min_length=1, description="augmenters in order, by imgaug's names and arguments"
    )

    @field_validator("pipeline")
    @classmethod
    def _steps_are_known(cls, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        problems = [
            f"step {i}: {problem}" for i, step in enumerate(steps, 1) if (problem := augmenters.problem_with(step))
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return steps


class Split(Section):
    """The balanced sheet."""

    format: Literal["xlsx", "csv"] = Field(description="`csv` where there are more rows than Excel holds (1,048,576)")


class Train(Section):
    """The network that is trained once on each arm."""

    model: Literal["cnn7"] | ResNet = Field(description="`cnn7`, or a torchvision ResNet")
    weights: str = Field(description="ResNet only: as in features; `random` trains from scratch")
    layer: str = Field(description="ResNet only: node whose pooled output goes to the head")
    freeze: bool = Field(description="ResNet only: train the head alone")
    view: View = Field(description="as in features, with `train.size` in the place of 224")
    size: Pixels = Field(description="pixels of the square that the network sees")
    loss: Literal["bce", "weighted_bce"] = Field(
        description="`weighted_bce` weighs the two values of a label inversely to their counts"
    )
    epochs: int = Field(ge=1, description="most passes over the train rows")
    patience: int = Field(ge=1, description="epochs without a better validation loss before training stops")
    batch_size: int = Field(ge=2, description="images a step")
    learning_rate: float = Field(gt=0, description="of Adam")
    threads: int = Field(ge=1, description="CPU threads; they change the order of sums and so the last digits")
    seed: Seed = Field(description="seed of the first weights and of the order of images")

    @model_validator(mode="after")
    def _cnn7_has_no_backbone(self) -> Self:
        if self.model == "cnn7" and (self.freeze or self.weights != "random"):
            raise ValueError(
                "cnn7 is trained from scratch: set weights to random and freeze to false, or choose a ResNet"
            )
        return self


class Evaluate(Section):
    """How the arms are judged on the test rows."""

    thresholds: Annotated[list[Fraction], AfterValidator(_each_once)] = Field(
        min_length=1, description="from which score on a label counts as given; one tuned on validation is added"
    )


class Params(Section):
    """The whole file."""

    data: Data
    resize: Resize
    features: Features
    cluster: Cluster
    augment: Augment
    split: Split
    train: Train
    evaluate: Evaluate


def load_params(path: Path) -> Params:
    """Read params.yaml and check all of it.

    Parameters
    ----------
    path : Path
        The file; YAML 1.2, as DVC reads it (``1e-3`` is a number there, ``no`` a word).

    Raises
    ------
    InputError
        If the file is missing, is not YAML, or has wrong, unknown or missing values; all are reported together, with
        their lines.
    """
    try:
        content = YAML(typ="rt", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file. Run from the project's root, or give --params.") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {error}") from None
    plain = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    try:
        return Params.model_validate(plain)
    except ValidationError as error:
        # A value that fits no branch of a union is one problem, not one a branch; the most precise place names it.
        by_place: dict[str, list[str]] = {}
        for problem in error.errors():
            place, what = _sentence(problem["loc"], problem, content)
            by_place.setdefault(place, []).append(what)
        precise = [place for place in by_place if not any(other.startswith(f"{place}.") for other in by_place)]
        raise_problems([f"{place}: {', or '.join(dict.fromkeys(by_place[place]))}" for place in precise], str(path))
        raise


def _sentence(loc: tuple[int | str, ...], problem: Any, content: Any) -> tuple[str, str]:
    """One validation error as its place (line, name of the param), and what is wrong there."""
    name, line = [], None
    for key in loc:
        try:
            position = content.lc.item(key) if isinstance(key, int) else content.lc.key(key)
            content = content[key]
        except (AttributeError, KeyError, IndexError, TypeError):
            # Pydantic adds the branch of a union, which is no key of the file; a missing key is no line of it.
            if problem["type"] == "missing":
                name.append(str(key))
            continue
        name.append(str(key))
        line = position[0] + 1
    where = f"line {line}: " if line else ""
    known = {
        "missing": "is missing. Add it",
        "extra_forbidden": "is not a param. Delete it, or correct its name",
        "value_error": problem["msg"].removeprefix("Value error, "),
    }
    what = known.get(problem["type"], f"{problem['msg']}, found {problem['input']!r}")
    return f"{where}{'.'.join(name) or 'the file'}", what
