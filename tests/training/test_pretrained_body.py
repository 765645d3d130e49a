import pytest
import torch
from torch import Tensor, nn

from counterweight.training.pretrained_body import activation_stats, batch_norms, recalibrate_batch_norm


@pytest.fixture
def network() -> nn.Module:
    """Two convolutions, each with batch norm that came with its own mean and variance, and a linear layer with one."""
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.Flatten(),
        nn.Linear(5 * 4 * 4, 6), nn.BatchNorm1d(6), nn.BatchNorm1d(6, affine=False),
    )  # fmt: skip
    for norm in batch_norms(made):
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            assert values is not None
            nn.init.uniform_(values, 0.5, 2.0)
    return made


@pytest.fixture
def images() -> Tensor:
    return torch.rand(7, 3, 8, 8)


def stats_of(network: nn.Module, images: Tensor) -> list[Tensor]:
    """For each batch norm, mean and mean square by image and channel, shape (n_images, channels, 2)."""
    with torch.no_grad(), activation_stats(batch_norms(network)) as stats:
        network.eval()(images[:4])
        network(images[4:])
    return [torch.stack(seen) for seen in stats.values()]


def recalibrate(network: nn.Module, images: Tensor) -> None:
    for norm, stats in zip(batch_norms(network), stats_of(network, images), strict=True):
        recalibrate_batch_norm(norm, list(stats))


def test_stats_are_the_mean_and_the_mean_square_of_what_enters_each_batch_norm(
    network: nn.Module, images: Tensor
) -> None:
    assert isinstance(network, nn.Sequential)
    stats = stats_of(network, images)
    first, last = network[0](images).detach().double(), network[:7](images).detach().double()
    assert [tuple(seen.shape) for seen in stats] == [(7, 4, 2), (7, 5, 2), (7, 6, 2)]
    assert torch.allclose(stats[0][..., 0], first.mean(dim=(2, 3)), rtol=1e-5)
    assert torch.allclose(stats[0][..., 1], first.square().mean(dim=(2, 3)), rtol=1e-5)
    assert torch.allclose(stats[2][..., 1], last.square(), rtol=1e-5)


def test_network_computes_in_evaluation_what_it_did_before(network: nn.Module, images: Tensor) -> None:
    others = torch.rand(5, 3, 8, 8) * 3
    expected = network.eval()(others)
    recalibrate(network, images)
    assert torch.allclose(network(others), expected, rtol=1e-4, atol=1e-5)


def test_norms_know_the_mean_and_the_variance_of_the_images(network: nn.Module, images: Tensor) -> None:
    assert isinstance(network, nn.Sequential)
    recalibrate(network, images)
    first = network[0](images)
    assert torch.allclose(network[1].running_mean, first.mean(dim=(0, 2, 3)), atol=1e-5)
    assert torch.allclose(network[1].running_var, first.var(dim=(0, 2, 3), correction=0), atol=1e-5)
    assert torch.allclose(network[:7](images).var(dim=0, correction=0), network[7].running_var, atol=1e-5)


def test_channel_that_is_the_same_in_all_images_stays_so(network: nn.Module, images: Tensor) -> None:
    assert isinstance(network, nn.Sequential)
    with torch.no_grad():
        network[0].weight[0] = 0
    expected = network[:2].eval()(images)
    recalibrate(network, images)
    assert torch.allclose(network[:2].eval()(images), expected, atol=1e-4)
    assert torch.allclose(network[:2].train()(images), expected, atol=1e-4)


def test_norm_that_neither_scales_nor_shifts_is_left_alone(network: nn.Module) -> None:
    assert isinstance(network, nn.Sequential)
    assert batch_norms(network) == [network[1], network[4], network[7]]


def test_norms_of_named_weights_are_left_out(network: nn.Module) -> None:
    assert isinstance(network, nn.Sequential)
    chosen = batch_norms(network, exclude={"4.weight", "4.bias"})
    assert chosen == [network[1], network[7]]


def test_afterwards_nothing_listens_to_the_norms(network: nn.Module, images: Tensor) -> None:
    stats_of(network, images)
    assert not any(norm._forward_pre_hooks for norm in batch_norms(network))
