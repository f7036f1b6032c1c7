"""Block conjugate gradients against dense solutions, and the number of steps that theory gives."""

import numpy as np
import pytest
import torch

from widenet.errors import NotPositiveDefinite
from widenet.linalg.conjugate_gradient import block_conjugate_gradient, first_iterate


def system(eigenvalues: np.ndarray, outputs: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(generator.normal(size=(len(eigenvalues), len(eigenvalues))))
    return torch.from_numpy(Q * eigenvalues @ Q.T), torch.from_numpy(generator.normal(size=(len(eigenvalues), outputs)))


def same(r: torch.Tensor) -> torch.Tensor:
    return r


@pytest.mark.parametrize("outputs", [1, 4])
def test_the_solution_is_the_dense_one(outputs):
    A, y = system(np.logspace(-3, 1, 80), outputs)
    found = block_conjugate_gradient(lambda v: A @ v, same, y, (1e-10, 500))
    assert found.residual <= 1e-10
    assert found.residual == pytest.approx(float(((A @ found.value - y).norm(dim=0) / y.norm(dim=0)).max()), rel=1e-3)
    torch.testing.assert_close(found.value, torch.linalg.solve(A, y), rtol=0, atol=1e-4)


def test_as_many_steps_as_distinct_eigenvalues_are_enough():
    A, y = system(np.repeat([1.0, 3.0, 10.0, 50.0], 10), 1)
    assert block_conjugate_gradient(lambda v: A @ v, same, y, (1e-10, 500)).steps == 4


def test_a_block_takes_fewer_steps_than_its_columns():
    A, y = system(np.logspace(-2, 1, 60), 12)
    block = block_conjugate_gradient(lambda v: A @ v, same, y, (1e-8, 500))
    single = max(block_conjugate_gradient(lambda v: A @ v, same, y[:, [i]], (1e-8, 500)).steps for i in range(12))
    assert block.residual <= 1e-8
    assert block.steps <= 60 / 12 + 1  # the block spans 12 dimensions a step
    assert block.steps < single / 3


def test_a_preconditioner_that_is_the_inverse_takes_one_step():
    A, y = system(np.logspace(-6, 2, 50), 3)
    inverse = torch.linalg.inv(A)
    found = block_conjugate_gradient(lambda v: A @ v, lambda r: inverse @ r, y, (1e-8, 50))
    assert found.steps <= 2
    assert found.residual <= 1e-8


def test_equal_zero_and_dependent_targets_do_not_break_it_down():
    A, y = system(np.logspace(-2, 1, 40), 2)
    targets = torch.stack([y[:, 0], y[:, 0], y[:, 1], torch.zeros(40).double(), y[:, 0] - 1e-13 * y[:, 1]], dim=1)
    widths = []

    def product(v: torch.Tensor) -> torch.Tensor:
        widths.append(v.shape[1])
        return A @ v

    found = block_conjugate_gradient(product, same, targets, (1e-9, 200))
    assert found.residual <= 1e-9
    assert widths[0] == 2
    torch.testing.assert_close(found.value, torch.linalg.solve(A, targets), rtol=0, atol=1e-5)
    nothing = block_conjugate_gradient(product, same, torch.zeros(40, 2).double(), (1e-9, 200))
    assert nothing.residual == 0.0
    assert not nothing.value.any()


def test_it_goes_on_from_any_iterate():
    A, y = system(np.logspace(-3, 1, 60), 2)
    seen = []
    whole = block_conjugate_gradient(lambda v: A @ v, same, y, (1e-9, 500), watch=seen.append)
    assert [iterate.steps for iterate in seen] == list(range(1, whole.steps + 1))
    rest = block_conjugate_gradient(lambda v: A @ v, same, y, (1e-9, 500), start=seen[9])
    assert rest.steps == whole.steps
    torch.testing.assert_close(rest.value, whole.value, rtol=1e-12, atol=1e-12)
    assert first_iterate(y, same).estimate == pytest.approx(float(y.norm(dim=0).max()))


def test_too_few_steps_are_told_by_the_residual_and_indefinite_matrices_are_refused():
    A, y = system(np.logspace(-3, 1, 60), 1)
    short = block_conjugate_gradient(lambda v: A @ v, same, y, (1e-9, 3))
    assert short.steps == 3
    assert short.residual == pytest.approx(float((A @ short.value - y).norm() / y.norm()))
    assert short.residual > 1e-9
    B, y = system(np.array([-5.0, *np.ones(30)]), 2)
    with pytest.raises(NotPositiveDefinite, match="larger ridge"):
        block_conjugate_gradient(lambda v: B @ v, same, y, (1e-9, 100))


def test_the_residual_is_the_true_one_where_the_recurrence_drifts():
    A, y = system(np.logspace(-7, 4, 100), 1)
    noisy = A.to(torch.float32).to(torch.float64)

    def product(v: torch.Tensor) -> torch.Tensor:
        return (A.to(torch.float32) @ v.to(torch.float32)).to(torch.float64)

    found = block_conjugate_gradient(product, same, y, (1e-10, 300))
    true = float((noisy @ found.value - y).norm() / y.norm())
    assert found.residual == pytest.approx(true, rel=0.5, abs=1e-3)
    assert found.residual > 1e-10
