from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from counterweight.training.pretrained_body import Moments, fit_norms, norms_of


@pytest.fixture
def network() -> nn.Module:
    """Two convolutions, each with batch norm that came with its own mean and variance, and a linear layer with one."""
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.Flatten(),
        nn.Linear(5 * 4 * 4, 6), nn.BatchNorm1d(6), nn.BatchNorm1d(6, affine=False),
    )  # fmt: skip
    for norm in norms_of(made):
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            assert values is not None
            nn.init.uniform_(values, 0.5, 2.0)
    return made


@pytest.fixture
def images() -> Tensor:
    return torch.rand(7, 3, 8, 8)


def moments(network: nn.Module, images: Tensor) -> "np.typing.NDArray[np.float32]":
    with torch.no_grad(), Moments(network.eval(), norms_of(network)) as listening:
        found: np.typing.NDArray[np.float32] = listening(images).numpy()
    return found


def test_moments_are_the_mean_and_the_mean_square_of_what_comes_to_each_norm(
    network: nn.Module, images: Tensor
) -> None:
    assert isinstance(network, nn.Sequential)
    found = moments(network, images)
    first, last = network[0](images), network[:7](images)
    assert found.shape == (7, 2, 4 + 5 + 6)
    np.testing.assert_allclose(found[:, 0, :4], first.mean(dim=(2, 3)).detach(), rtol=1e-5)
    np.testing.assert_allclose(found[:, 1, :4], first.square().mean(dim=(2, 3)).detach(), rtol=1e-5)
    np.testing.assert_allclose(found[:, 1, 9:], last.square().detach(), rtol=1e-5)


def test_network_computes_in_evaluation_what_it_did_before(network: nn.Module, images: Tensor) -> None:
    others = torch.rand(5, 3, 8, 8) * 3
    expected = network.eval()(others)
    fit_norms(norms_of(network), moments(network, images))
    assert torch.allclose(network(others), expected, rtol=1e-4, atol=1e-5)


def test_norms_know_the_mean_and_the_variance_of_the_images(network: nn.Module, images: Tensor) -> None:
    assert isinstance(network, nn.Sequential)
    fit_norms(norms_of(network), moments(network, images))
    first = network[0](images)
    assert torch.allclose(network[1].running_mean, first.mean(dim=(0, 2, 3)), atol=1e-5)
    assert torch.allclose(network[1].running_var, first.var(dim=(0, 2, 3), correction=0), atol=1e-5)
    assert torch.allclose(network[:7](images).var(dim=0, correction=0), network[7].running_var, atol=1e-5)


def test_channel_that_is_the_same_in_all_images_stays_so(network: nn.Module, images: Tensor) -> None:
    assert isinstance(network, nn.Sequential)
    with torch.no_grad():
        network[0].weight[0] = 0
    expected = network[:2].eval()(images)
    fit_norms(norms_of(network), moments(network, images))
    assert torch.allclose(network[:2].eval()(images), expected, atol=1e-4)
    assert torch.allclose(network[:2].train()(images), expected, atol=1e-4)


def test_norm_that_neither_scales_nor_shifts_is_left_alone(network: nn.Module) -> None:
    assert isinstance(network, nn.Sequential)
    assert norms_of(network) == [network[1], network[4], network[7]]


def test_norms_of_named_weights_are_left_out(network: nn.Module, images: Tensor) -> None:
    assert isinstance(network, nn.Sequential)
    chosen = norms_of(network, but={"4.weight", "4.bias"})
    assert chosen == [network[1], network[7]]
    with torch.no_grad(), Moments(network.eval(), chosen) as listening:
        found = listening(images)
    assert torch.equal(found, torch.from_numpy(moments(network, images)[:, :, [0, 1, 2, 3, 9, 10, 11, 12, 13, 14]]))


def test_afterwards_nothing_listens_to_the_norms(network: nn.Module, images: Tensor) -> None:
    moments(network, images)
    assert not any(norm._forward_pre_hooks for norm in norms_of(network))


class Meeting(nn.Module):
    """Here, two threads are at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.barrier = Barrier(2)

    def forward(self, values: Tensor) -> Tensor:
        self.barrier.wait(60)
        return values


def test_two_threads_at_once_find_the_moments_of_their_own_images() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), Meeting(), nn.BatchNorm2d(3)).eval()
    ones, twos = torch.ones(1, 3, 2, 2), torch.full((1, 3, 2, 2), 2.0)
    with torch.no_grad(), Moments(network, norms_of(network)) as listening, ThreadPoolExecutor(2) as pool:
        found = list(pool.map(listening, [ones, twos]))
    assert [values[0, 0, 0].item() for values in found] == [1, 2]
