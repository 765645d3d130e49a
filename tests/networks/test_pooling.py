import pytest
import torch
from torch import Tensor

from counterweight.networks.pooling import REDUCED_CHANNELS, BilinearPooling, pool, square_root


def test_average_and_max_pool_over_height_and_width() -> None:
    maps = torch.arange(12.0).reshape(1, 1, 3, 4)
    assert pool(maps, "average").tolist() == [[5.5]]
    assert pool(maps, "max").tolist() == [[11]]


def test_pyramid_is_mean_and_maximum_of_the_whole_and_of_each_quarter() -> None:
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    whole, quarters, maxima = [7.5, 15], [2.5, 4.5, 10.5, 12.5], [5, 7, 13, 15]
    assert pool(maps, "pyramid").tolist() == [[*whole, *quarters, *maxima]]


def fitted_pooling(maps: Tensor) -> BilinearPooling:
    torch.manual_seed(0)
    pooling = BilinearPooling(maps.shape[1])
    pooling.fit(maps)
    return pooling


@pytest.fixture
def maps() -> Tensor:
    """Two images with two channels; the second is twice the first plus a little."""
    first = torch.tensor([[[0.0, 1], [2, 3]], [[4, 5], [6, 9]]])
    return torch.stack([first, 2 * first + torch.tensor([[0.0, 0.5], [-0.5, 0]])], dim=1)


def test_square_root_of_a_matrix_is_as_computed_by_hand() -> None:
    matrix = torch.tensor([[[5.0, 4], [4, 5]]])
    assert torch.allclose(square_root(matrix, steps=20), torch.tensor([[[2.0, 1], [1, 2]]]), atol=1e-5)


def test_five_steps_leave_small_eigenvalues_too_small() -> None:
    root = square_root(torch.diag(torch.tensor([1.0, 1e-4]))[None])[0].diagonal()
    assert root[0] == pytest.approx(1, abs=1e-3)
    assert 0 < root[1] < 1e-4**0.5 * 0.5


def test_square_root_of_zero_is_zero() -> None:
    assert square_root(torch.zeros(1, 2, 2)).tolist() == [[[0, 0], [0, 0]]]


def test_fitted_channels_are_uncorrelated_and_sorted_by_variance(maps: Tensor) -> None:
    with torch.no_grad():
        points = fitted_pooling(maps).reduce(maps).transpose(0, 1).flatten(1)
    assert torch.allclose(points.mean(dim=1), torch.zeros(2), atol=1e-5)
    covariance = torch.cov(points)
    assert abs(float(covariance[0, 1])) < 1e-4
    assert covariance[0, 0] > 100 * covariance[1, 1]


def test_largest_weight_of_a_fitted_channel_is_positive(maps: Tensor) -> None:
    weight = fitted_pooling(maps).reduce.weight.detach()[:, :, 0, 0]
    assert (weight.gather(1, weight.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_features_are_the_square_root_of_the_products_and_the_means(maps: Tensor) -> None:
    pooling = fitted_pooling(maps)
    with torch.no_grad():
        row = pooling(maps)[1]
        points = pooling.reduce(maps[1:]).flatten(2)[0]
        root = square_root((points @ points.T / 4)[None])[0]
    assert torch.allclose(row, torch.stack([root[0, 0], root[0, 1], root[1, 1], *points.mean(dim=1)]), atol=1e-5)


def test_features_do_not_depend_on_positions(maps: Tensor) -> None:
    pooling = fitted_pooling(maps)
    with torch.no_grad():
        assert torch.allclose(pooling(maps), pooling(maps.flip(3)), atol=1e-5)


def test_many_channels_are_reduced() -> None:
    pooling = BilinearPooling(256)
    assert pooling(torch.rand(1, 256, 2, 3)).shape == (
        1,
        REDUCED_CHANNELS * (REDUCED_CHANNELS + 1) / 2 + REDUCED_CHANNELS,
    )


def test_gradients_are_finite_for_constant_maps() -> None:
    pooling = BilinearPooling(4)
    pooling(torch.ones(2, 4, 3, 3)).sum().backward()
    assert pooling.reduce.weight.grad is not None
    assert pooling.reduce.weight.grad.isfinite().all()
