"""Gradient descent on a network of threshold units that touches only active pairs of unit and sample."""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse

from widenet.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """What one training run did.

    Attributes:
        losses: Loss before each step and at the end, the mean of (f - y)^2 / 2.
        active: Share of active pairs of unit and sample, at the same times.
        flipped: Share of pairs whose activity at the end differs from that at the start.
        operations: Multiplications, each with an addition, that were done.
        dense_operations: The same for a trainer that computes every unit for every sample, forward and backward.
        converged: Whether the loss was reached.
    """

    losses: tuple[float, ...]
    active: tuple[float, ...]
    flipped: float
    operations: int
    dense_operations: int
    converged: bool

    @property
    def steps(self) -> int:
        """Steps of gradient descent."""
        return len(self.losses) - 1


@dataclass(frozen=True)
class Training:
    """Full-batch gradient descent on f(x) = m^(-1/2) sum_r a_r max(w_r . x - b_r, 0).

    w_r ~ N(0, I), b_r = B, a_r = +-1 and fixed; w and b are trained. The second half of the units copies the first with
    the opposite sign, so that f = 0 at the start.

    Attributes:
        threshold: B.
        width: m, even.
        step: Size of the steps; 1 / largest eigenvalue of the kernel's Gram matrix, for example.
        target: Mean loss to stop at.
        margin: Distance from their threshold in which pairs are looked at in every step; moves cost, not results.
        most_steps: Steps to give up after.
        seed: Of the weights.
    """

    threshold: float
    width: int
    step: float
    target: float = 1e-3
    margin: float = 0.1
    most_steps: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.width < 2 or self.width % 2:
            raise InvalidInput("the width must be even: the second half mirrors the first", repr(self.width))
        if not 0 < self.step < inf or self.target <= 0 or self.margin <= 0:
            raise InvalidInput("step, target and margin must be positive", repr(self))

    def run(self, X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> TrainingRun:
        """Train until the loss is reached, on sum (f - y)^2 / 2. The active pairs are known exactly at every step.

        Training ends without convergence after `most_steps`, where the loss overflows, and where no unit is active.

        Args:
            X: Points, (n, d).
            y: Targets, (n,).

        Cost:
            (d + 1) (2 active + close + m) operations a step for the numbers of active pairs and of pairs close to their
            threshold, and n (d + 1) for each unit that moved by the margin. A dense trainer takes 2 n m (d + 1).
        """
        Z = np.column_stack([X, -np.ones(len(X))])  # (x, -1) . (w, b) = w . x - b
        parameters, signs = self._start(X.shape[1])
        scaled = signs[:, None] / sqrt(self.width)
        activity = _Activity(parameters, Z, self.margin)
        start = activity.dense()
        losses, shares, operations = [], [], self.width * Z.size
        while True:
            products = activity.transposed_product(scaled * parameters)
            residuals = np.sum(products * Z, axis=1) - y
            losses.append(float(np.mean(residuals**2) / 2))
            shares.append(activity.count / (self.width * len(X)))
            operations += activity.count * Z.shape[1]
            stuck = activity.count == 0 or not losses[-1] < inf
            if losses[-1] <= self.target or len(losses) > self.most_steps or stuck:
                break
            parameters -= self.step * scaled * activity.product(residuals[:, None] * Z)
            operations += activity.count * Z.shape[1] + parameters.size + activity.follow(parameters) * Z.shape[1]
        dense = self.width * Z.size * (2 * len(losses) - 1)
        flipped = float(np.mean(activity.dense() != start))
        return TrainingRun(tuple(losses), tuple(shares), flipped, operations, dense, losses[-1] <= self.target)

    def _start(self, d: int) -> tuple[np.ndarray, np.ndarray]:
        random, half = np.random.default_rng(self.seed), self.width // 2
        weights = random.standard_normal((half, d))
        signs = random.choice([-1.0, 1.0], half)
        parameters = np.column_stack([weights, np.full(half, self.threshold)])
        return np.concatenate([parameters, parameters]), np.concatenate([signs, -signs])


class _Activity:
    """Which units are active for which samples, kept exact while the parameters move.

    A pair with |w . x - b| above margin sqrt(|x|^2 + 1) keeps its side until the parameters of the unit have moved by
    the margin. Only the other, close pairs are looked at in every step, and a unit that has moved so far is computed
    for every sample anew.
    """

    def __init__(self, parameters: np.ndarray, Z: np.ndarray, margin: float) -> None:
        self._Z, self._margin = Z, margin
        self._borders = margin * np.linalg.norm(Z, axis=1)
        self._shape = len(parameters), len(Z)
        self._reference = parameters.copy()
        empty = np.zeros(0, dtype=np.int64)
        self._sure, self._close = (empty, empty), (empty, empty)  # pairs (units, samples)
        self._renew(np.arange(len(parameters)), parameters)
        self._look(parameters)

    @property
    def count(self) -> int:
        """Number of active pairs."""
        return self._sure_matrix.nnz + self._close_matrix.nnz

    def product(self, values: Float[np.ndarray, "n p"]) -> Float[np.ndarray, "m p"]:
        """Sums of rows over the samples that a unit is active for."""
        return self._sure_matrix @ values + self._close_matrix @ values

    def transposed_product(self, values: Float[np.ndarray, "m p"]) -> Float[np.ndarray, "n p"]:
        """Sums of rows over the units that are active for a sample."""
        return self._sure_matrix.T @ values + self._close_matrix.T @ values

    def follow(self, parameters: np.ndarray) -> int:
        """Bring the pattern up to date; returns how many pairs had to be computed."""
        moved = np.sqrt(np.sum((parameters - self._reference) ** 2, axis=1))
        units = np.flatnonzero(moved >= self._margin)
        if len(units):
            self._renew(units, parameters)
        self._look(parameters)
        return len(units) * self._shape[1] + len(self._close[0])

    def dense(self) -> Bool[np.ndarray, "m n"]:
        """The pattern as an array."""
        return (self._sure_matrix + self._close_matrix).toarray() > 0

    def _renew(self, units: np.ndarray, parameters: np.ndarray) -> None:
        """Sort the pairs of some units into sure and close ones by their parameters now."""
        values = parameters[units] @ self._Z.T
        self._reference[units] = parameters[units]
        stale = np.zeros(self._shape[0], dtype=bool)
        stale[units] = True
        self._sure = _replaced(self._sure, stale, units, values > self._borders)
        self._close = _replaced(self._close, stale, units, np.abs(values) <= self._borders)
        self._sure_matrix = self._matrix(*self._sure)

    def _look(self, parameters: np.ndarray) -> None:
        units, samples = self._close
        active = np.einsum("pi,pi->p", parameters[units], self._Z[samples]) >= 0
        self._close_matrix = self._matrix(units[active], samples[active])

    def _matrix(self, units: np.ndarray, samples: np.ndarray) -> sparse.csr_matrix:
        return sparse.csr_matrix((np.ones(len(units)), (units, samples)), shape=self._shape)


def _replaced(
    pairs: tuple[np.ndarray, np.ndarray], stale: np.ndarray, units: np.ndarray, pattern: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (units, samples) without those of stale units, and with those of a new pattern for them."""
    kept, (rows, samples) = ~stale[pairs[0]], np.nonzero(pattern)
    return np.concatenate([pairs[0][kept], units[rows]]), np.concatenate([pairs[1][kept], samples])


def steps_at_infinite_width(H: Float[np.ndarray, "n n"], y: Float[np.ndarray, " n"], step: float, target: float) -> int:
    """Steps t after which y^T (1 - step H)^(2 t) y / (2 n) is at most the target: the infinitely wide network's.

    Args:
        H: Gram matrix of the tangent kernel.
        y: Targets.
        step: Size of the steps, at most 1 / largest eigenvalue.
        target: The mean loss.
    """
    values, vectors = np.linalg.eigh(H)
    parts, rates = (vectors.T @ y) ** 2 / (2 * len(y)), (1 - step * values) ** 2
    if not np.sum(parts[rates >= 1]) <= target:
        raise InvalidInput("the loss must be within reach of the kernel", f"smallest eigenvalue {values[0]:.3g}")
    low, high = 0, 1
    while np.sum(parts * rates**high) > target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if np.sum(parts * rates**middle) > target else (low, middle)
    return high if np.sum(parts) > target else 0
