"""The feature maps that are compared: every way to features of one deep ReLU tangent kernel, and of Laplace."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from widenet._arrays import Array
from widenet.architectures import fully_connected
from widenet.features.architecture import ArchitectureFeatures
from widenet.features.base import FeatureMap, FittedMap
from widenet.features.fourier import FourierFeatures
from widenet.features.ntk_sketch import NTKSketch
from widenet.features.nystrom import Nystroem
from widenet.features.random_features import NTKRandomFeatures
from widenet.features.sketch import Sketch
from widenet.features.zonal_features import ZonalRandomFeatures
from widenet.kernels.base import Kernel
from widenet.kernels.neural import NTK
from widenet.kernels.stationary import Laplace
from widenet.networks.finite_network import network

PUBLISHED = "NTKRandomFeatures"
BEST = "Sketch: principal products"
DEGREE_SKETCH = "NTKSketch: degrees 0, 1 exact"
_MOST_LEVERAGE = 4096  # beyond it the errors are those of plain random features, at the same time


@dataclass(frozen=True)
class Method:
    """One way to features.

    Attributes:
        name: What tables and figures call it.
        kernel: What its features stand for.
        make: The map, from size and seed.
        sparse: Whether it takes sparse rows.
        most: Largest useful size, None for any.
    """

    name: str
    kernel: Kernel
    make: Callable[[int, int], FeatureMap]
    sparse: bool = True
    most: int | None = None


@dataclass(frozen=True)
class GradientFeatures(FeatureMap):
    """The gradients of a finite random network by all its parameters, as features of its tangent kernel.

    The widest network of that depth with at most `size` parameters; columns beyond them are 0.

    Attributes:
        depth: Hidden layers.
        size: Number of features.
        seed: Of the weights.
    """

    depth: int
    size: int
    seed: int = 0

    def fit(self, X: Array) -> "FittedGradients":
        """Draw the network for rows of the length of those of X."""
        d, width = X.shape[1], 1
        while self._parameters(d, width + 1) <= self.size:
            width += 1
        architecture = fully_connected(self.depth, scaling="geifman")
        drawn = network(architecture, fan_in=d, width=width, seed=self.seed)
        return FittedGradients(self.size, drawn)

    def _parameters(self, d: int, width: int) -> int:
        return d * width + (self.depth - 1) * width**2 + width


@dataclass(frozen=True, eq=False)
class FittedGradients(FittedMap):
    """A drawn network whose gradients are features.

    Attributes:
        size: Number of features.
        drawn: The network.
    """

    size: int
    drawn: torch.nn.Module

    def transform(self, X: Array) -> Array:
        """Gradients of the output at every row, (n, size)."""
        rows = torch.as_tensor(np.asarray(X))
        module = self.drawn.to(rows.dtype)
        weights = {name: weight.detach() for name, weight in module.named_parameters()}

        def output(values: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
            return torch.func.functional_call(module, values, (x[None],)).sum()

        gradients = torch.func.vmap(torch.func.grad(output), (None, 0))(weights, rows)
        flat = torch.cat([part.reshape(len(rows), -1) for part in gradients.values()], 1)
        return torch.nn.functional.pad(flat, (0, self.size - flat.shape[1])).numpy()


def methods(depth: int, rows: int, laplace_scale: float) -> tuple[Method, ...]:
    """All maps of the tangent kernel of a depth, and random Fourier features of a Laplace kernel.

    Args:
        depth: Hidden layers of the bias-free ReLU network.
        rows: Number of points, which is the most landmarks there can be.
        laplace_scale: Scale of the Laplace kernel.
    """
    kernel, laplace = NTK(fully_connected(depth, scaling="geifman")), Laplace(laplace_scale)
    return (
        Method(BEST, kernel, lambda size, seed: Sketch(kernel, size, seed)),
        Method(DEGREE_SKETCH, kernel, lambda size, seed: NTKSketch(kernel, size, seed=seed)),
        Method("ZonalRandomFeatures", kernel, lambda size, seed: ZonalRandomFeatures(kernel, size, seed)),
        Method("ArchitectureFeatures", kernel, lambda size, seed: ArchitectureFeatures(kernel, size, seed), False),
        Method(PUBLISHED, kernel, lambda size, seed: NTKRandomFeatures(depth, size, seed=seed), False),
        Method(
            f"{PUBLISHED}, leverage",
            kernel,
            lambda size, seed: NTKRandomFeatures(depth, size, True, seed=seed),
            False,
            _MOST_LEVERAGE,
        ),
        Method("Nystroem, pivoted", kernel, lambda size, seed: Nystroem(kernel, size, seed), False, rows),
        Method("Nystroem, uniform", kernel, lambda size, seed: Nystroem(kernel, size, seed, size), False, rows),
        Method("gradients of a network", kernel, lambda size, seed: GradientFeatures(depth, size, seed), False),
        Method("Fourier, Laplace", laplace, lambda size, seed: FourierFeatures(laplace, size, seed), False),
    )


def median_distance(X: Float[np.ndarray, "n d"], pairs: int = 2000) -> float:
    """Median distance between rows, over random pairs."""
    draws = np.random.default_rng(0)
    first, second = draws.integers(0, len(X), (2, pairs))
    distances = np.linalg.norm(X[first] - X[second], axis=1)
    return float(np.median(distances[distances > 0]))
