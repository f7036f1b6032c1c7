"""How fast the tangent kernels of finite networks tend to their limit."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from widenet.architectures import Layer, delta_orthogonal
from widenet.errors import InvalidInput
from widenet.kernels import NTK
from widenet.networks.build import Init
from widenet.networks.finite_network import Network, network

_PARAMETERS = 2**21  # of networks that are worked on at once


@dataclass(frozen=True, eq=False)
class Convergence:
    """Distances |K_n - K| / |K| (Frobenius) of finite networks' tangent kernels K_n from their limit K.

    Attributes:
        widths: The widths n.
        distances: Mean over the seeds, one a width.
        errors: Standard errors of the logarithms of these means.
        of_means: Distances of the kernels averaged over the seeds, whose noise is smaller by the root of their number.
    """

    widths: tuple[int, ...]
    distances: Float[np.ndarray, " widths"]
    errors: Float[np.ndarray, " widths"]
    of_means: Float[np.ndarray, " widths"]

    @property
    def slope(self) -> float:
        """Slope of log distance over log width, by least squares weighted with the errors; -1/2 is the law."""
        return float(self._fit()[0])

    @property
    def slope_error(self) -> float:
        """Standard error of the slope."""
        return float(self._fit()[1])

    def _fit(self) -> tuple[float, float]:
        x, weights = np.log(self.widths), self.errors**-2.0
        centred = x - np.average(x, weights=weights)
        spread = np.sum(weights * centred**2)
        return np.sum(weights * centred * np.log(self.distances)) / spread, spread**-0.5


def kernel_convergence(
    arch: Layer,
    X: Tensor,
    widths: Sequence[int],
    seeds: int = 10,
    init: Init = "gaussian",
) -> Convergence:
    """Measure how the tangent kernels of networks with random weights tend to the infinite kernel.

    Args:
        arch: An architecture that ends with a layer with weights.
        X: Points, (n, *positions, channels), in double precision.
        widths: Two or more widths.
        seeds: How many networks of each width.
        init: How their weights are drawn.

    Returns:
        Distances at every width, and their slope.

    Raises:
        InvalidInput: On fewer than two widths or seeds, or points in single precision.

    Cost:
        n backward passes a network.

    Example:
        >>> from widenet.architectures import Dense, ReLU
        >>> X = torch.tensor([[1.0, 0.5], [-0.3, 0.8]], dtype=torch.float64)
        >>> found = kernel_convergence(Dense() >> ReLU() >> Dense(), X, widths=(16, 64, 256), seeds=40)
        >>> abs(found.slope + 0.5) < 4 * found.slope_error
        True
    """
    if len(set(widths)) < 2 or seeds < 2:
        raise InvalidInput("a slope needs two widths and two seeds", f"widths {tuple(widths)}, seeds {seeds}")
    if X.dtype != torch.float64:
        raise InvalidInput("kernels are compared in double precision", str(X.dtype), "Give X.double()")
    limit = NTK(delta_orthogonal(arch) if init == "orthogonal" else arch)(X)
    distances, errors, of_means = [], [], []
    for number, width in enumerate(widths):
        nets = (
            network(arch, tuple(X.shape[1:]), width=width, seed=seed, init=init, dtype=X.dtype)
            for seed in range(number * seeds, (number + 1) * seeds)
        )
        gaps = torch.cat([tangent_kernels(part, X) for part in _batches(nets)]) - limit
        # The mean and not its square's: the kernels of narrow networks have heavy tails.
        each = gaps.flatten(1).norm(dim=1) / limit.norm()
        distances.append(float(each.mean()))
        errors.append(float(each.std() / each.mean()) / sqrt(seeds))
        of_means.append(float(gaps.mean(0).norm() / limit.norm()))
    return Convergence(tuple(widths), np.array(distances), np.array(errors), np.array(of_means))


def _batches(nets: Iterable[Network]) -> Iterator[list[Network]]:
    """Networks in groups that together have some million parameters."""
    group, count = list[Network](), 0
    for net in nets:
        group.append(net)
        count += sum(parameter.numel() for parameter in net.parameters())
        if count > _PARAMETERS:
            yield group
            group, count = [], 0
    if group:
        yield group


def tangent_kernels(nets: Sequence[Network], X: Tensor) -> Tensor:
    """Tangent kernels of the first outputs of networks of one architecture and width, by plain gradients.

    Args:
        nets: Networks that differ in their weights alone.
        X: Points, (n, *positions, channels).

    Returns:
        Kernels, (networks, n, n).

    Cost:
        n backward passes through all networks at once.
    """
    held, buffers = torch.func.stack_module_state(list(nets))
    held = {name: values.requires_grad_() for name, values in held.items()}

    def outputs_of(parameters: dict[str, Tensor], constants: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(nets[0], (parameters, constants), (X,))[:, 0]

    outputs = torch.func.vmap(outputs_of)(held, buffers)
    # Each network's outputs depend on its own parameters alone: the gradient of their sum holds that of each.
    gradients = [torch.autograd.grad(values.sum(), list(held.values()), retain_graph=True) for values in outputs.T]
    kernels = X.new_zeros(len(nets), len(X), len(X))
    for parts in zip(*gradients, strict=True):
        J = torch.stack([part.flatten(1) for part in parts], 1)
        kernels += J @ J.mT
    return kernels
