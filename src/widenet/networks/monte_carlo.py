"""Monte Carlo of the tangent kernel over random networks, with less variance by orthogonal weights."""

from dataclasses import dataclass
from math import ceil, inf, sqrt

import numpy as np
import torch

from widenet._arrays import Array, is_count, read_inputs
from widenet.architectures import Layer
from widenet.errors import InvalidInput
from widenet.networks.build import Init
from widenet.networks.empirical import EmpiricalNTK
from widenet.networks.finite_network import network


@dataclass(frozen=True, eq=False)
class NTKEstimate:
    """Mean of the tangent kernels of random networks.

    Attributes:
        mean: The mean, (n, n).
        standard_error: Standard error of every entry of the mean, (n, n), from the spread between draws.
        draws: Number of networks.
        width: Their width.
        init: Their weights, "gaussian" or "orthogonal".
    """

    mean: Array
    standard_error: Array
    draws: int
    width: int
    init: Init

    @property
    def relative_error(self) -> float:
        """Estimated error of the mean in the Frobenius norm, relative to the norm of the mean."""
        return float((self.standard_error**2).sum() ** 0.5 / (self.mean**2).sum() ** 0.5)

    @property
    def spread(self) -> float:
        """Relative Frobenius error of one draw times sqrt(width): about the same at every width."""
        return self.relative_error * sqrt(self.draws * self.width)

    def draws_for(self, target: float) -> int:
        """Number of draws that take `relative_error` to a target.

        Args:
            target: Relative error, positive.

        Raises:
            InvalidInput: On another target.
        """
        if not 0 < target < inf:
            raise InvalidInput("target must be a positive number", repr(target))
        return max(2, ceil(self.draws * (self.relative_error / target) ** 2))


def monte_carlo_ntk(
    arch: Layer, X: Array, *, width: int = 1024, draws: int = 16, init: Init = "orthogonal", seed: int = 0
) -> NTKEstimate:
    """Tangent kernel of an architecture as the mean over networks of finite width.

    For architectures whose kernel has no closed form, or to see what width does. Orthogonal weights have the same
    limit in dense networks, and fluctuate less from draw to draw; with convolutions they tend to the kernel of
    `delta_orthogonal(arch)`. The mean over all draws still differs from the limit by a bias of order 1 / width, which
    `standard_error` does not show.

    Args:
        arch: The architecture.
        X: Points, (n, *positions, channels); the networks have their precision.
        width: Units of every hidden layer.
        draws: Number of networks, 2 or more.
        init: "orthogonal" or "gaussian".
        seed: Of all weights.

    Returns:
        The mean and its standard errors, of the array kind of X.

    Raises:
        InvalidInput: On fewer than two draws.
        InvalidArchitecture: On an architecture or width that has no finite network.

    Cost:
        One empirical NTK and, for orthogonal weights, a QR decomposition of width^3 for every layer and draw.

    References: Huang, Du and Xu 2020, arXiv 2004.05867, for the equal limits (abstract and published code were read).

    Example:
        >>> import numpy as np
        >>> from widenet import NTK, fully_connected
        >>> X = np.random.default_rng(0).standard_normal((5, 3))
        >>> arch = fully_connected(2)
        >>> found = monte_carlo_ntk(arch, X, width=128, draws=20)
        >>> bool(np.linalg.norm(found.mean - NTK(arch)(X)) < 0.1 * np.linalg.norm(found.mean))
        True
    """
    if not is_count(draws, 2):
        raise InvalidInput("draws must be a whole number, 2 or more, for a standard error", repr(draws))
    inputs = read_inputs(X)
    shape = tuple(inputs.X.shape[1:])
    mean = torch.zeros(len(inputs.X), len(inputs.X), dtype=inputs.X.dtype, device=inputs.X.device)
    squares = torch.zeros_like(mean)
    for number in range(draws):
        own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        net = network(arch, shape, width=width, seed=own, init=init, dtype=inputs.X.dtype).to(inputs.X.device)
        K = EmpiricalNTK(net)(inputs.X.detach())
        step = K - mean
        mean += step / (number + 1)
        squares += step * (K - mean)
    error = (squares / (draws * (draws - 1))).sqrt()
    return NTKEstimate(inputs.restore(mean), inputs.restore(error), int(draws), int(width), init)
