"""A try of resize, features and augment on a few images, in a process of its own.

    python -m stages.core.rehearsal

It reads what to try from its input and says what it found in the last line of its output, as JSON. A process of its
own, so that whatever fails in it, and whatever it loads, leaves the stage that asks as it is. Its modules are no
dependency of that stage, since none of its outputs depends on them.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

from stages.core import images, scaling
from stages.core.scaling import Pixels, Wanted
from stages.core.sources import ArrayImages, FolderImages, Images

# Seconds after which a kind of work has been tried often enough.
ENOUGH = 1.0

Item = TypeVar("Item")


def rehearse(
    source: Images,
    names: Sequence[str],
    folder: Path,
    *,
    resize: Mapping[str, Any],
    augment: Mapping[str, Any] | None,
    features: Mapping[str, Any] | None,
    loading: float = 0.0,
) -> dict[str, Any]:
    """Try the work on some images, and leave out those that cannot be read.

    Parameters
    ----------
    source : FolderImages or ArrayImages
        The images.
    names : sequence of str
        Which of them.
    folder : Path
        An empty one, for what is written.
    resize, augment, features : mapping of str to value, or None
        These sections of params.yaml; what is None is not tried.
    loading : float
        Seconds that imgaug took to load, before.

    Returns
    -------
    dict
        ``bytes``: the mean of a resized image; ``resize``, ``augment`` and ``features``: the seconds that it takes
        ``once`` and for ``each`` image. If no image can be read, it is empty.
    """
    format, made = resize["format"], {}

    def resized(number: int) -> None:
        path, pixels = folder / f"{number}.{format}", _brought(source, names[number], resize)
        made[number] = _Made(path, images.write(pixels, path, format), pixels)

    found: dict[str, Any] = {"resize": {"once": 0.0, "each": _each(resized, range(len(names)))}}
    if not made:
        return {}
    sample = list(made.values())
    found["bytes"] = sum(each.path.stat().st_size for each in sample) / len(sample)
    # What cannot be tried is left out; its stage will say what is wrong.
    with suppress(Exception):
        if augment is not None:
            copies = _of_copies(sample, folder / f"copy.{format}", format, augment)
            found["augment"] = copies | {"once": loading + copies["once"]}
    with suppress(Exception):
        if features is not None:
            found["features"] = _of_features(sample, features)
    return found


class _Made(NamedTuple):
    """A resized image: its file, the checksum of that, and its pixels."""

    path: Path
    checksum: str
    pixels: Pixels


def _brought(source: Images, name: str, how: Mapping[str, Any]) -> Pixels:
    wanted = Wanted(how["width"], how["height"], how["mode"])
    return scaling.resize(source.read(name, None, wanted), wanted)


def _of_copies(sample: Sequence[_Made], path: Path, format: str, how: Mapping[str, Any]) -> dict[str, float]:
    started = time.perf_counter()
    from stages.core.augmentation import Augmentation

    steps = how["pipelines"][how["pipeline"]]
    parts = [[step] for step in steps] if how["mix"] == "equal_parts" else [steps]
    augmentations = [Augmentation(part) for part in parts]
    once = time.perf_counter() - started

    def copy(turn: int) -> None:
        augmentation = augmentations[turn % len(augmentations)]
        images.write(augmentation(sample[turn % len(sample)].pixels, turn), path, format)

    return {"once": once, "each": _each(copy, range(max(len(sample), len(augmentations))))}


def _of_features(sample: Sequence[_Made], how: Mapping[str, Any]) -> dict[str, float]:
    started = time.perf_counter()
    import torch

    from stages.base.command import device_name
    from stages.core.backbones import Backbone, chosen_device
    from stages.core.inference import CPU_BATCH, GPU_BATCH, rows_of

    # What the weights are does not change the time, so that none are fetched.
    network = Backbone(how["model"], how["layer"], (224, 224))
    device = chosen_device(device_name())
    # So many that every thread has a batch.
    batch = list(islice(cycle(sample), GPU_BATCH if device.type == "cuda" else CPU_BATCH * torch.get_num_threads()))

    def rows() -> float:
        begun = time.perf_counter()
        rows_of(
            network, [each.path for each in batch], [each.checksum for each in batch],
            view=how["view"], size=(224, 224), device=device, workers=0,
        )  # fmt: skip
        return time.perf_counter() - begun

    rows()
    once = time.perf_counter() - started
    return {"once": once, "each": rows() / len(batch)}


def _each(work: Callable[[Item], None], items: Sequence[Item]) -> float:
    """Mean seconds of an item; the first is done once more before, for what is loaded when it is first needed."""
    started, done = 0.0, 0
    for number, item in enumerate([items[0], *items]):
        if number == 1:
            started = time.perf_counter()
        try:
            work(item)
        except Exception:  # Ingest has said what it thinks of such an image; here it is one to measure less.
            continue
        done += number > 0
        if number and time.perf_counter() - started > ENOUGH:
            break
    return (time.perf_counter() - started) / max(done, 1)


def main() -> None:
    """Load what takes long, wait until there is something to try, try it, and say what was found."""
    started = time.perf_counter()
    with suppress(Exception):
        import stages.core.augmentation  # noqa: F401
    loading = time.perf_counter() - started
    asked = sys.stdin.read()
    if not asked:  # The stage has ended.
        return
    given = json.loads(asked)
    place = given.pop("source")
    source: Images = (
        FolderImages(Path(place["folder"]))
        if "folder" in place
        else ArrayImages(Path(place["path"]), place["count"], place["factor"])
    )
    with TemporaryDirectory() as folder:
        found = rehearse(source, given.pop("names"), Path(folder), **given, loading=loading)
    sys.stdout.write(f"\n{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
