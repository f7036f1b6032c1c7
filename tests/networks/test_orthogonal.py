"""Haar matrices against their exact moments, orthogonal networks against the limits of arXiv 2004.05867's recursion."""

from math import sqrt

import numpy as np
import pytest
import torch

from widenet.architectures import Conv, Dense, Erf, GlobalAveragePool, ReLU
from widenet.errors import InvalidInput
from widenet.kernels import NNGP, NTK
from widenet.networks import delta_orthogonal_weights, haar_orthogonal, network, orthogonal_weights
from widenet.networks.convergence import tangent_kernels


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (7, 3), (2, 6), (1, 4)])
def test_columns_or_rows_are_orthonormal(rows: int, columns: int):
    Q = haar_orthogonal(rows, columns, _generator(), torch.float64)
    assert Q.shape == (rows, columns)
    gram = Q.T @ Q if rows >= columns else Q @ Q.T
    torch.testing.assert_close(gram, torch.eye(min(rows, columns), dtype=torch.float64), rtol=0, atol=1e-14)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_haar_moments(n: int):
    """Means over 3000 matrices, and over entries, which are exchangeable; within 5 standard errors."""
    generator = _generator(n)
    Q = torch.stack([haar_orthogonal(n, n, generator, torch.float64) for _ in range(3000)]).numpy()
    squares = Q**2
    corner, opposite = squares[:, 0, 0], squares[:, 1, 1]
    each = {
        # Without the signs of R's diagonal all corners of LAPACK's Q have one sign.
        "Q11": (Q[:, 0, 0], 0.0),
        "Q22": (Q[:, 1, 1], 0.0),
        "Q11^2 Q22^2": (corner * opposite, (n + 1) / (n * (n - 1) * (n + 2))),
        "Q11 Q12 Q21 Q22": (Q[:, 0, 0] * Q[:, 0, 1] * Q[:, 1, 0] * Q[:, 1, 1], -1 / (n * (n - 1) * (n + 2))),
        "Q11^4": ((squares**2).mean((1, 2)), 3 / (n * (n + 2))),
    }
    for name, (values, expected) in each.items():
        assert abs(values.mean() - expected) < 5 * values.std() / sqrt(3000), name


def test_a_part_of_a_haar_matrix_has_its_moments():
    generator = _generator(9)
    Q = torch.stack([haar_orthogonal(2, 4, generator, torch.float64) for _ in range(3000)]).numpy()
    for values, expected in ((Q**2, 1 / 4), (Q**4, 3 / (4 * 6)), (Q, 0.0)):
        each = values.mean((1, 2))
        assert abs(each.mean() - expected) < 5 * max(each.std(), 1e-17) / sqrt(3000) + 1e-15


def test_square_layers_keep_norms():
    W = orthogonal_weights(30, 30, _generator(), torch.float64)
    s = torch.randn(30, 8, generator=_generator(1), dtype=torch.float64)
    torch.testing.assert_close((W @ s / sqrt(30)).norm(dim=0), s.norm(dim=0), rtol=1e-12, atol=0)
    # A linear network of them has exactly one norm.
    net = network(Dense() ** 6, 30, width=30, outputs=30, init="orthogonal", dtype=torch.float64)
    torch.testing.assert_close(net(s.T).norm(dim=1), s.norm(dim=0), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("rows", "columns"), [(40, 10), (10, 40)])
def test_weights_have_unit_variance(rows: int, columns: int):
    W = orthogonal_weights(rows, columns, _generator(), torch.float64)
    assert float(W.square().mean()) == pytest.approx(1.0, rel=1e-13)


def test_a_delta_orthogonal_convolution_keeps_every_pixel():
    x = torch.randn(2, 5, 4, 6, generator=_generator(1), dtype=torch.float64)
    net = network(Conv(3), (5, 4, 6), width=6, outputs=6, init="orthogonal", dtype=torch.float64)
    torch.testing.assert_close(net(x).norm(dim=-1), x.norm(dim=-1), rtol=1e-12, atol=0)
    even = delta_orthogonal_weights(3, 3, (4,), _generator(), torch.float64)
    assert [bool(tap.any()) for tap in even.unbind(-1)] == [False, True, False, False]


X = torch.tensor([[1.0, 0.5, -0.3, 0.8], [-0.2, 1.1, 0.4, 0.6]], dtype=torch.float64)
# sigma_w 1.5, sigma_b 0.1: S_xy, T_xy, S_xx, T_xx.
LIMITS = {
    ("relu", 1): (0.6495417897, 0.9377665278, 1.2742187500, 2.5384375000),
    ("relu", 3): (1.0930329551, 2.3811434197, 1.6339331055, 6.4705761719),
    ("erf", 1): (0.3894525034, 0.7780376219, 1.1048564219, 2.4781977613),
    ("erf", 3): (0.3435098243, 1.3572234597, 1.0949185378, 6.2121998927),
}


@pytest.mark.parametrize(("activation", "layers"), LIMITS)
def test_both_ensembles_have_the_limits_of_the_recursion(activation: str, layers: int):
    phi = {"relu": ReLU(), "erf": Erf()}[activation]
    arch = (Dense(1.5, 0.1) >> phi) ** layers >> Dense(1.5, 0.1)
    covariance, tangent = NNGP(arch)(X), NTK(arch)(X)
    found = [covariance[0, 1], tangent[0, 1], covariance[0, 0], tangent[0, 0]]
    np.testing.assert_allclose(found, LIMITS[activation, layers], rtol=0, atol=6e-11)
    for init in ("gaussian", "orthogonal"):
        nets = [network(arch, 4, width=256, seed=seed, init=init, dtype=torch.float64) for seed in range(20)]
        kernels = torch.cat([tangent_kernels([net], X) for net in nets])
        error = kernels.std(0) / sqrt(len(nets))
        gap = (kernels.mean(0) - tangent).abs()
        assert bool((gap < 4 * error + 0.02 * tangent.abs()).all())  # 1 / width, several layers of it
        assert bool((error < 0.1 * tangent.diagonal().max()).all())


def test_the_limit_of_delta_orthogonal_convolutions_is_not_that_of_gaussian_ones():
    images = torch.randn(2, 4, 2, generator=_generator(3), dtype=torch.float64)
    arch = Conv(3, padding="circular") >> ReLU() >> Conv(3, padding="circular") >> ReLU() >> GlobalAveragePool()
    arch = arch >> Dense()
    nets = [network(arch, (4, 2), width=64, seed=seed, init="orthogonal", dtype=torch.float64) for seed in range(60)]
    kernels = tangent_kernels(nets, images)
    error, limit = kernels.std(0) / sqrt(len(nets)), NTK(nets[0].architecture)(images)
    assert bool(((kernels.mean(0) - limit).abs() < 4 * error + 0.02 * limit).all())
    assert bool(((kernels.mean(0) - NTK(arch)(images)).abs() > 6 * error).any())


def test_sizes_are_checked():
    with pytest.raises(InvalidInput, match="at least one row and one column; got 0 x 3"):
        haar_orthogonal(0, 3, _generator())
