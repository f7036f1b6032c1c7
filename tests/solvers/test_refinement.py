"""Refinement with exact, rough and wrong preconditioners."""

import numpy as np
import torch

from widenet.solvers.refinement import refine


def system(n: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(n, n, generator=generator, dtype=torch.float64)
    return root @ root.T + 0.1 * torch.eye(n, dtype=torch.float64), torch.randn(n, 2, generator=generator).double()


def test_an_exact_preconditioner_takes_one_step():
    A, y = system()
    refined = refine(lambda a: A @ a, lambda r: torch.linalg.solve(A, r), y, 1e-10, 50)
    np.testing.assert_allclose(refined.value, torch.linalg.solve(A, y), rtol=1e-8)
    assert refined.steps == 1


def test_a_rough_preconditioner_still_converges_where_plain_refinement_diverges():
    A, y = system()
    rough = A + torch.diag(torch.linspace(0, 300, len(A), dtype=torch.float64))
    step = torch.eye(len(A), dtype=torch.float64) - 3 * torch.linalg.solve(rough, A)
    assert float(torch.linalg.eigvals(step).abs().max()) > 1
    refined = refine(lambda a: A @ a, lambda r: 3 * torch.linalg.solve(rough, r), y, 1e-10, 500)
    assert refined.residual <= 1e-10
    np.testing.assert_allclose(refined.value, torch.linalg.solve(A, y), rtol=1e-5)


def test_too_few_steps_report_the_residual_that_was_reached():
    A, y = system()
    refined = refine(lambda a: A @ a, lambda r: r, y, 1e-10, 3)
    true = (torch.linalg.vector_norm(A @ refined.value - y, dim=0) / torch.linalg.vector_norm(y, dim=0)).max()
    assert refined.steps == 3
    assert refined.residual > 1e-3
    np.testing.assert_allclose(refined.residual, true, rtol=1e-9)


def test_an_indefinite_matrix_ends_without_claiming_to_have_converged():
    A = torch.diag(torch.tensor([1.0, -1.0, 2.0], dtype=torch.float64))
    y = torch.tensor([[0.1], [1.0], [0.1]], dtype=torch.float64)
    refined = refine(lambda a: A @ a, lambda r: r, y, 1e-10, 100)
    assert refined.residual > 1e-3
