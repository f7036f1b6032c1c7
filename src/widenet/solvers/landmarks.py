"""Kernel ridge on a few thousand landmarks: time in proportion to the rows, memory that does not grow with them."""

from dataclasses import dataclass
from numbers import Real
from typing import Literal

import numpy as np
import torch

from widenet._arrays import Array, format_bytes, is_count, parse_memory
from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.kernels.base import Kernel
from widenet.linalg.landmark_basis import LandmarkBasis, choose_landmarks
from widenet.solvers.base import RidgeScale, Solution, absolute_ridge, read_targets, read_weights
from widenet.solvers.landmark_equations import LandmarkEquations, LandmarkFit, LandmarkPath
from widenet.solvers.landmark_iteration import CentredRows, iterate

Method = Literal["direct", "iterative"]

# Seconds on two cores: a row's pair of features in the sums, a value of the kernel in one step, a flop of the rest.
_PAIR, _ENTRY, _SOLVE = 3.1e-11, 3e-9, 1.2e-11
_STEPS = 20  # that conjugate gradients usually take to 1e-8


@dataclass(frozen=True)
class LandmarkDecision:
    """How a fit on landmarks will be done.

    Attributes:
        method: "direct" (normal equations) or "iterative" (conjugate gradients).
        why: The reason, with the numbers.
        seconds: Estimate on two cores of the constants' machine, without the choice of the landmarks.
        memory: Bytes beside the points.
    """

    method: Method
    why: str
    seconds: float
    memory: int


