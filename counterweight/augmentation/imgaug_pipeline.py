"""Augmentation by imgaug; no other module imports it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from counterweight.augmentation.median_filter import median_blur
from counterweight.base.errors import InputError
from counterweight.images.geometry import Pixels
from counterweight.runtime.stand_ins import UNUSED_BY_IMGAUG, stand_ins

with stand_ins(UNUSED_BY_IMGAUG):
    import imgaug.augmenters as iaa
    from imgaug.random import RNG


class AugmentationPipeline:
    """A pipeline of augmenters whose output depends only on the image and a seed.

    Parameters
    ----------
    pipeline : sequence of mapping of str to mapping
        Steps in order, each an augmenter's name with its arguments. A list of two numbers is a range; a longer list, or
        a list of words, is a choice; a list of steps is a pipeline within the pipeline.

    Raises
    ------
    InputError
        If imgaug rejects the value of an argument.
    """

    def __init__(self, pipeline: Sequence[Mapping[str, Mapping[str, Any]]]) -> None:
        self._steps = iaa.Sequential(_augmenters(pipeline))

    def __call__(self, pixels: Pixels, seed: int) -> Pixels:
        """Return a copy of an image of uint8, shape (height, width, 3), in the same shape."""
        _seed(self._steps, RNG(seed))
        return np.ascontiguousarray(self._steps(image=pixels), dtype=np.uint8)


class _MedianBlur(iaa.MedianBlur):  # type: ignore[misc]  # imgaug has no types
    """imgaug's MedianBlur, with the same windows and bytes, but faster."""

    def _augment_batch_(self, batch: Any, random_state: Any, parents: Any, hooks: Any) -> Any:
        sides = self.k.draw_samples((len(batch.images),), random_state=random_state)
        for i, side in enumerate(sides):
            if side > 1:
                batch.images[i] = median_blur(batch.images[i], int(side) | 1)
        return batch


def _seed(augmenter: iaa.Augmenter, generator: RNG) -> None:
    """Seed an augmenter and its children as imgaug's `seed_` does, which takes longer: it copies every generator."""
    children = [child for group in augmenter.get_children_lists() for child in group]
    if not augmenter.deterministic:
        # Deriving the children's generators changes this one.
        augmenter.random_state = generator.copy() if children else generator
    for child in children:
        _seed(child, generator.derive_rng_())


def _augmenters(steps: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[iaa.Augmenter]:
    return [_augmenter(name, arguments) for step in steps for name, arguments in step.items()]


def _augmenter(name: str, arguments: Mapping[str, Any]) -> iaa.Augmenter:
    values = {argument: _as_imgaug(value) for argument, value in arguments.items()}
    try:
        return (_MedianBlur if name == "MedianBlur" else getattr(iaa, name))(**values)
    except Exception as error:  # imgaug also raises plain Exception
        raise InputError(
            f"params.yaml: augment.pipelines: imgaug rejects {name} with {dict(arguments)}: {error}. Correct it."
        ) from None


def _as_imgaug(value: Any) -> Any:
    """YAML has only lists; imgaug reads a tuple as a range, a list as a choice, and has augmenters within others."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return _augmenters(value)
    is_range = isinstance(value, list) and len(value) == 2 and not any(isinstance(item, (str, bool)) for item in value)
    return tuple(value) if is_range else value
