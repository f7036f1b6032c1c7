"""Monte Carlo of the tensors of finite networks: pre-activations and tangent kernels between units, layer by layer."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from widenet.architectures.activations import Activation
from widenet.errors import InvalidInput
from widenet.experiments.fluctuations import Estimate
from widenet.theory.finite_width import Ensemble
from widenet.theory.gaussian_moments import value_and_slope

TENSORS = ("V", "D", "F", "A", "B")

_NUMBERS = 2**20  # entries of one batch of matrices: it stays in cache


@dataclass(frozen=True)
class MeasuredTensors:
    """Tensors of one layer as in `LayerTensors`, each with its standard error.

    Relative to the means at this width, not to their limits: V is n (E[z_i^2 z_j^2] / (E z_i^2)^2 - 1).
    """

    layer: int
    K: Estimate
    tangent: Estimate
    V: Estimate
    D: Estimate
    F: Estimate
    A: Estimate
    B: Estimate


@dataclass(frozen=True)
class TensorEnsemble:
    """Networks of one shape, square and without biases, at an input of mean square 1.

    Attributes:
        activation: phi.
        width: n.
        layers: Layers with weights.
        ensemble: "gaussian" or "orthogonal".
        weight_std: Standard deviation of the weights times sqrt(fan-in).
    """

    activation: Activation
    width: int
    layers: int
    ensemble: Ensemble
    weight_std: float = 1.0

    def __post_init__(self) -> None:
        if self.width < 2 or self.layers < 1:
            raise InvalidInput("an ensemble needs two units and one layer or more", repr(self))

    def measure(self, draws: int, seed: int = 0) -> list[MeasuredTensors]:
        """The tensors of every layer.

        The tangent kernel between the units of a layer goes on as H' = C (|s|^2 / n + W diag(t) H diag(t) W^T / n),
        C = weight_std^2, s = phi(z), t = phi'(z); sums over pairs of units are differences of full sums.

        Args:
            draws: Number of networks.
            seed: Of their weights.

        Returns:
            One entry a layer.

        Raises:
            InvalidInput: On fewer than two draws.

        Cost:
            draws x layers x 4 n^3 multiplications, and as many QR decompositions where weights are orthogonal.
        """
        if draws < 2:
            raise InvalidInput("a standard error takes two draws or more", repr(draws))
        generator = torch.Generator().manual_seed(seed)
        batch = max(1, _NUMBERS // self.width**2)
        sizes = [batch] * (draws // batch) + ([draws % batch] if draws % batch else [])
        parts = [torch.stack(list(self._statistics(size, generator))) for size in sizes]
        statistics = torch.cat(parts, dim=1).numpy()  # (layers, draws, 7)
        return [_estimates(number + 1, values, self.width) for number, values in enumerate(statistics)]

    def _statistics(self, draws: int, generator: Generator) -> Iterator[Tensor]:
        """Sums over units and pairs of each network, (draws, 7), layer by layer."""
        n, C = self.width, self.weight_std**2
        first = torch.randn(draws, n, generator=generator, dtype=torch.float64)
        if self.ensemble == "orthogonal":  # an orthogonal matrix turns the input to a uniform direction
            first *= sqrt(n) / first.norm(dim=1, keepdim=True)
        z = self.weight_std * first
        H = (C * torch.eye(n, dtype=torch.float64)).expand(draws, n, n)
        yield _sums(z, H)
        for _ in range(self.layers - 1):
            W = _weights(draws, n, self.ensemble, generator)
            s, t = value_and_slope(self.activation, z)
            z = self.weight_std / sqrt(n) * torch.einsum("rij,rj->ri", W, s)
            H = C / n * (W @ (t[:, :, None] * H * t[:, None, :]) @ W.mT)
            H.diagonal(dim1=1, dim2=2).add_(C * s.square().mean(1, keepdim=True))
            yield _sums(z, H)


def _weights(draws: int, n: int, ensemble: Ensemble, generator: Generator) -> Tensor:
    gaussian = torch.randn(draws, n, n, generator=generator, dtype=torch.float64)
    if ensemble == "gaussian":
        return gaussian
    Q, R = torch.linalg.qr(gaussian)
    return sqrt(n) * Q * R.diagonal(dim1=1, dim2=2).sign()[:, None, :]


def _sums(z: Float[Tensor, "draws n"], H: Float[Tensor, "draws n n"]) -> Float[Tensor, "draws 7"]:
    """Means over units of z_i^2 and H_ii, and over pairs i != j of z_i^2 z_j^2, z_i^2 H_jj, z_i z_j H_ij, ..."""
    n, squares, diagonal = z.shape[1], z.square(), H.diagonal(dim1=1, dim2=2)
    size, trace = squares.sum(1), diagonal.sum(1)
    on_diagonal = (squares * diagonal).sum(1)
    pairs = (
        size**2 - squares.square().sum(1),
        size * trace - on_diagonal,
        torch.einsum("ri,rij,rj->r", z, H, z) - on_diagonal,
        trace**2 - diagonal.square().sum(1),
        H.square().sum((1, 2)) - diagonal.square().sum(1),
    )
    return torch.stack([size / n, trace / n, *(total / (n * (n - 1)) for total in pairs)], dim=1)


def _estimates(layer: int, values: Float[np.ndarray, "draws 7"], n: int) -> MeasuredTensors:
    K, tangent = values[:, 0], values[:, 1]
    below = ((K, K), (K, tangent), (K, tangent), (tangent, tangent), (tangent, tangent))
    shifts = (1.0, 1.0, 0.0, 1.0, 0.0)
    ratios = (
        _ratio(values[:, 2 + i], factors, shift, n)
        for i, (factors, shift) in enumerate(zip(below, shifts, strict=True))
    )
    means = (Estimate(float(v.mean()), float(v.std(ddof=1) / sqrt(len(v)))) for v in (K, tangent))
    return MeasuredTensors(layer, *means, *ratios)


def _ratio(above: np.ndarray, below: tuple[np.ndarray, np.ndarray], shift: float, n: int) -> Estimate:
    """The number n (E a / (E b E c) - shift), with its standard error by the delta method."""
    b, c = below
    ratio = above.mean() / (b.mean() * c.mean())
    influence = above / (b.mean() * c.mean()) - ratio * (b / b.mean() + c / c.mean() - 1)
    return Estimate(float(n * (ratio - shift)), float(n * influence.std(ddof=1) / sqrt(len(b))))
