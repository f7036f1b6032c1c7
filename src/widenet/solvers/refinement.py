"""Refinement of a solution in float64 with an approximate factor as the preconditioner."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from widenet.solvers.base import Product


@dataclass(frozen=True)
class Refined:
    """A refined solution: coefficients, largest relative residual over the outputs, steps taken."""

    value: Float[Tensor, "n outputs"]
    residual: float
    steps: int


def refine(
    product: Product, precondition: Product, y: Float[Tensor, "n outputs"], tolerance: float, max_steps: int
) -> Refined:
    """Solve A a = y for every output by flexible conjugate gradients, residuals in float64.

    The first step is the direct solution by the factor; each further step shrinks the residual about
    as much as iterative refinement where that works, and still converges where the factor is too
    rough for it (Notay 2000, the form of beta that allows an inexact preconditioner).

    Args:
        product: a -> A a in float64.
        precondition: r -> an approximation of A^-1 r, symmetric positive definite.
        y: Targets.
        tolerance: Goal for |A a - y| / |y|.
        max_steps: Most steps.

    Cost:
        One product and one preconditioner a step, one product more to measure the true residual.
    """
    norm = torch.linalg.vector_norm(y, dim=0)
    norm = torch.where(norm > 0, norm, torch.ones_like(norm))
    target = y / norm
    value, best = torch.zeros_like(target), torch.zeros_like(target)
    residual, smallest = target.clone(), 1.0
    step, direction, old, energy = 0, None, residual, torch.ones_like(norm)
    while step < max_steps:
        z = precondition(residual)
        new_energy = (residual * z).sum(0)
        conjugation = ((residual - old) * z).sum(0) / _nonzero(energy)
        direction = z if direction is None else z + conjugation * direction
        image = product(direction)
        curvature = (direction * image).sum(0)
        # A column that is solved has no direction left; one of negative curvature has no minimiser.
        alpha = torch.where(curvature > 0, new_energy / _nonzero(curvature), torch.zeros_like(curvature))
        value = value + alpha * direction
        old, energy = residual, new_energy
        residual = residual - alpha * image
        step += 1
        estimate = float(torch.linalg.vector_norm(residual, dim=0).max())
        if estimate > 0.5 * tolerance and bool((curvature >= 0).all()) and step < max_steps:
            continue
        residual = target - product(value)
        true = float(torch.linalg.vector_norm(residual, dim=0).max())
        improved = true < 0.5 * smallest
        if true < smallest:
            smallest, best = true, value.clone()
        if true <= tolerance or not improved:
            break
        direction = None  # the recurrence has drifted from the true residual: start again from it
    return Refined(best * norm, smallest if step else 1.0, step)


def _nonzero(values: Tensor) -> Tensor:
    return torch.where(values != 0, values, torch.ones_like(values))
