"""Preconditioned block conjugate gradients: all right-hand sides share their search directions."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from widenet.errors import NotPositiveDefinite

_DEPENDENT = 1e-10  # singular value, relative to the largest, below which a direction lies in the span of the others
_CLOSE = 0.9  # of the tolerance: the estimate by the recurrence drifts from the true residual by far less
_INDEFINITE = 1e-8  # share of |A p| by which p^T A p of a semi-definite A does not go below 0, for any p but noise

Product = Callable[[Float[Tensor, "n k"]], Float[Tensor, "n k"]]


@dataclass(frozen=True, eq=False)
class Iterate:
    """Everything that the next step needs.

    Attributes:
        value: Coefficients so far, (n, outputs), for targets of length 1.
        residual: y - A value by the recurrence, (n, outputs).
        directions: Search directions, (n, p), p at most the number of outputs.
        steps: Steps taken.
        restarted: Residual, measured, from which the directions were last started anew; infinity at first.
    """

    value: Float[Tensor, "n outputs"]
    residual: Float[Tensor, "n outputs"]
    directions: Float[Tensor, "n p"]
    steps: int
    restarted: float

    @property
    def estimate(self) -> float:
        """Largest length of the residual over the outputs, by the recurrence."""
        return float(torch.linalg.vector_norm(self.residual, dim=0).max())


@dataclass(frozen=True, eq=False)
class Reached:
    """Where the steps ended: coefficients, the largest relative residual, measured, and the steps."""

    value: Float[Tensor, "n outputs"]
    residual: float
    steps: int


def block_conjugate_gradient(
    product: Product,
    precondition: Product,
    y: Float[Tensor, "n outputs"],
    limits: tuple[float, int],
    *,
    start: Iterate | None = None,
    watch: Callable[[Iterate], None] | None = None,
) -> Reached:
    """Solve A a = y for all outputs at once, A symmetric positive definite.

    A step multiplies A with a block P of at most as many directions as there are outputs, and minimises the error in
    the norm of A over all of them for every output:
    a += P (P^T A P)^-1 P^T r, then P = orth(z - P (P^T A P)^-1 (A P)^T z) with z the preconditioned residual.
    Directions that have become dependent, as when outputs are equal or have been solved, are dropped, so that
    P^T A P stays regular. The residual of the recurrence drifts from the true one by rounding: where it says that the
    tolerance is reached, y - A a is measured, and the directions start anew from it where it is larger.

    Args:
        product: v -> A v in float64.
        precondition: r -> an approximation of A^-1 r, symmetric positive definite.
        y: Targets.
        limits: Goal for the largest |A a - y| / |y| over the outputs, and most steps.
        start: Iterate to go on from.
        watch: Told every iterate.

    Raises:
        NotPositiveDefinite: Where a direction of negative curvature is met.

    Cost:
        One product and one application of the preconditioner to a block a step, one product more to measure the
        residual at the end; 6 n (outputs) float64 numbers of memory.

    References:
        O'Leary 1980, "The block conjugate gradient algorithm and related methods"; Ji and Li 2017,
        "A breakdown-free block conjugate gradient method" (dropping dependent directions).
    """
    tolerance, most = limits
    norm = torch.linalg.vector_norm(y, dim=0)
    norm = torch.where(norm > 0, norm, torch.ones_like(norm))
    target = y / norm
    now = first_iterate(target, precondition) if start is None else start
    best, smallest = now.value, float("inf")
    while now.directions.shape[1]:
        if now.steps < most:
            now = _step(product, precondition, now)
            if watch is not None:
                watch(now)
            if now.estimate > _CLOSE * tolerance and now.steps < most and now.directions.shape[1]:
                continue
        residual = target - product(now.value)
        lengths = torch.linalg.vector_norm(residual, dim=0)
        true = float(lengths.max())
        improved = true < 0.5 * now.restarted
        if true <= smallest:
            smallest, best = true, now.value
        if true <= tolerance or not improved or now.steps >= most:
            break
        now = Iterate(now.value, residual, _independent(precondition(residual)), now.steps, true)
    # Without directions from the start all targets are 0, and so is the residual.
    return Reached(best * norm, smallest if smallest < float("inf") else now.estimate, now.steps)


def first_iterate(target: Float[Tensor, "n outputs"], precondition: Product) -> Iterate:
    """The start from 0, for targets of length 1 or 0."""
    return Iterate(torch.zeros_like(target), target, _independent(precondition(target)), 0, float("inf"))


def _step(product: Product, precondition: Product, now: Iterate) -> Iterate:
    P = now.directions
    image = product(P)
    inverse = _positive_inverse(P.T @ image, float(torch.linalg.vector_norm(image, dim=0).max()))
    move = inverse @ (P.T @ now.residual)
    residual = now.residual - image @ move
    z = precondition(residual)
    directions = _independent(z - P @ (inverse @ (image.T @ z)))
    return Iterate(now.value + P @ move, residual, directions, now.steps + 1, now.restarted)


def _positive_inverse(curvature: Tensor, scale: float) -> Tensor:
    """Inverse of P^T A P on its positive part, P orthonormal: a direction of no curvature has no minimum along it.

    Raises:
        NotPositiveDefinite: Where a curvature is negative beside the length of A P.
    """
    lowest = float(torch.linalg.eigvalsh((curvature + curvature.T) / 2)[0])
    if lowest < -_INDEFINITE * scale:
        raise NotPositiveDefinite(
            "conjugate gradients need a positive definite matrix",
            f"a direction of curvature {lowest:.2g}, along which the matrix has length {scale:.2g}",
            "Give a larger ridge, or points in float64 where they are float32",
        )
    scales = curvature.diagonal().abs().clamp_min(torch.finfo(torch.float64).tiny).rsqrt()
    s, V = torch.linalg.eigh((curvature + curvature.T) / 2 * scales[:, None] * scales)
    positive = s > 1e-14 * s[-1].abs()
    V = V[:, positive] * scales[:, None]
    return (V / s[positive]) @ V.T


def _independent(vectors: Tensor) -> Tensor:
    """Orthonormal basis of the span of some vectors, each counted at length 1."""
    length = torch.linalg.vector_norm(vectors, dim=0)
    vectors = vectors[:, length > 0] / length[length > 0]
    if vectors.shape[1] <= 1:
        return vectors
    Q, R = torch.linalg.qr(vectors)
    U, s, _ = torch.linalg.svd(R)
    return Q @ U[:, s > _DEPENDENT * s[0]]
