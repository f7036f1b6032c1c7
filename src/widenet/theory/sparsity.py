"""Networks of units with a threshold: how many are active, and how well their kernel is conditioned."""

from dataclasses import dataclass
from math import isfinite, log, sqrt
from numbers import Real

import numpy as np
import torch
from scipy.linalg import eigh
from scipy.special import ndtr

from widenet._arrays import Array, is_count, read_inputs, row_blocks
from widenet.architectures import ThresholdReLU, sparse_network
from widenet.errors import InvalidInput
from widenet.kernels import NTK, Kernel
from widenet.kernels.duals import dual
from widenet.kernels.moments import pair_moments


@dataclass(frozen=True, eq=False)
class EigenReport:
    """What the Gram matrix H of a kernel says about training on it.

    Attributes:
        kernel: The kernel.
        eigenvalues: Of H, ascending.
        separation: p0 - pmax, p0 the least P(x, x) and pmax the largest P(x, z) of two points, with P the probability
            that both make a unit active; None where the kernel was not given by a threshold. At least this times |v|^2
            is v^T H v for all v with sum over i != j of v_i v_j P_ij of at least -pmax |v|^2, and no lower bound for
            others: it is at least the smallest eigenvalue of P.
        label_energy: y^T H y / |y|^2; the loss falls at this rate first. Several columns of y are added.
        label_complexity: y^T H^-1 y, the squared norm of the function that fits the labels; bounds of the error grow
            with its root.
    """

    kernel: Kernel
    eigenvalues: np.ndarray
    separation: float | None
    label_energy: float
    label_complexity: float

    @property
    def smallest(self) -> float:
        """Smallest eigenvalue of H."""
        return float(self.eigenvalues[0])

    @property
    def condition_number(self) -> float:
        """Largest eigenvalue over the smallest; infinite where that is not above rounding."""
        rounding = len(self.eigenvalues) * np.finfo(np.float64).eps * self.eigenvalues[-1]
        return float(self.eigenvalues[-1] / self.smallest) if self.smallest > rounding else float("inf")

    @property
    def step_size(self) -> float:
        """1 / largest eigenvalue, the step of gradient descent on sum (f - y)^2 / 2; it grows with the threshold."""
        return float(1 / self.eigenvalues[-1])


def expected_active_fraction(threshold: float, norms: Array = 1.0) -> Array:
    """Share of hidden units that are active at the start, Q(threshold / |x|).

    Args:
        threshold: B of the units w . x >= B with w ~ N(0, I).
        norms: Norms |x| of the inputs, of any shape.

    Returns:
        The shares, an array of that shape, or a float for one norm; 0 at x = 0 with a positive threshold.

    Raises:
        InvalidInput: On a threshold that is not finite, or a norm that is negative or not finite.

    Example:
        >>> round(expected_active_fraction(1.0), 4)
        0.1587
    """
    threshold = _number("threshold", threshold)
    lengths = np.asarray(norms, np.float64)
    if not np.all(np.isfinite(lengths)) or np.any(lengths < 0):
        raise InvalidInput("norms must be finite and at least 0", repr(norms))
    # 0 / 0: a unit without input and threshold is at its kink, where w . x >= B holds.
    levels = np.divide(threshold, lengths, out=np.full(lengths.shape, np.inf), where=lengths > 0)
    shares = ndtr(np.where((lengths == 0) & (threshold <= 0), np.inf, -levels))
    return float(shares) if shares.ndim == 0 else shares


def choose_threshold(width: int, alpha: float) -> float:
    """Threshold sqrt(alpha ln(width)), which leaves at most width^(1 - alpha / 2) / 2 units active for |x| = 1.

    The bound is Q(B) <= exp(-B^2 / 2) / 2; the share itself, `expected_active_fraction`, is some three times smaller.

    Args:
        width: Number m of hidden units, at least 2.
        alpha: From 0, where half of the units are active, to 2, where hardly one is; 0.4 gives m^(4/5).

    Returns:
        The threshold.

    Raises:
        InvalidInput: On another width or alpha.

    Example:
        >>> threshold = choose_threshold(10_000, alpha=0.4)
        >>> round(threshold, 3), round(10_000 * expected_active_fraction(threshold), 1)
        (1.919, 274.7)
    """
    if not is_count(width, 2):
        raise InvalidInput("width must be a whole number of units, 2 or more", repr(width))
    alpha = _number("alpha", alpha)
    if not 0 <= alpha <= 2:
        raise InvalidInput("alpha must lie between 0 and 2", repr(alpha), "Beyond 2 less than one unit is active")
    return sqrt(alpha * log(width))


