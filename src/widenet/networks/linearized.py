"""Networks linearised in their parameters: kernel regression with the empirical tangent kernel, as a module."""

from collections.abc import Callable
from copy import deepcopy
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp

from widenet._arrays import Array, read_inputs
from widenet.errors import InvalidInput
from widenet.networks.empirical import EmpiricalNTK
from widenet.networks.jacobian import pull_back, push_forward
from widenet.networks.module_function import ModuleFunction, check_module, evaluation, select_parameters

_ITERATIONS = 30  # of the power method: the largest eigenvalue to a per cent or so, from below


class LinearizedNetwork(nn.Module):
    """f(x; w0) + J(x) (w - w0): a network replaced by its first-order expansion about its parameters w0.

    Its own parameters are the shift w - w0, zero at first, which any optimiser of torch trains; w0 is a frozen copy.
    Gradient descent on it is kernel regression with the tangent kernel of the module at w0, which `fit` and `flow`
    solve in closed form.

    Args:
        module: The module, in evaluation mode where it has dropout or batch normalisation.
        parameters: Names of the parameters or submodules to expand in; None for all that require gradients.

    Attributes:
        base: The frozen copy of the module.
        names: Full names of the parameters that the network is expanded in.
        shifts: w - w0 of each, in that order.

    Cost:
        About twice that of the module, in each direction.

    References:
        Lee et al. 2019, arXiv 1902.06720, section 2.2.

    Example:
        >>> import torch
        >>> X, y = torch.tensor([[1.0], [2.0]]), torch.tensor([3.0, 5.0])
        >>> network = LinearizedNetwork(torch.nn.Linear(1, 1)).fit(X, y)
        >>> network(torch.tensor([[10.0]])).round(decimals=3)
        tensor([[21.]], grad_fn=...)
    """

    def __init__(self, module: nn.Module, parameters: tuple[str, ...] | None = None) -> None:
        super().__init__()
        check_module(module)
        self.names = select_parameters(module, parameters)
        self.base = deepcopy(module).requires_grad_(False)
        every = dict(self.base.named_parameters())
        self.shifts = nn.ParameterList(torch.zeros_like(every[name]) for name in self.names)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs, of the shape that the module gives."""
        every = dict(self.base.named_parameters())
        start = {name: every[name] for name in self.names}
        direction = dict(zip(self.names, self.shifts, strict=True))
        both = jvp(lambda weights: functional_call(self.base, weights, (x,)), (start,), (direction,))
        return both[0] + both[1]

    def train(self, mode: bool = True) -> Self:
        """Mode of this module; the frozen copy keeps that in which it came."""
        self.training = mode
        return self

    @property
    def kernel(self) -> EmpiricalNTK:
        """The tangent kernel at w0, whose regression this network does."""
        return EmpiricalNTK(self.base, self.names)

    def fit(
        self, X: Array, y: Array, ridge: float = 0.0, ridge_scale: Literal["relative", "absolute"] = "relative"
    ) -> Self:
        """Minimise 1/2 sum (f - y)^2 + ridge / 2 |w - w0|^2, in closed form.

        w - w0 = J^T (Theta + ridge I)^-1 (y - f0). Without a ridge the solution of least norm, to which gradient
        descent converges.

        Args:
            X: Points, (n, ...), NumPy or torch.
            y: Targets, (n,) or (n, outputs).
            ridge: At least 0.
            ridge_scale: "relative" (times the mean diagonal of Theta) or "absolute".

        Returns:
            This network, with other shifts.

        Raises:
            InvalidInput: On targets of another shape, or a negative ridge.

        Cost:
            The full kernel and the eigen-decomposition of n outputs rows: about 9 (n outputs)^3 flops.
        """
        if not ridge >= 0:
            raise InvalidInput("ridge must be at least 0", repr(ridge))
        relative = ridge_scale == "relative"

        def inverse(s: Tensor) -> Tensor:
            shifted = s + ridge * (float(s.mean()) if relative else 1.0)
            return torch.where(shifted > 0, 1 / shifted.clamp_min(torch.finfo(s.dtype).tiny), 0.0)

        return self._solve(X, y, inverse)

    def flow(self, X: Array, y: Array, time: float) -> Self:
        """Gradient flow on 1/2 sum (f - y)^2 from w0 for a time, in closed form.

        w - w0 = J^T Theta^-1 (I - e^(-Theta t)) (y - f0).

        Args:
            X: Points, (n, ...), NumPy or torch.
            y: Targets, (n,) or (n, outputs).
            time: t, at least 0; infinity means to convergence.

        Returns:
            This network, with other shifts.

        Raises:
            InvalidInput: On targets of another shape, or a negative time.

        Cost:
            As for `fit`.
        """
        if not time >= 0:
            raise InvalidInput("time must be at least 0", repr(time))
        if time == float("inf"):
            return self.fit(X, y)

        def learned(s: Tensor) -> Tensor:
            positive = torch.where(s > 0, s, 1.0)
            return torch.where(s > 0, -torch.expm1(-positive * time) / positive, time)

        return self._solve(X, y, learned)

    def descend(self, X: Array, y: Array, steps: int, rate: float | None = None) -> list[float]:
        """Full-batch gradient descent on 1/2 sum (f - y)^2 from the shifts of now, by products with J alone.

        Args:
            X: Points, (n, ...), NumPy or torch.
            y: Targets, (n,) or (n, outputs).
            steps: Number of steps.
            rate: Step size; None for 1 / the largest eigenvalue of Theta, by the power method.

        Returns:
            The loss before every step, and after the last.

        Raises:
            InvalidInput: On targets of another shape, or a rate that is not positive.

        Cost:
            A forward pass with derivatives and a backward pass a step; memory for a few copies of the parameters.
        """
        if steps < 0 or (rate is not None and not rate > 0):
            raise InvalidInput("steps must be at least 0 and rate positive", f"{steps} and {rate}")
        function, points, target = self._problem(X, y)
        shift = {name: value.detach().to(points.dtype) for name, value in zip(self.names, self.shifts, strict=True)}
        losses = []
        with evaluation(points.device), torch.no_grad():
            step = 1 / _largest_eigenvalue(function, points, target) if rate is None else rate
            for _ in range(steps):
                error = push_forward(function, points, shift) - target
                losses.append(0.5 * float(error.square().sum()))
                gradient = pull_back(function, points, error)
                shift = {name: value - step * gradient[name] for name, value in shift.items()}
            losses.append(0.5 * float((push_forward(function, points, shift) - target).square().sum()))
        self._set(shift)
        return losses

    def _problem(self, X: Array, y: Array) -> tuple[ModuleFunction, Tensor, Tensor]:
        """The module at w0, points, and targets minus its outputs, (n, outputs)."""
        points = read_inputs(X).X.detach()
        function = ModuleFunction.of(self.base, self.names, points)
        outputs = function.outputs(points)
        target = torch.as_tensor(y, dtype=points.dtype, device=points.device).detach()
        target = target[:, None] if target.ndim == 1 else target.reshape(len(target), -1)
        if target.shape != outputs.shape:
            raise InvalidInput(f"targets must be {tuple(outputs.shape)}", f"shape {tuple(target.shape)}")
        if not bool(torch.isfinite(target).all()):
            raise InvalidInput("targets must be finite", "NaN or infinity")
        return function, points, target - outputs

    def _solve(self, X: Array, y: Array, filtered: Callable[[Tensor], Tensor]) -> Self:
        function, points, target = self._problem(X, y)
        whole = self.kernel.full(points).permute(0, 2, 1, 3).reshape(target.numel(), target.numel())
        s, V = torch.linalg.eigh(whole)
        # Eigenvalues within the rounding of the kernel count as 0.
        s = torch.where(s > 8 * torch.finfo(s.dtype).eps * s[-1], s, 0.0)
        coefficients = V @ (filtered(s)[:, None] * (V.T @ target.reshape(-1, 1)))
        with evaluation(points.device), torch.no_grad():
            self._set(pull_back(function, points, coefficients.reshape(target.shape)))
        return self

    @torch.no_grad()
    def _set(self, shift: dict[str, Tensor]) -> None:
        for name, parameter in zip(self.names, self.shifts, strict=True):
            parameter.copy_(shift[name])


def _largest_eigenvalue(function: ModuleFunction, X: Tensor, like: Tensor) -> float:
    """Largest eigenvalue of the full kernel of X, by the power method."""
    random = torch.Generator().manual_seed(0)
    v = torch.randn(like.shape, generator=random, dtype=torch.float64).to(like)
    value = 0.0
    for _ in range(_ITERATIONS):
        v = v / torch.linalg.vector_norm(v)
        v = push_forward(function, X, pull_back(function, X, v))
        value = float(torch.linalg.vector_norm(v))
    if not value > 0:
        raise InvalidInput("outputs must depend on the parameters", "a tangent kernel that is 0")
    return value


def linearize(module: nn.Module, parameters: tuple[str, ...] | None = None) -> LinearizedNetwork:
    """The first-order expansion of a network about its parameters of now.

    Args:
        module: The module.
        parameters: Names of the parameters or submodules to expand in; None for all that require gradients.

    Returns:
        A module of its own, equal to the given one until it is trained; see `LinearizedNetwork`.

    Example:
        >>> import torch
        >>> module = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
        >>> x = torch.ones(3, 2)
        >>> torch.equal(linearize(module)(x), module(x))
        True
    """
    return LinearizedNetwork(module, parameters)
