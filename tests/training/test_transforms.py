from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from counterweight.base.errors import InputError
from counterweight.base.steps import TRANSFORMS
from counterweight.networks.distributed import ProcessGroup
from counterweight.networks.loader import build_loader
from counterweight.training.sampler import SeededSampler, build_sampler
from counterweight.training.transforms import TransformedDataset

ALONE = ProcessGroup(torch.device("cpu"))

# Each with arguments, where it needs some.
STEPS: dict[str, dict[str, Any]] = {
    "ColorJitter": {"brightness": 0.5, "hue": [-0.1, 0.1]},
    "GaussianBlur": {"kernel_size": 3, "sigma": [0.1, 2.0]},
    "RandomAffine": {
        "degrees": [-10, 10],
        "translate": [0.1, 0.1],
        "scale": [0.8, 1.2],
        "interpolation": "bilinear",
        "fill": 128,
    },
    "RandomCrop": {"padding": 4, "padding_mode": "reflect"},
    "RandomErasing": {"p": 1.0, "scale": [0.1, 0.3], "value": 0},
    "RandomGrayscale": {"p": 0.5},
    "RandomHorizontalFlip": {"p": 0.5},
    "RandomResizedCrop": {"scale": [0.5, 1.0], "ratio": [0.8, 1.2]},
    "RandomRotation": {"degrees": 20, "interpolation": "nearest"},
    "RandomVerticalFlip": {"p": 0.5},
    "TrivialAugmentWide": {},
}


@pytest.fixture
def eight() -> TensorDataset:
    """Noise of 48 x 32 pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 32, 48, 3), dtype=np.uint8)
    return TensorDataset(torch.from_numpy(noise), torch.arange(8.0)[:, None])


def changed(items: TensorDataset, steps: list[dict[str, Any]]) -> TransformedDataset:
    return TransformedDataset(items, steps, (48, 32))


def test_every_transform_of_params_is_tried_here() -> None:
    assert list(STEPS) == list(TRANSFORMS)


@pytest.mark.parametrize("name", STEPS)
def test_changed_image_keeps_its_size_and_its_targets(name: str, eight: TensorDataset) -> None:
    image, targets = changed(eight, [{name: STEPS[name]}])[(3, 7)]
    assert (image.shape, image.dtype, image.is_contiguous()) == ((32, 48, 3), torch.uint8, True)
    assert targets.tolist() == [3.0]


@pytest.mark.parametrize("name", STEPS)
def test_change_depends_on_the_seed_alone(name: str, eight: TensorDataset) -> None:
    items = changed(eight, [{name: STEPS[name]}])
    torch.manual_seed(0)
    first = items[(3, 7)][0]
    torch.manual_seed(1)
    assert torch.equal(items[(3, 7)][0], first)
    assert any(not torch.equal(items[(3, seed)][0], first) for seed in range(20))


def test_change_leaves_torchs_generator_as_it_was(eight: TensorDataset) -> None:
    before = torch.get_rng_state()
    changed(eight, [{"RandomHorizontalFlip": {"p": 0.5}}])[(0, 5)]
    assert torch.equal(torch.get_rng_state(), before)


def test_certain_flip_turns_left_and_right(eight: TensorDataset) -> None:
    image, _ = changed(eight, [{"RandomHorizontalFlip": {"p": 1}}])[(2, 0)]
    assert torch.equal(image, eight[2][0].flip(1))


def test_steps_are_applied_in_order(eight: TensorDataset) -> None:
    image, _ = changed(eight, [{"RandomHorizontalFlip": {"p": 1}}, {"RandomVerticalFlip": {"p": 1}}])[(2, 0)]
    assert torch.equal(image, eight[2][0].flip(0, 1))


def test_there_are_as_many_items_as_before(eight: TensorDataset) -> None:
    assert len(changed(eight, [{"RandomHorizontalFlip": {}}])) == 8


def test_same_images_for_no_worker_and_for_two(eight: TensorDataset) -> None:
    def seen(workers: int) -> torch.Tensor:
        items = changed(eight, [{"RandomResizedCrop": {"scale": [0.5, 1.0]}}, {"ColorJitter": {"hue": 0.2}}])
        loader = build_loader(
            items, ALONE, batch_size=3, workers=workers, sampler=SeededSampler(build_sampler(8, 1), 1)
        )
        return torch.cat([images for _ in range(2) for images, _ in loader])

    assert torch.equal(seen(2), seen(0))


def test_value_that_torchvision_refuses_is_an_error(eight: TensorDataset) -> None:
    with pytest.raises(InputError) as error:
        changed(eight, [{"GaussianBlur": {"kernel_size": 4}}])
    assert str(error.value).startswith(
        "params.yaml: train.transforms: torchvision refuses GaussianBlur with {'kernel_size': 4}: "
    )


def test_argument_that_torchvision_needs_and_has_not_is_an_error(eight: TensorDataset) -> None:
    with pytest.raises(InputError, match=r"torchvision refuses RandomRotation with \{\}: "):
        changed(eight, [{"RandomRotation": {}}])
