"""Second moments of pairs of points, exact for points nearly parallel or nearly opposite."""

from math import pi

import mpmath
import numpy as np
import pytest
import torch

from widenet.kernels.moments import Moments, add_independent, aligned_moments, pair_moments, root, sphere_moments

RNG = np.random.default_rng(3)


def double(values) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


def _apart_and_together(x, y) -> tuple[float, float, float]:
    """2 r (1 -+ cos t) as means over channels and the angle, at 60 digits."""
    with mpmath.workdps(60):
        x, y = [mpmath.mpf(v) for v in x], [mpmath.mpf(v) for v in y]
        cross = mpmath.fsum(a * b for a, b in zip(x, y, strict=True)) / len(x)
        size = mpmath.sqrt(mpmath.fsum(a * a for a in x) * mpmath.fsum(b * b for b in y)) / len(x)
        apart, together = 2 * (size - cross), 2 * (size + cross)
        return float(apart), float(together), float(2 * mpmath.atan2(mpmath.sqrt(apart), mpmath.sqrt(together)))


@pytest.mark.parametrize("step", [1e-1, 1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("factor", [1.0, -1.0, 2.5, -0.3])
def test_near_parallel_and_near_opposite_points(step: float, factor: float):
    x = RNG.normal(size=5)
    y = factor * (x + step * RNG.normal(size=5))
    moments = pair_moments(double(x)[None], double(y)[None], False)
    apart, together, angle = _apart_and_together(x, y)
    # The data are rounded to 1e-16 themselves: a distance of `step` keeps 1e-16 / step of itself.
    tolerance = 4e-15 + 2e-15 / step
    assert float(moments.apart) == pytest.approx(apart, rel=tolerance if factor > 0 else 1e-14)
    assert float(moments.together) == pytest.approx(together, rel=tolerance if factor < 0 else 1e-14)
    assert float(moments.angle) == pytest.approx(angle, rel=tolerance)


def test_pairs_against_plain_sums():
    X, Y = RNG.normal(size=(7, 4)), RNG.normal(size=(5, 4))
    moments = pair_moments(double(X), double(Y), True)
    np.testing.assert_allclose(moments.cross, X @ Y.T / 4, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(moments.x[:, 0], (X**2).mean(1), rtol=1e-14)
    np.testing.assert_allclose(moments.y[0], (Y**2).mean(1), rtol=1e-14)
    cosine = X @ Y.T / np.linalg.norm(X, axis=1)[:, None] / np.linalg.norm(Y, axis=1)
    np.testing.assert_allclose(moments.angle, np.arccos(cosine), rtol=1e-12)
    roots = np.linalg.norm(X, axis=1)[:, None] - np.linalg.norm(Y, axis=1)
    np.testing.assert_allclose(moments.gap, roots**2 / 4, rtol=1e-12, atol=1e-15)
    assert moments.tangent is not None
    assert (moments.tangent == 0).all()


def test_a_set_with_itself_is_exactly_symmetric():
    X = double(RNG.normal(size=(9, 4)))
    X[3] = X[2]
    moments = pair_moments(X, X, False, same=True)
    for part in (moments.apart, moments.together, moments.angle):
        assert torch.equal(part, part.T)
    assert (moments.apart.diagonal() == 0).all()
    assert torch.equal(moments.together.diagonal(), 4 * moments.size.diagonal())
    assert moments.apart[2, 3] == 0


@pytest.mark.parametrize("angle", [0.0, 1e-8, 0.4, 2.0, pi - 1e-8, pi])
def test_the_sphere_and_the_plane_agree(angle: float):
    theta = double([angle])
    ours = sphere_moments(theta, 1.5, 3, False)
    x, y = double([[1.5, 0, 0]]), double([[1.5 * np.cos(angle), 1.5 * np.sin(angle), 0]])
    pair = pair_moments(x, y, False)
    assert float(ours.x[0]) == pytest.approx(0.75)
    assert float(ours.angle[0]) == pytest.approx(angle, rel=1e-15)
    assert float(ours.apart[0]) == pytest.approx(float(pair.apart), rel=1e-7, abs=1e-30)
    assert float(ours.cross[0]) == pytest.approx(0.75 * np.cos(angle), abs=1e-15)


def test_a_point_with_itself():
    X = double(RNG.normal(size=(4, 3)))
    moments = aligned_moments(X, True)
    assert (moments.apart == 0).all()
    assert (moments.angle == 0).all()
    np.testing.assert_allclose(moments.cross, (X**2).mean(1), rtol=1e-15)


def test_zero_rows_have_angle_zero_and_finite_moments():
    X = double([[0.0, 0.0], [1.0, 2.0]])
    moments = pair_moments(X, X, True, same=True)
    assert torch.equal(moments.angle[0], double([0.0, 0.0]))
    assert torch.equal(moments.apart[0], double([0.0, 0.0]))
    assert all(torch.isfinite(part).all() for part in (moments.together, moments.gap, moments.size))


def test_a_root_has_gradient_0_at_0():
    values = double([0.0, 4.0]).requires_grad_()
    (gradient,) = torch.autograd.grad(root(values).sum(), values)
    assert torch.equal(gradient, double([0.0, 0.25]))


def test_scaling_scales_every_moment():
    moments = sphere_moments(double([0.3, 2.0]), 1.0, 2, True).scaled(2.5)
    assert torch.allclose(moments.cross, 1.25 * torch.cos(double([0.3, 2.0])), rtol=1e-15)
    assert torch.allclose(moments.x, double(1.25))


@pytest.mark.parametrize("gap", [0.0, 1e-8, 1e-3, 2.0])
@pytest.mark.parametrize("apart", [0.0, 1e-20, 1e-9, 0.5])
def test_adding_independent_units_keeps_small_distances(gap: float, apart: float):
    """Sums of moments at 60 digits: E(u v) adds, so do the sizes squared."""
    first = [1.0, 1.0 + gap, apart]
    second = [0.4, 0.9, 1e-12]
    with mpmath.workdps(60):
        sums = [mpmath.mpf(0)] * 3
        for numbers in (first, second):
            x, y, d = map(mpmath.mpf, numbers)
            sums = [sums[0] + x, sums[1] + y, sums[2] + mpmath.sqrt(x * y) - d / 2]
        size = mpmath.sqrt(sums[0] * sums[1])
        expected, opposite = float(2 * (size - sums[2])), float(2 * (size + sums[2]))
    parts = [
        Moments(double([x]), double([y]), double([d]), double([4 * (x * y) ** 0.5 - d])) for x, y, d in (first, second)
    ]
    total = add_independent(parts)
    assert float(total.apart) == pytest.approx(expected, rel=1e-13)
    assert float(total.together) == pytest.approx(opposite, rel=1e-14)
    assert total.tangent is None


def test_a_constant_is_one_more_independent_unit():
    moments = sphere_moments(double([0.3, 2.0]), 1.0, 1, False)
    shifted = moments.with_constant(0.25)
    assert torch.allclose(shifted.cross, moments.cross + 0.25, rtol=1e-14)
    assert torch.allclose(shifted.x, double(1.25))
    assert moments.with_constant(0.0) is moments
