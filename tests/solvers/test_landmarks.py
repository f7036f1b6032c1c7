"""Kernel ridge on landmarks as one call: both ways agree, the choice can be asked, memory is refused."""

import numpy as np
import pytest

from widenet.architectures import fully_connected
from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.kernels import NTK, Gaussian
from widenet.solvers.landmarks import Landmarks

KERNEL = NTK(fully_connected(2))


def data(n: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(n, 4))
    return X, np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1), generator.uniform(0.5, 2.0, n)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_two_ways_find_one_function(weighted):
    X, y, w = data()
    new = np.random.default_rng(1).normal(size=(50, 4))
    direct, iterative = (
        Landmarks(60, method=method, tolerance=1e-11).fit(KERNEL, X, y, 1e-4, w if weighted else None)
        for method in ("direct", "iterative")
    )
    assert iterative.solution.converged
    assert "conjugate gradients" in iterative.solution.how
    assert "normal equations" in direct.solution.how
    np.testing.assert_allclose(iterative.predict(new), direct.predict(new), rtol=0, atol=1e-7)
    assert iterative.ridge == pytest.approx(direct.ridge)
    np.testing.assert_allclose(iterative.solution.value, direct.solution.value, rtol=0, atol=1e-4)


def test_one_output_keeps_its_shape_and_more_landmarks_fit_better():
    X, y, _ = data()
    errors = []
    for size in (10, 60, 300):
        fit = Landmarks(size).fit(KERNEL, X, y[:, 0], 1e-6)
        assert fit.solution.value.shape == (size,)
        errors.append(float(np.mean((fit.predict(X) - y[:, 0]) ** 2)))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


@pytest.mark.parametrize("method", ["direct", "iterative"])
def test_float32_points_agree_with_float64_at_the_ridge_that_is_stated(method):
    X, y, _ = data(2000)
    ridge = 1e-7 * 2000
    found = [
        Landmarks(200, method=method).fit(Gaussian(3.0), X.astype(dtype), y, ridge).predict(X.astype(dtype)[:100])
        for dtype in (np.float32, np.float64)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-2)


def test_the_choice_can_be_asked():
    assert Landmarks(1000).decide(100_000).method == "direct"
    assert Landmarks(10_000, memory_limit="64 GiB").decide(3_000_000).method == "iterative"
    several = Landmarks(10_000, memory_limit="64 GiB").decide(3_000_000, ridges=20)
    assert several.method == "direct"
    assert "20 ridges" in several.why
    assert Landmarks(100, method="iterative").decide(1000).method == "iterative"
    assert "as asked" in Landmarks(100, method="iterative").decide(1000).why
    with pytest.raises(MemoryLimitExceeded, match=r"At most [\d,]+ landmarks fit"):
        Landmarks(20_000, memory_limit="1 GiB").decide(1_000_000)


def test_bad_arguments_are_refused():
    for name, value in (
        ("size", 0),
        ("seed", -1),
        ("tolerance", 2.0),
        ("max_steps", 0),
        ("candidates", 0),
    ):
        with pytest.raises(InvalidInput, match=name):
            Landmarks(**{name: value})
    X, y, _ = data()
    with pytest.raises(InvalidInput, match="y must have shape"):
        Landmarks(10).fit(KERNEL, X, y[:5], 1e-3)
    with pytest.raises(InvalidInput, match="y must have shape"):
        Landmarks(10, method="iterative").fit(KERNEL, X, y[:5], 1e-3)
