"""Time resize, augment and features on a few of the user's images.

What cannot be timed is left out: its stage will say what is wrong.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

from counterweight.images import codec, geometry
from counterweight.images.geometry import Pixels, Wanted
from counterweight.images.sources import Images

# Seconds after which a kind of work has been timed for long enough.
ENOUGH = 1.0


class Cost(NamedTuple):
    """Seconds that a stage takes once, to load what it needs, and for each image."""

    once: float
    each: float


class Sample(NamedTuple):
    """A resized image: its file, the file's checksum, and its pixels."""

    path: Path
    checksum: str
    pixels: Pixels


def time_resize(
    source: Images, names: Sequence[str], folder: Path, resize: Mapping[str, Any]
) -> tuple[Cost, list[Sample]]:
    """Resize images into a folder.

    Parameters
    ----------
    source : FolderImages or ArrayImages
        The images.
    names : sequence of str
        Which of them. One that cannot be read is left out.
    folder : Path
        An empty one.
    resize : mapping of str to value
        That section of params.yaml.
    """
    wanted, format = Wanted(resize["width"], resize["height"], resize["mode"]), resize["format"]
    made: dict[str, Sample] = {}

    def resize_one(name: str) -> None:
        path, pixels = (
            folder / f"{names.index(name)}.{format}",
            geometry.resize(source.read(name, None, wanted), wanted),
        )
        made[name] = Sample(path, codec.write(pixels, path, format), pixels)

    return Cost(0.0, _seconds_each(resize_one, names)), list(made.values())


def time_augment(samples: Sequence[Sample], folder: Path, augment: Mapping[str, Any], format: str) -> Cost | None:
    """Make copies by the pipeline that params.yaml names; None if it fails.

    Parameters
    ----------
    samples : sequence of Sample
        The sources.
    folder : Path
        Where to write.
    augment : mapping of str to value
        That section of params.yaml.
    format : str
        ``jpg`` or ``png``.
    """
    with suppress(Exception):
        started = time.perf_counter()
        from counterweight.augmentation.imgaug_pipeline import Augmentation

        steps = augment["pipelines"][augment["pipeline"]]
        parts = [[step] for step in steps] if augment["mix"] == "equal_parts" else [steps]
        pipelines = [Augmentation(part) for part in parts]
        once = time.perf_counter() - started

        def copy(number: int) -> None:
            pixels = samples[number % len(samples)].pixels
            codec.write(pipelines[number % len(pipelines)](pixels, number), folder / f"copy.{format}", format)

        return Cost(once, _seconds_each(copy, range(max(len(samples), len(pipelines)))))
    return None


def time_features(samples: Sequence[Sample], features: Mapping[str, Any]) -> Cost | None:
    """Take samples through the network of the features, without its weights; None if it fails.

    Parameters
    ----------
    samples : sequence of Sample
        The images.
    features : mapping of str to value
        That section of params.yaml.
    """
    with suppress(Exception):
        started = time.perf_counter()
        import torch

        from counterweight.base.command import device_name
        from counterweight.networks.backbones import Backbone, chosen_device
        from counterweight.networks.inference import CPU_BATCH, GPU_BATCH, rows_of

        network, device = Backbone(features["model"], features["layer"], (224, 224)), chosen_device(device_name())
        # So many that every thread has a batch.
        count = GPU_BATCH if device.type == "cuda" else CPU_BATCH * torch.get_num_threads()
        batch = list(islice(cycle(samples), count))

        def extract() -> None:
            rows_of(
                network, [each.path for each in batch], [each.checksum for each in batch],
                view=features["view"], size=(224, 224), device=device, workers=0,
            )  # fmt: skip

        extract()
        loaded = time.perf_counter()
        extract()
        return Cost(loaded - started, (time.perf_counter() - loaded) / len(batch))
    return None


def _seconds_each(work: Callable[[Any], None], items: Sequence[Any]) -> float:
    """Mean seconds of an item. The first is done once more before, for what is loaded when it is first needed."""
    started, done = 0.0, 0
    pending: Iterable[Any] = chain(items[:1], items)
    for number, item in enumerate(pending):
        if number == 1:
            started = time.perf_counter()
        with suppress(Exception):
            work(item)
            done += number > 0
        if number and time.perf_counter() - started > ENOUGH:
            break
    return (time.perf_counter() - started) / max(done, 1)
