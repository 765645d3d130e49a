import pytest
import torch
from torch import Tensor

from counterweight.networks.pooling import CHANNELS, Bilinear, pooled, square_root


def test_maps_are_pooled_by_their_mean_or_their_most() -> None:
    maps = torch.arange(12.0).reshape(1, 1, 3, 4)
    assert pooled(maps, "average").tolist() == [[5.5]]
    assert pooled(maps, "max").tolist() == [[11]]


def test_pyramid_says_of_each_part_of_the_picture_its_mean_and_its_most() -> None:
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    whole, quarters, most = [7.5, 15], [2.5, 4.5, 10.5, 12.5], [5, 7, 13, 15]
    assert pooled(maps, "pyramid").tolist() == [[*whole, *quarters, *most]]


def bilinear_of(maps: Tensor) -> Bilinear:
    torch.manual_seed(0)
    pooling = Bilinear(maps.shape[1])
    pooling.fit(maps)
    return pooling


@pytest.fixture
def maps() -> Tensor:
    """Of two images and two channels; the second channel is twice the first, and a little of its own."""
    first = torch.tensor([[[0.0, 1], [2, 3]], [[4, 5], [6, 9]]])
    return torch.stack([first, 2 * first + torch.tensor([[0.0, 0.5], [-0.5, 0]])], dim=1)


def test_square_root_times_itself_is_the_matrix() -> None:
    matrix = torch.tensor([[[5.0, 4], [4, 5]]])
    assert torch.allclose(square_root(matrix, steps=20), torch.tensor([[[2.0, 1], [1, 2]]]), atol=1e-5)


def test_five_steps_leave_small_eigenvalues_smaller() -> None:
    root = square_root(torch.diag(torch.tensor([1.0, 1e-4]))[None])[0].diagonal()
    assert root[0] == pytest.approx(1, abs=1e-3)
    assert 0 < root[1] < 1e-4**0.5 * 0.5


def test_square_root_of_nothing_is_nothing() -> None:
    assert square_root(torch.zeros(1, 2, 2)).tolist() == [[[0, 0], [0, 0]]]


def test_fitted_channels_are_uncorrelated_and_the_strongest_comes_first(maps: Tensor) -> None:
    with torch.no_grad():
        points = bilinear_of(maps).reduce(maps).transpose(0, 1).flatten(1)
    assert torch.allclose(points.mean(dim=1), torch.zeros(2), atol=1e-5)
    together = torch.cov(points)
    assert abs(float(together[0, 1])) < 1e-4
    assert together[0, 0] > 100 * together[1, 1]


def test_direction_of_a_fitted_channel_is_that_of_its_largest_part(maps: Tensor) -> None:
    weight = bilinear_of(maps).reduce.weight.detach()[:, :, 0, 0]
    assert (weight.gather(1, weight.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_row_is_the_root_of_the_products_and_the_means(maps: Tensor) -> None:
    pooling = bilinear_of(maps)
    with torch.no_grad():
        row = pooling(maps)[1]
        points = pooling.reduce(maps[1:]).flatten(2)[0]
        root = square_root((points @ points.T / 4)[None])[0]
    assert torch.allclose(row, torch.stack([root[0, 0], root[0, 1], root[1, 1], *points.mean(dim=1)]), atol=1e-5)


def test_row_does_not_say_where_things_are(maps: Tensor) -> None:
    pooling = bilinear_of(maps)
    with torch.no_grad():
        assert torch.allclose(pooling(maps), pooling(maps.flip(3)), atol=1e-5)


def test_many_channels_are_brought_to_fewer() -> None:
    pooling = Bilinear(256)
    assert pooling(torch.rand(1, 256, 2, 3)).shape == (1, CHANNELS * (CHANNELS + 1) / 2 + CHANNELS)


def test_gradients_are_finite_where_the_maps_are_of_one_colour() -> None:
    pooling = Bilinear(4)
    pooling(torch.ones(2, 4, 3, 3)).sum().backward()
    assert pooling.reduce.weight.grad is not None
    assert pooling.reduce.weight.grad.isfinite().all()