@dataclass(frozen=True)
class Landmarks:
    """Kernel ridge regression over the functions that the kernel at a few landmarks spans.

    f(x) = sum_j a_j K(x, x_j) + b minimises sum_i w_i |y_i - f(x_i)|^2 + ridge |f - b|^2 over all n rows, the norm
    being that of the kernel's space; with landmarks at all points it is kernel ridge regression with an intercept.
    The landmarks are chosen by randomly pivoted Cholesky (`choose_landmarks`).

    The two ways, of which "auto" takes the faster (`decide` tells which, and why):

    - "direct": Z^T W Z is summed over blocks of rows, in float64, and decomposed once. It serves a whole path of
      ridges with GCV and leave-one-out, and sums that are gathered in other places. The least ridge that it can tell
      from 0 is about 1.4e-14 n of the mean of K(x, x).
    - "iterative": conjugate gradients on the same equations, which are never formed; one pass over the rows a step. A
      smaller ridge takes more steps.

    In float32 the features carry an error of up to 6e-8 |L^-1| of the kernel's values, |L^-1| being at most a few
    hundred since landmarks whose residual is rounding are not chosen: ridges below 1e-7 n of the mean of K(x, x)
    belong to points in float64.

    Attributes:
        size: Most landmarks.
        seed: Seed of all choices.
        ridge_scale: "relative" (times the weighted mean of K(x, x)) or "absolute".
        method: "auto", "direct" or "iterative".
        candidates: Rows to choose landmarks from; None means the larger of 4 `size` and 10,000.
        tolerance: Goal for the relative residual of the normal equations in the iterative way.
        max_steps: Most of its steps.
        memory_limit: Bytes or text for all beside the points; None means half of the available memory.

    Raises:
        InvalidInput: On a method that is not one of these, and on numbers that are not whole or in range.

    Cost:
        Direct: n size values of the kernel, 2 n size^2 flops, 9 size^3 flops. Iterative: n size values of the kernel a
        step, about 20 of them, and 16 size^3 flops. Memory: a few times size^2 numbers.

    References:
        Rudi, Carratino and Rosasco 2017, arXiv 1705.10958 (the iterative way).

    Example:
        >>> import numpy as np
        >>> from widenet.kernels import Gaussian
        >>> X = np.random.default_rng(0).uniform(-1, 1, size=(2000, 2))
        >>> fit = Landmarks(size=200).fit(Gaussian(1.0), X, X[:, 0] * X[:, 1], ridge=1e-6)
        >>> bool(abs(fit.predict(X) - X[:, 0] * X[:, 1]).max() < 0.01), fit.solution.how.split(" of")[0]
        (True, 'normal equations')
    """

    size: int = 2048
    seed: int = 0
    ridge_scale: RidgeScale = "relative"
    method: Literal["auto", "direct", "iterative"] = "auto"
    candidates: int | None = None
    tolerance: float = 1e-8
    max_steps: int = 500
    memory_limit: int | float | str | None = None

    def __post_init__(self) -> None:
        for name, least in (("size", 1), ("seed", 0), ("max_steps", 1)):
            if not is_count(getattr(self, name), least):
                given = repr(getattr(self, name))
                raise InvalidInput(f"Landmarks.{name} must be a whole number of at least {least}", given)
        if self.candidates is not None and not is_count(self.candidates):
            raise InvalidInput(
                "Landmarks.candidates must be None or a whole number of at least 1", repr(self.candidates)
            )
        if self.method not in ("auto", "direct", "iterative"):
            raise InvalidInput("Landmarks.method must be 'auto', 'direct' or 'iterative'", repr(self.method))
        if not isinstance(self.tolerance, Real) or not 0 < self.tolerance < 1:
            raise InvalidInput("Landmarks.tolerance must lie between 0 and 1", repr(self.tolerance))

    def fit(self, kernel: Kernel, X: Array, y: Array, ridge: float, weights: Array | None = None) -> LandmarkFit:
        """Choose landmarks and solve for one ridge.

        Args:
            kernel: Kernel.
            X: Points, (n, ...), NumPy or torch.
            y: Targets, (n,) or (n, outputs).
            ridge: Ridge of at least 0.
            weights: Positive weights, (n,), or None for ones.

        Raises:
            InvalidInput: On points or shapes that do not fit.
            MemoryLimitExceeded: Where the landmarks do not fit in the memory limit.
            NotPositiveDefinite: In the iterative way, where the ridge is below rounding.
        """
        outputs = 1 if np.ndim(y) == 1 else np.shape(y)[-1]
        decision = self.decide(len(X), outputs=outputs)
        if decision.method == "direct":
            return self.path(kernel, X, y, [ridge], weights).fit(0)
        basis = self.basis(kernel, X)
        inputs = basis.read(X)
        target = read_targets(y, len(inputs.X), inputs.X.device)
        weight = read_weights(weights, len(target), target.device)
        diagonal = kernel._diagonal(inputs.X).detach().to(torch.float64)
        absolute = absolute_ridge(ridge, self.ridge_scale, diagonal, weight)
        rows = CentredRows(basis, inputs.X.detach(), torch.ones_like(diagonal) if weight is None else weight)
        found = iterate(rows, target, absolute, (self.tolerance, self.max_steps), self.seed)
        value, reached = basis.coefficients(found.weights.cpu()), found.reached
        how = f"conjugate gradients in {reached.steps} steps on {basis.rank} landmarks"
        value = value[:, 0] if np.ndim(y) == 1 else value
        converged = reached.residual <= self.tolerance
        solution = Solution(value.numpy(), converged, reached.residual, reached.steps, how)
        return LandmarkFit(basis, solution, found.intercepts.cpu().numpy(), absolute)

    def path(self, kernel: Kernel, X: Array, y: Array, ridges: Array, weights: Array | None = None) -> LandmarkPath:
        """Choose landmarks and solve for several ridges in the direct way; arguments as in `fit`.

        Raises:
            InvalidInput: On points or shapes that do not fit.
            MemoryLimitExceeded: Where the landmarks do not fit in the memory limit.
        """
        basis = self.basis(kernel, X)
        target = read_targets(y, len(X), torch.device("cpu"))
        weight = read_weights(weights, len(target), target.device)
        equations = LandmarkEquations(basis, target.shape[1])
        columns = target[:, 0] if np.ndim(y) == 1 else target
        return equations.add(X, columns, weight).ridge_path(ridges, self.ridge_scale)

    def basis(self, kernel: Kernel, X: Array) -> LandmarkBasis:
        """The landmarks among these points: for `LandmarkEquations`, which then take rows from anywhere."""
        limit = parse_memory(self.memory_limit)
        return choose_landmarks(kernel, X, self.size, self.seed, candidates=self.candidates, memory_limit=limit)

    def decide(self, n: int, *, outputs: int = 1, ridges: int = 1) -> LandmarkDecision:
        """The way for so many rows, before any memory is taken.

        Args:
            n: Rows.
            outputs: Columns of y.
            ridges: Ridges that will be asked: only the direct way has several.

        Raises:
            MemoryLimitExceeded: Where neither way fits.
        """
        m, limit = min(self.size, n), parse_memory(self.memory_limit)
        direct = n * m * m * _PAIR + 9 * m**3 * _SOLVE
        step = n * m * _ENTRY * (1 + 0.1 * outputs)
        iterative = ridges * _STEPS * step + 16 * m**3 * _SOLVE
        memory = 8 * m * (4 * m + 8 * outputs) + 3 * 2**26
        if memory > limit:
            raise MemoryLimitExceeded(
                f"{m:,} landmarks need {format_bytes(memory)}",
                f"a memory limit of {format_bytes(limit)}",
                f"At most {int(max(0, limit - 3 * 2**26) / 32) ** 0.5:,.0f} landmarks fit",
            )
        asked = self.method != "auto" or ridges > 1
        method: Method = "direct" if ridges > 1 or direct <= iterative else "iterative"
        if self.method == "direct" or (self.method == "iterative" and ridges == 1):
            method = self.method
        about = f"about {direct:.3g} s for the normal equations, {iterative:.3g} s for conjugate gradients"
        why = f"{n:,} rows, {m:,} landmarks, {ridges} ridge{'s' * (ridges > 1)}: {about}" + ", as asked" * asked
        return LandmarkDecision(method, why, direct if method == "direct" else iterative, memory)
