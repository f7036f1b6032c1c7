"""Monte Carlo of finite networks against plain loops, exact moments of orthogonal matrices, and the recursions."""

from dataclasses import astuple
from math import sqrt

import numpy as np
import pytest
import torch

from widenet.architectures import AbsLinear, Dense, Elementwise, Erf
from widenet.errors import InvalidInput
from widenet.experiments.tensor_ensembles import TENSORS, TensorEnsemble, _sums, _weights
from widenet.networks import network
from widenet.theory import fluctuations

TANH = Elementwise(torch.tanh)


def test_sums_over_pairs_are_those_of_plain_loops():
    rng = np.random.default_rng(0)
    z, H = rng.standard_normal((3, 5)), rng.standard_normal((3, 5, 5))
    H = H + H.transpose(0, 2, 1)
    found = _sums(torch.from_numpy(z), torch.from_numpy(H)).numpy()
    pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
    for r in range(3):
        terms = [
            (
                z[r, i] ** 2 * z[r, j] ** 2,
                z[r, i] ** 2 * H[r, j, j],
                z[r, i] * z[r, j] * H[r, i, j],
                H[r, i, i] * H[r, j, j],
                H[r, i, j] ** 2,
            )
            for i, j in pairs
        ]
        expected = [np.mean(z[r] ** 2), np.mean(np.diag(H[r])), *np.mean(terms, axis=0)]
        np.testing.assert_allclose(found[r], expected, rtol=1e-12)


@pytest.mark.parametrize("ensemble", ["gaussian", "orthogonal"])
def test_the_tangent_kernel_between_units_is_that_of_the_gradients(ensemble):
    # One draw, whose weights are drawn again in the order of the ensemble, and autograd over all of its weights.
    n = 6
    *_, last = TensorEnsemble(Erf(), n, 3, ensemble, weight_std=1.3)._statistics(1, torch.Generator().manual_seed(4))
    generator = torch.Generator().manual_seed(4)
    first = torch.randn(1, n, generator=generator, dtype=torch.float64)[0]
    if ensemble == "orthogonal":
        first = sqrt(n) * first / first.norm()
    # The input sqrt(n) e_1 has mean square 1 and reads the first column, which is `first`.
    start = torch.cat([first[:, None], torch.zeros(n, n - 1, dtype=torch.float64)], dim=1)
    weights = [start, *(_weights(1, n, ensemble, generator)[0] for _ in range(2))]
    weights = [weight.requires_grad_() for weight in weights]
    z = 1.3 / sqrt(n) * weights[0] @ (sqrt(n) * torch.eye(n, dtype=torch.float64)[0])
    for weight in weights[1:]:
        z = 1.3 / sqrt(n) * weight @ torch.erf(z)
    rows = (torch.autograd.grad(z[i], weights, retain_graph=True) for i in range(n))
    J = torch.stack([torch.cat([gradient.ravel() for gradient in row]) for row in rows])
    torch.testing.assert_close(last, _sums(z.detach()[None], (J @ J.T)[None]))


def test_moments_of_haar_matrices_are_the_exact_ones():
    n, draws = 4, 40_000
    Q = (_weights(draws, n, "orthogonal", torch.Generator().manual_seed(1)) / sqrt(n)).numpy()
    torch.testing.assert_close(
        torch.from_numpy(Q @ Q.transpose(0, 2, 1)), torch.eye(n).double().expand(draws, n, n), atol=1e-12, rtol=0
    )
    products = {
        (n + 1) / (n * (n - 1) * (n + 2)): Q[:, 0, 0] ** 2 * Q[:, 1, 1] ** 2,
        -1 / (n * (n - 1) * (n + 2)): Q[:, 0, 0] * Q[:, 0, 1] * Q[:, 1, 0] * Q[:, 1, 1],
        3 / (n * (n + 2)): Q[:, 0, 0] ** 4,
        0.0: Q[:, 0, 0],  # not so without the signs of R
    }
    for expected, values in products.items():
        assert abs(values.mean() - expected) < 4 * values.std() / sqrt(draws)


