"""Laws of every solver: one product of a registry of solvers and the properties that all must have."""

import inspect
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import widenet.solvers
from widenet.errors import InvalidInput, NotPositiveDefinite
from widenet.solvers import Auto, Cholesky, ConjugateGradient, Solver, Spectral

SOLVERS = [Cholesky(), Cholesky(overwrite=True), Cholesky(ridge_scale="absolute"), Spectral(), Auto()]
SOLVERS += [ConjugateGradient(tolerance=5e-11), ConjugateGradient("absolute", 5e-11, rank=3)]
solvers = pytest.mark.parametrize("solver", SOLVERS, ids=repr)


def system(n: int, seed: int, dtype=np.float64, outputs: int = 2) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(n, n + 2))
    return (root @ root.T / n).astype(dtype), generator.normal(size=(n, outputs))


def test_every_solver_is_in_the_registry():
    public = [member for member in vars(widenet.solvers).values() if inspect.isclass(member)]
    found = {member for member in public if issubclass(member, Solver) and member is not Solver}
    assert found == {type(solver) for solver in SOLVERS}


@solvers
@settings(max_examples=15)
@given(
    n=st.integers(1, 40),
    seed=st.integers(0, 10**6),
    ridge=st.floats(1e-4, 10),
    dtype=st.sampled_from([np.float32, np.float64]),
    weighted=st.booleans(),
)
def test_the_system_is_solved(solver, n, seed, ridge, dtype, weighted):
    K, y = system(n, seed, dtype)
    w = np.random.default_rng(seed).uniform(0.2, 4, n) if weighted else None
    diagonal = np.diag(K).astype(np.float64)
    scale = 1.0 if solver.ridge_scale == "absolute" else np.average(diagonal, weights=w)
    full = K.astype(np.float64) + ridge * scale * np.diag(np.ones(n) if w is None else 1 / w)
    solution = solver.solve(K, y, ridge, w)
    residual = np.linalg.norm(full @ solution.value - y, axis=0) / np.linalg.norm(y, axis=0)
    assert solution.converged
    assert solution.residual <= 1e-10
    assert solution.steps >= 1
    assert solution.how
    assert residual.max() <= 2e-10


@solvers
def test_the_solution_is_linear_in_the_targets(solver):
    K, y = system(20, 0)
    other = np.random.default_rng(5).normal(size=y.shape)
    parts = solver.solve(K.copy(), y, 0.1).value + 2 * solver.solve(K.copy(), other, 0.1).value
    np.testing.assert_allclose(solver.solve(K.copy(), y + 2 * other, 0.1).value, parts, rtol=1e-8, atol=1e-10)


@solvers
def test_the_order_of_the_rows_does_not_matter(solver):
    K, y = system(20, 0)
    order = np.random.default_rng(1).permutation(20)
    shuffled = solver.solve(K[np.ix_(order, order)], y[order], 0.1).value
    np.testing.assert_allclose(shuffled, solver.solve(K.copy(), y, 0.1).value[order], rtol=1e-8, atol=1e-10)


@solvers
def test_one_output_is_a_column_of_several(solver):
    K, y = system(20, 0)
    one = solver.solve(K.copy(), y[:, 1], 0.1).value
    assert one.shape == (20,)
    np.testing.assert_allclose(one, solver.solve(K.copy(), y, 0.1).value[:, 1], rtol=1e-9)


@solvers
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_array_kind_of_k_is_kept(solver, dtype):
    K, y = system(10, 0, dtype)
    solution = solver.solve(torch.from_numpy(K.copy()), torch.from_numpy(y), 0.1)
    assert isinstance(solution.value, torch.Tensor)
    assert solution.value.dtype == torch.float64
    np.testing.assert_array_equal(solution.value, solver.solve(K, y, 0.1).value)


@solvers
def test_an_indefinite_matrix_is_refused(solver):
    K, y = system(12, 0)
    with pytest.raises(NotPositiveDefinite, match="ridge"):
        solver.solve(K - 3 * np.eye(12), y, 0.0)


@solvers
@pytest.mark.parametrize("bad", ["y", "K", "ridge", "weights"])
def test_bad_input_is_refused_before_work_starts(solver, bad):
    K, y = system(5, 0)
    given = {"K": K, "y": y, "ridge": 0.1, "weights": np.ones(5)}
    given |= {bad: {"y": np.full(5, np.nan), "K": np.ones((5, 4)), "ridge": -1.0, "weights": np.zeros(5)}[bad]}
    with pytest.raises(InvalidInput):
        solver.solve(**given)


@solvers
def test_repr_evaluates_back_and_pickle_keeps_the_value(solver):
    assert eval(repr(solver), {type(solver).__name__: type(solver)}) == solver
    assert pickle.loads(pickle.dumps(solver)) == solver