@dataclass(frozen=True)
class SparseCost:
    """What a step of training on threshold units costs, at their start, on inputs of norm 1.

    Attributes:
        active_fraction: Share Q(B) of active pairs of unit and point.
        active_pairs: Their number n m Q(B).
        units_per_point: m Q(B), the width that counts: the kernel fluctuates by 1 / sqrt(m Q(B)), relative to it, and
            has to be far above n for training to stay near it.
        operations: Multiplications of a step that touches active pairs only, forward and backward, 2 (d + 1) each.
        dense_operations: Those of a step that computes every unit for every point.
    """

    active_fraction: float
    active_pairs: float
    units_per_point: float
    operations: float
    dense_operations: int


def sparse_cost(points: int, fan_in: int, width: int, threshold: float) -> SparseCost:
    """Cost of a step of full-batch gradient descent on threshold units, against that of dense training.

    A trainer also has to find out which pairs become active: `SparseRun.operations` counts what it did.

    Args:
        points: Number n of training points.
        fan_in: Their number d of channels.
        width: Number m of hidden units.
        threshold: B.

    Returns:
        The cost.

    Raises:
        InvalidInput: On sizes that are no whole numbers from 1, or a threshold that is not finite.

    Example:
        >>> cost = sparse_cost(points=100, fan_in=20, width=8192, threshold=2.0)
        >>> round(cost.active_pairs), round(cost.dense_operations / cost.operations)
        (18637, 44)
    """
    for name, size in (("points", points), ("fan_in", fan_in), ("width", width)):
        if not is_count(size):
            raise InvalidInput(f"{name} must be a whole number from 1", repr(size))
    share, pairs = expected_active_fraction(threshold), points * width
    step = 2 * (fan_in + 1)
    return SparseCost(share, pairs * share, width * share, pairs * share * step, pairs * step)


def eigen_report(X: Array, y: Array, kernel: Kernel | float) -> EigenReport:
    """Eigenvalues of the Gram matrix of a kernel, and how the labels lie to them: the data to choose a threshold by.

    Args:
        X: Points, (n, d), or what the kernel reads.
        y: Labels, (n,) or (n, outputs).
        kernel: A kernel, or the threshold B of `sparse_network`, for its neural tangent kernel.

    Returns:
        The report.

    Raises:
        InvalidInput: If there is not one row of labels for each point, they are all 0 or not finite, or bad points.

    Cost: n^3 for the eigenvalues.

    Example:
        >>> report = eigen_report([[1.0, 0.0], [0.6, 0.8]], [1.0, -1.0], 1.0)
        >>> round(report.condition_number, 3), round(report.step_size, 3)
        (2.153, 2.308)
    """
    inputs = read_inputs(X)
    points = inputs.X.detach().cpu().double()
    labels = read_inputs(np.asarray(y, np.float64).reshape(len(y), -1)).X.numpy()
    if len(labels) != len(points):
        raise InvalidInput("there must be one row of labels for each point", f"{len(labels)} for {len(points)} points")
    if not labels.any():
        raise InvalidInput("labels must not all be 0")
    thresholded = not isinstance(kernel, Kernel)
    network = NTK(sparse_network(kernel)) if thresholded else kernel
    values, vectors = eigh(network(points.numpy()))
    squares = np.square(vectors.T @ labels).sum(1)
    # Zero eigenvalues make the labels unreachable, unless these have no part in their directions.
    reached = np.divide(squares, values, out=np.where(squares > 0, np.inf, 0.0), where=values > 0)
    return EigenReport(
        kernel=network,
        eigenvalues=values,
        separation=_separation(points, float(kernel)) if thresholded else None,
        label_energy=float(squares @ values / squares.sum()),
        label_complexity=float(reached.sum()),
    )


def _separation(points: torch.Tensor, threshold: float) -> float:
    """Least P(x, x) less the largest P(x, z) of two points."""
    norms = torch.linalg.vector_norm(points, dim=1).numpy()
    most, units = 0.0, ThresholdReLU(threshold)
    for rows in row_blocks(len(points), max(1, 2**20 // len(points))):
        moments = pair_moments(points[rows], points, False).scaled(points.shape[1])
        joint = dual(units, moments).derivative
        joint.diagonal(rows.start).zero_()
        most = max(most, float(joint.max()))
    return float(np.min(expected_active_fraction(threshold, norms))) - most


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
        raise InvalidInput(f"{name} must be a finite number", repr(value))
    return float(value)