@pytest.mark.parametrize("ensemble", ["gaussian", "orthogonal"])
def test_tensors_of_wide_networks_agree_with_the_recursion(ensemble):
    # 1/n corrections are within the standard errors at this width, but for A (a bias of 2 B / n, and of order l^2 / n).
    n = 96
    measured = TensorEnsemble(TANH, n, 5, ensemble).measure(300, seed=2)
    for found, exact in zip(measured, fluctuations(TANH, 4, n, ensemble).layers, strict=True):
        assert found.layer == exact.layer
        for name in ("K", "tangent"):
            estimate = getattr(found, name)
            assert abs(estimate.value - getattr(exact, name)) < 4 * estimate.error + 3 / n * getattr(exact, name)
        for name in ("V", "D", "F", "B"):
            estimate, expected = getattr(found, name), getattr(exact, name)
            assert abs(estimate.value - expected) < 4 * estimate.error + 8 / n * max(abs(expected), 0.1), name


# Published with the specification: 4,000 draws at n = 64, with standard errors in the last digits.
PUBLISHED = {
    ("orthogonal", 6): {"V": (-1.737, 0.008), "F": (-0.5051, 0.0005), "B": (0.1717, 0.0002)},
    ("gaussian", 6): {"V": (3.05, 0.12), "F": (1.117, 0.008), "B": (1.895, 0.005)},
    ("orthogonal", 12): {"V": (-1.817, 0.009), "F": (-0.5730, 0.0004), "B": (0.1203, 0.0001)},
}


@pytest.mark.parametrize(("ensemble", "layers"), [("orthogonal", 12), ("gaussian", 6)])
def test_tensors_of_the_specification_by_fewer_draws(ensemble, layers: int):
    measured = TensorEnsemble(TANH, 64, layers, ensemble).measure(250, seed=3)
    for (kind, layer), values in PUBLISHED.items():
        if kind != ensemble:
            continue
        for name, (expected, error) in values.items():
            estimate = getattr(measured[layer - 1], name)
            assert abs(estimate.value - expected) < 4 * sqrt(estimate.error**2 + error**2), (layer, name)


def test_a_linear_orthogonal_network_keeps_the_norm_in_every_draw():
    n = 16
    (first, *_, last) = TensorEnsemble(AbsLinear(1.0, 0.0), n, 8, "orthogonal").measure(50)
    for tensors in (first, last):
        assert tensors.K.value == pytest.approx(1, abs=1e-13)
        assert tensors.K.error < 1e-13
    # E[z_i^2 z_j^2] of a uniform direction is n / (n + 2); averaged over pairs and many draws.
    assert abs(first.V.value + 2 * n / (n + 2)) < 4 * first.V.error


def test_errors_are_those_of_repeated_ensembles():
    shape = TensorEnsemble(TANH, 6, 3, "gaussian")
    repeated = [shape.measure(60, seed)[-1] for seed in range(60)]
    for name in TENSORS:
        spread = np.std([getattr(tensors, name).value for tensors in repeated], ddof=1)
        typical = np.median([getattr(tensors, name).error for tensors in repeated])
        assert 0.6 < typical / spread < 1.5, name


def test_equal_seeds_give_equal_numbers():
    shape = TensorEnsemble(TANH, 5, 2, "orthogonal")
    assert astuple(shape.measure(4, 1)[-1]) == astuple(shape.measure(4, 1)[-1]) != astuple(shape.measure(4, 2)[-1])


def test_modules_are_drawn_from_the_same_ensemble():
    # The network's square orthogonal layers keep every norm, as these matrices do.
    net = network(
        Dense() >> AbsLinear(1.0, 0.0) >> Dense(), 7, width=7, outputs=7, init="orthogonal", dtype=torch.float64
    )
    x = torch.randn(3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(net(x).norm(dim=1), x.norm(dim=1), rtol=1e-12, atol=0)


@pytest.mark.parametrize("arguments", [(TANH, 1, 3, "gaussian"), (TANH, 4, 0, "gaussian")])
def test_sizes_have_to_be_sizes(arguments):
    with pytest.raises(InvalidInput, match="two units"):
        TensorEnsemble(*arguments)


def test_one_draw_has_no_error():
    with pytest.raises(InvalidInput, match="two draws"):
        TensorEnsemble(TANH, 4, 2, "gaussian").measure(1)
