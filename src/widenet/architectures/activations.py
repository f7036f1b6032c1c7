"""Elementwise activations."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import pi, sqrt
from typing import Literal

import torch
from torch import Tensor

from widenet.architectures.base import Layer, require_finite, set_finite
from widenet.errors import InvalidArchitecture


@dataclass(frozen=True)
class Activation(Layer):
    """A function applied to every unit. It has to follow a layer with weights, whose outputs are Gaussian."""

    def __call__(self, z: Tensor) -> Tensor:
        """The function itself, elementwise."""
        raise NotImplementedError


@dataclass(frozen=True)
class AbsLinear(Activation):
    """phi(z) = linear z + absolute |z|: every activation that is positively homogeneous of degree 1.

    Args:
        linear: Factor of z.
        absolute: Factor of |z|.
    """

    linear: float
    absolute: float

    def __post_init__(self) -> None:
        set_finite(self, "linear", "absolute")

    def __call__(self, z: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        return self.linear * z + self.absolute * z.abs()


@dataclass(frozen=True, init=False)
class ReLU(AbsLinear):
    """max(z, 0)."""

    def __init__(self) -> None:
        super().__init__(0.5, 0.5)

    def __call__(self, z: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        return torch.relu(z)

    def __repr__(self) -> str:
        return "ReLU()"


@dataclass(frozen=True, init=False)
class LeakyReLU(AbsLinear):
    """max(z, 0) + slope min(z, 0).

    Args:
        slope: Slope for negative z; torch's default 0.01.
    """

    slope: float

    def __init__(self, slope: float = 0.01) -> None:
        slope = require_finite("LeakyReLU.slope", slope)
        super().__init__((1 + slope) / 2, (1 - slope) / 2)
        object.__setattr__(self, "slope", slope)

    def __call__(self, z: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        return torch.nn.functional.leaky_relu(z, self.slope)

    def __repr__(self) -> str:
        return f"LeakyReLU(slope={self.slope!r})"


@dataclass(frozen=True, init=False)
class Abs(AbsLinear):
    """|z|."""

    def __init__(self) -> None:
        super().__init__(0.0, 1.0)

    def __repr__(self) -> str:
        return "Abs()"


@dataclass(frozen=True)
class Erf(Activation):
    """amplitude erf(frequency z) + offset, where erf is the error function.

    Args:
        amplitude: Factor of the error function.
        frequency: Factor of z.
        offset: Constant added.
    """

    amplitude: float = 1.0
    frequency: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        set_finite(self, "amplitude", "frequency", "offset")

    def __call__(self, z: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        return self.amplitude * torch.erf(self.frequency * z) + self.offset


def sigmoid_like() -> Erf:
    """The error function scaled and shifted to the logistic sigmoid: erf(z sqrt(pi) / 4) / 2 + 1/2.

    It has the sigmoid's limits, its value and its slope at 0, differs from it by at most 0.02, and
    unlike it has a kernel in closed form.
    """
    return Erf(amplitude=0.5, frequency=sqrt(pi) / 4, offset=0.5)


@dataclass(frozen=True)
class GELU(Activation):
    """Gaussian error linear unit z Phi(z), exact: Phi is the normal distribution function, not its tanh form."""

    def __call__(self, z: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        return torch.nn.functional.gelu(z)


@dataclass(frozen=True)
class Sine(Activation):
    """amplitude sin(frequency z + phase).

    Args:
        amplitude: Factor of the sine.
        frequency: Factor of z.
        phase: Angle added, in radians.
    """

    amplitude: float = 1.0
    frequency: float = 1.0
    phase: float = 0.0

    def __post_init__(self) -> None:
        set_finite(self, "amplitude", "frequency", "phase")

    def __call__(self, z: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        return self.amplitude * torch.sin(self.frequency * z + self.phase)


@dataclass(frozen=True)
class Cosine(Sine):
    """amplitude cos(frequency z + phase).

    Args:
        amplitude: Factor of the cosine.
        frequency: Factor of z.
        phase: Angle added, in radians.
    """

    def __call__(self, z: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        return self.amplitude * torch.cos(self.frequency * z + self.phase)


@dataclass(frozen=True)
class RBF(Activation):
    """sqrt(2) sin(sqrt(2 gamma) z + pi/4), whose kernel is exp(-gamma E(u - v)^2).

    One layer of it after a Dense layer without bias is the Gaussian kernel of the inputs.

    Args:
        gamma: Inverse squared length, positive.

    Raises:
        InvalidArchitecture: On another gamma.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        set_finite(self, "gamma", minimum=0.0)
        if self.gamma == 0:
            raise InvalidArchitecture("RBF.gamma must be positive", "0")

    def __call__(self, z: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        return sqrt(2.0) * torch.sin(sqrt(2 * self.gamma) * z + pi / 4)


@dataclass(frozen=True)
class GaussianBump(Activation):
    """exp(-z^2 / (2 scale^2)): a unit that answers to z near 0 alone.

    Args:
        scale: Width of the bump, positive.

    Raises:
        InvalidArchitecture: On another scale.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        set_finite(self, "scale", minimum=0.0)
        if self.scale == 0:
            raise InvalidArchitecture("GaussianBump.scale must be positive", "0")

    def __call__(self, z: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        return torch.exp(-0.5 * (z / self.scale) ** 2)


@dataclass(frozen=True)
class Polynomial(Activation):
    """Sum of coefficients[k] b_k(z), with b_k = z^k or the normalised Hermite polynomials.

    Args:
        coefficients: One number for each degree from 0 on.
        basis: "power" for z^k; "hermite" for He_k(z) / sqrt(k!), orthonormal under N(0, 1).

    Raises:
        InvalidArchitecture: On no coefficients, one that is not finite, or another basis.
    """

    coefficients: tuple[float, ...]
    basis: Literal["power", "hermite"] = "power"

    def __post_init__(self) -> None:
        if not isinstance(self.coefficients, Iterable):
            raise InvalidArchitecture("Polynomial takes a sequence of coefficients", repr(self.coefficients))
        numbers = tuple(require_finite("a coefficient of Polynomial", number) for number in self.coefficients)
        if not numbers:
            raise InvalidArchitecture("Polynomial needs at least one coefficient", "none")
        object.__setattr__(self, "coefficients", numbers)
        if self.basis not in ("power", "hermite"):
            raise InvalidArchitecture("Polynomial.basis must be 'power' or 'hermite'", repr(self.basis))

    def __call__(self, z: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        previous, basis = torch.zeros_like(z), torch.ones_like(z)
        total = self.coefficients[0] * basis
        for k, coefficient in enumerate(self.coefficients[1:]):
            if self.basis == "power":
                basis = basis * z
            else:
                previous, basis = basis, (z * basis - sqrt(k) * previous) / sqrt(k + 1)
            total = total + coefficient * basis
        return total


@dataclass(frozen=True)
class Elementwise(Activation):
    """Any smooth elementwise function; its kernel comes from quadrature.

    Args:
        function: Maps a tensor to a tensor of the same shape, differentiable by torch, for example
            `torch.tanh` or `torch.nn.functional.softplus`.

    Raises:
        InvalidArchitecture: On what cannot be called; by a kernel, if the function is not smooth.

    Example:
        >>> Elementwise(torch.tanh)
        Elementwise(torch.tanh)
    """

    function: Callable[[Tensor], Tensor]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise InvalidArchitecture("Elementwise takes a function of a tensor", repr(self.function))

    def __call__(self, z: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        return self.function(z)

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", "").removeprefix("special_")
        modules = {"torch": torch, "torch.nn.functional": torch.nn.functional, "torch.special": torch.special}
        for prefix, module in modules.items():
            if getattr(module, name, None) is self.function:
                return f"Elementwise({prefix}.{name})"
        return f"Elementwise({getattr(self.function, '__qualname__', repr(self.function))})"
