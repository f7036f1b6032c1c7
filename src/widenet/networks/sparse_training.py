"""Networks of threshold units, and gradient descent on them that touches only active pairs of unit and sample."""

from dataclasses import dataclass
from math import inf, isfinite, sqrt

import numpy as np
import torch
from torch import Tensor, nn

from widenet._arrays import Array, is_count
from widenet.errors import InvalidInput
from widenet.networks.active_units import ActiveUnits
from widenet.networks.descent import read_inputs, read_targets
from widenet.networks.linear_descent import largest_eigenvalue


class SparseReLUNetwork(nn.Module):
    """f(x) = m^(-1/2) sum_r a_r max(w_r . x - b_r, 0), of which few units are active where b starts high.

    w_r ~ N(0, I), b_r = threshold, a_r = +-1 and fixed; w and b are trained. The second half of the units copies the
    first with the opposite sign, so that f = 0 at the start. The kernel tends to NTK(sparse_network(threshold)).
    An ordinary module: any optimiser trains it, and `SparseTraining` does so at the cost of the active pairs.

    Args:
        fan_in: Number d of input channels.
        width: Number m of units, even.
        threshold: B.
        seed: Of the weights.
        dtype: torch.float64 or torch.float32; the same seed gives the same weights, rounded.

    Attributes:
        weight: w, (m, d).
        bias: b, (m,).

    Raises:
        InvalidInput: On an odd width, sizes below 1, a threshold that is not finite, or another dtype.

    References:
        Yang, Jiang, Zhang, Liang and Wang 2023, arXiv 2301.00327.

    Example:
        >>> network = SparseReLUNetwork(fan_in=20, width=1000, threshold=2.0)
        >>> X = torch.eye(20, dtype=torch.float64)
        >>> bool((network(X).abs() < 1e-12).all()), round(network.active_share(X), 2)
        (True, 0.02)
    """

    signs: Tensor

    def __init__(
        self, fan_in: int, width: int, threshold: float, *, seed: int = 0, dtype: torch.dtype = torch.float64
    ) -> None:
        super().__init__()
        if any(not is_count(size) for size in (fan_in, width)):
            raise InvalidInput("fan_in and width must be whole numbers from 1", f"{fan_in!r} and {width!r}")
        if width % 2:
            raise InvalidInput("the width must be even: the second half mirrors the first", repr(width))
        if not isfinite(threshold):
            raise InvalidInput("the threshold must be finite", repr(threshold))
        if dtype not in (torch.float32, torch.float64):
            raise InvalidInput("dtype must be torch.float32 or torch.float64", str(dtype))
        generator, half = torch.Generator().manual_seed(seed), width // 2
        weights = torch.randn((half, fan_in), generator=generator, dtype=torch.float64)
        signs = 2.0 * torch.randint(2, (half,), generator=generator) - 1
        self.weight = nn.Parameter(torch.cat([weights, weights]).to(dtype))
        self.bias = nn.Parameter(torch.full((width,), float(threshold), dtype=dtype))
        self.register_buffer("signs", torch.cat([signs, -signs]).to(dtype))

    def forward(self, X: Tensor) -> Tensor:
        """f(X), (n, 1), for inputs (n, fan_in)."""
        active = torch.relu(torch.addmm(-self.bias, X, self.weight.T))
        return (active @ self.signs / sqrt(len(self.signs)))[:, None]

    @torch.no_grad()
    def active_share(self, X: Tensor) -> float:
        """Share of pairs of unit and input with w . x > b; Q(threshold / |x|) on average at the start."""
        return float((torch.addmm(-self.bias, X, self.weight.T) > 0).double().mean())


@dataclass(frozen=True, eq=False)
class SparseRun:
    """What a training run did.

    Attributes:
        losses: Mean of (f - y)^2 / 2 before each step and at the end.
        active: Share of active pairs of unit and sample, at the same times.
        flipped: Share of pairs whose activity at the end differs from that at the start.
        step_size: The step.
        operations: Multiplications, each with an addition, of products of units and samples.
        dense_operations: The same for training that computes every unit for every sample, forward and backward.
        converged: Whether the loss was reached.
    """

    losses: tuple[float, ...]
    active: tuple[float, ...]
    flipped: float
    step_size: float
    operations: int
    dense_operations: int
    converged: bool

    @property
    def steps(self) -> int:
        """Steps of gradient descent."""
        return len(self.losses) - 1


