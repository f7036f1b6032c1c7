"""Active pairs that are followed, against all pairs computed anew at every step."""

import numpy as np
import pytest

from widenet.networks.active_units import ActiveUnits

RANDOM = np.random.default_rng(4)


def problem(n: int, m: int, d: int = 6, threshold: float = 1.0):
    X = RANDOM.standard_normal((n, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    parameters = np.column_stack([RANDOM.standard_normal((m, d)), np.full(m, threshold)])
    return parameters, RANDOM.choice([-1.0, 1.0], m), X


@pytest.mark.parametrize(("n", "m"), [(40, 300), (700, 900)])
@pytest.mark.parametrize("speed", [0.02, 0.5])
def test_every_step_is_that_of_all_pairs(n: int, m: int, speed: float):
    parameters, signs, X = problem(n, m)
    Z = np.column_stack([X, -np.ones(n)])
    units = ActiveUnits(parameters, signs, X)
    for step in range(12):
        values = parameters @ Z.T
        assert np.array_equal(units.pattern().toarray() == 1, values > 0)
        assert units.count == np.sum(values > 0)
        np.testing.assert_allclose(units.sums, signs @ np.maximum(values, 0), atol=1e-9)
        # Movements of any size, and directions that turn: lists must not lose a pair.
        residuals = RANDOM.standard_normal(n) * speed * 0.8**step / np.sqrt(n)
        units.descend(residuals, 0.7)
        parameters = parameters - 0.7 * signs[:, None] * ((values > 0) * residuals) @ Z
        np.testing.assert_allclose(units.parameters, parameters, atol=1e-10)


def test_products_with_the_tangent_kernel():
    parameters, signs, X = problem(30, 200)
    Z = np.column_stack([X, -np.ones(30)])
    active = (parameters @ Z.T > 0).astype(float)
    vector = RANDOM.standard_normal(30)
    expected = (Z @ Z.T * (active.T @ active)) @ vector
    np.testing.assert_allclose(ActiveUnits(parameters, signs, X).tangent_product(vector), expected, rtol=1e-10)


def test_units_that_are_silent_stay_and_cost_nothing():
    parameters, signs, X = problem(20, 64, threshold=50.0)
    units = ActiveUnits(parameters, signs, X)
    before = units.products
    assert before == 64 * 20
    units.descend(np.ones(20), 1.0)
    assert units.products == before
    assert units.count == 0
    np.testing.assert_array_equal(units.parameters, parameters)


def test_small_steps_look_at_little_more_than_the_active_pairs():
    parameters, signs, X = problem(500, 400, threshold=1.5)
    units = ActiveUnits(parameters, signs, X)
    units.descend(1e-6 * np.ones(500), 1.0)
    before = units.products
    units.descend(1e-6 * np.ones(500), 1.0)
    assert 2 * units.count <= units.products - before < 2.1 * units.count


def test_precision_is_kept_and_arguments_are_not_changed():
    parameters, signs, X = (array.astype(np.float32) for array in problem(20, 64))
    copies = parameters.copy(), X.copy()
    units = ActiveUnits(parameters, signs, X)
    units.descend(np.ones(20), 0.1)
    assert units.parameters.dtype == np.float32
    assert units.sums.dtype == np.float64
    np.testing.assert_array_equal(parameters, copies[0])
    np.testing.assert_array_equal(X, copies[1])
