"""Grids of kernels against the published arithmetic and the stated formulas in plain NumPy."""

import numpy as np

from widenet.experiments.kernel_grids import ExponentialFamily, NetworkFamily, all_families


def test_network_grid_is_the_published_one(published_kernels):
    X = np.random.default_rng(1).standard_normal((9, 5))
    expected = published_kernels(X)
    points = NetworkFamily().points(5)
    order = [(depth, frozen) for frozen in range(5) for depth in range(frozen, 5)]
    assert len(points) == len(order) == len(expected) == 15
    for point, key in zip(points, order, strict=True):
        # The plain recursion takes acos of a rounded cosine on the diagonal, which costs half the digits there.
        np.testing.assert_allclose(point.kernel(X), expected[key], rtol=1e-7, err_msg=str(key))
        rows, columns = np.triu_indices(9, 1)
        np.testing.assert_allclose(
            point.kernel(X)[rows, columns], expected[key][rows, columns], rtol=1e-12, atol=1e-13, err_msg=str(key)
        )


def test_exponential_grid_is_the_stated_one():
    X = np.random.default_rng(2).standard_normal((6, 3))
    distance = np.sqrt(((X[:, None] - X) ** 2).sum(-1))
    U = X / np.linalg.norm(X, axis=1, keepdims=True)
    chord = np.sqrt(((U[:, None] - U) ** 2).sum(-1))
    norms = np.outer(*[np.linalg.norm(X, axis=1)] * 2)
    for gamma in (0.5, 1.0, 1.5, 2.0):
        plain, directions = ExponentialFamily(gamma).points(3), ExponentialFamily(gamma, homogeneous=True).points(3)
        for octave, a, b in zip(range(-3, 4), plain, directions, strict=True):
            np.testing.assert_allclose(
                a.kernel(X), np.exp(-((distance / (np.sqrt(3) * 2.0**octave)) ** gamma)), rtol=1e-10
            )
            expected = norms * np.exp(-((chord / 2.0**octave) ** gamma))
            np.testing.assert_allclose(b.kernel(X), expected, rtol=1e-10, atol=1e-12)
            assert a.place == b.place == (octave / 3,)


def test_families_have_different_names():
    names = [family.name for family in all_families()]
    assert len(set(names)) == len(names) == 9
    assert {"NTK", "Laplace", "Gaussian", "H-Laplace", "gamma = 0.5", "H-gamma = 1.5"} < set(names)