@dataclass(frozen=True)
class SparseTraining:
    """Full-batch gradient descent on sum (f - y)^2 / 2 of a `SparseReLUNetwork`, at the cost of its active pairs.

    The steps are those of dense training, up to rounding: the active pairs are known exactly at every step.

    Args:
        step: Step size; None for 1 / largest eigenvalue of the network's tangent kernel at the start, by power
            iteration. It grows with the threshold: without that a sparse network would not be as fast as a dense one.
        target: Mean loss to stop at.
        most_steps: Steps to give up after.

    Raises:
        InvalidInput: On a value that is not positive.

    References:
        Yang, Jiang, Zhang, Liang and Wang 2023, arXiv 2301.00327; how active pairs are found is this library's.

    Example:
        >>> X = torch.nn.functional.normalize(torch.randn(30, 10, generator=torch.Generator().manual_seed(1)))
        >>> network = SparseReLUNetwork(10, 4000, threshold=1.5, dtype=torch.float32)
        >>> run = SparseTraining(target=1e-3).run(network, X, torch.sign(X[:, 0]))
        >>> run.converged, run.operations < 0.3 * run.dense_operations
        (True, True)
    """

    step: float | None = None
    target: float = 1e-3
    most_steps: int = 10_000

    def __post_init__(self) -> None:
        if (self.step is not None and not 0 < self.step < inf) or not self.target > 0 or self.most_steps < 1:
            raise InvalidInput("step, target and most_steps must be positive", repr(self))

    @torch.no_grad()
    def run(self, network: SparseReLUNetwork, X: Array, y: Array) -> SparseRun:
        """Train a network in place until the loss is reached.

        Training ends without convergence after `most_steps`, where the loss overflows, and where no unit is active.
        Results do not depend on the number of threads.

        Args:
            network: The network, on the CPU.
            X: Points, (n, fan_in), brought to the network's precision.
            y: Targets, (n,).

        Returns:
            The losses and activity of every step, and the work that was done.

        Raises:
            InvalidInput: On points or targets that do not fit the network, or a network where no unit is active.

        Cost:
            d + 1 multiplications for each active pair, backward, and for each candidate, forward; n (d + 1) at the
            speed of a matrix product for each unit that moved beyond what its candidates allow.
        """
        points = read_inputs(X, network.weight)
        targets = read_targets(y, "squared", network.bias.double(), len(points))
        if points.ndim != 2 or points.shape[1] != network.weight.shape[1] or targets.shape[1] != 1:
            shapes = f"{tuple(points.shape)} and {tuple(targets.shape)}"
            raise InvalidInput(f"X must be (n, {network.weight.shape[1]}) and y (n,)", f"shapes {shapes}")
        parameters = torch.cat([network.weight, network.bias[:, None]], 1).numpy()
        units = ActiveUnits(parameters, network.signs.numpy(), points.numpy())
        run = self._descend(units, targets[:, 0].numpy(), sqrt(len(parameters)))
        trained = torch.from_numpy(units.parameters)
        network.weight.copy_(trained[:, :-1])
        network.bias.copy_(trained[:, -1])
        return run

    def _descend(self, units: ActiveUnits, y: np.ndarray, root: float) -> SparseRun:
        start, pairs = units.pattern(), root**2 * len(y)
        step = 1 / _largest_eigenvalue(units, len(y), root) if self.step is None else self.step
        losses, shares = [], []
        while True:
            residuals = units.sums / root - y
            losses.append(float(np.mean(residuals**2) / 2))
            shares.append(units.count / pairs)
            over = not losses[-1] < inf or losses[-1] <= self.target or len(losses) > self.most_steps
            if over or units.count == 0:
                break
            units.descend(residuals / root, step)
        numbers = units.parameters.shape[1]
        return SparseRun(
            losses=tuple(losses),
            active=tuple(shares),
            flipped=float((units.pattern() - start).count_nonzero() / pairs),
            step_size=step,
            operations=units.products * numbers,
            dense_operations=round(pairs) * numbers * (2 * len(losses) - 1),
            converged=losses[-1] <= self.target,
        )


def _largest_eigenvalue(units: ActiveUnits, n: int, root: float) -> float:
    def product(vector: Tensor) -> Tensor:
        return torch.from_numpy(units.tangent_product(vector.numpy())) / root**2

    return largest_eigenvalue(product, torch.zeros(n, dtype=torch.float64), tolerance=1e-5)
