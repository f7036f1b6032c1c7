"""The map that stretches the directions a target depends on."""

import numpy as np
import pytest

from widenet.errors import InvalidInput
from widenet.estimators import GaussianProcess, KernelClassifier, KernelRegressor, load
from widenet.estimators.relevance import relevance, with_relevance
from widenet.estimators.scaler import Scaler
from widenet.estimators.selection import Problem
from widenet.kernels import Laplace

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 6))
Y = np.sin(X[:, 0] - X[:, 1])
DIRECTION = np.array([1.0, -1.0, 0.0, 0.0, 0.0, 0.0]) / np.sqrt(2)


def problem(rows=X, target=Y):
    centred = (target - target.mean()).reshape(len(target), -1)
    return Problem(rows, centred, np.ones(len(rows)))


def test_the_direction_of_the_target_is_stretched_most():
    found = relevance(problem(X / np.sqrt(6)))
    left, values, _ = np.linalg.svd(found)
    assert values[0] == pytest.approx(1.0)
    assert abs(left[:, 0] @ DIRECTION) > 0.99
    assert values[1] < 0.5


def test_the_scales_of_columns_matter_little():
    scaled = X * [1.0, 1.0, 8.0, 0.1, 1.0, 1.0] / 8
    for rows in (scaled, X / np.sqrt(6)):
        turned = rows @ relevance(problem(rows))
        # The share of the variance beside the target's own direction: 0.98 and 5 / 6 before.
        beside = turned - np.outer(X @ DIRECTION, (X @ DIRECTION) @ turned / np.square(X @ DIRECTION).sum())
        assert np.var(beside, axis=0).sum() < 0.5 * np.var(turned, axis=0).sum()


def test_the_mean_squared_norm_stays():
    plain = Scaler.fit(X, np.ones(400), standardize=True)
    turned = with_relevance(plain, problem())
    assert turned.norm(X, np.ones(400)) == pytest.approx(plain.norm(X, np.ones(400)), rel=1e-12)
    np.testing.assert_allclose(turned.transform(X, np.float64), plain.transform(X, np.float64) @ turned.turn)


@pytest.mark.parametrize("solver", ["exact", "landmarks"])
def test_it_helps_where_few_directions_matter(solver, tmp_path):
    rows = RNG.normal(size=(300, 6))
    scores = {}
    for standardize in (True, "relevance"):
        model = KernelRegressor(Laplace(4.0), solver=solver, standardize=standardize).fit(X, Y)
        scores[standardize] = model.score(rows, np.sin(rows[:, 0] - rows[:, 1]))
    assert 1 - scores["relevance"] < 0.5 * (1 - scores[True])
    model.save(tmp_path / "model")
    assert np.array_equal(load(tmp_path / "model").predict(rows), model.predict(rows))


def test_classes_have_relevance_too():
    model = KernelClassifier(Laplace(4.0), standardize="relevance").fit(X, Y > 0)
    stretched = np.linalg.norm(model.scaler_.turn @ DIRECTION)
    assert stretched > 1.5 * np.linalg.norm(model.scaler_.turn[:, 5])


def test_a_process_has_none():
    with pytest.raises(InvalidInput, match="standardize"):
        GaussianProcess(Laplace(4.0), standardize="relevance").fit(X, Y)
