"""Explicit features of the NTK or NNGP of any architecture, layer by layer."""

import math
from bisect import bisect_right
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from widenet._arrays import Array, is_count, row_blocks
from widenet.architectures import Layer
from widenet.errors import InvalidInput
from widenet.features import embed_activations, embed_spatial
from widenet.features.base import FeatureMap, FittedMap, require_seed, require_size
from widenet.features.embed import embed
from widenet.features.embedding import Budget, Embedding
from widenet.kernels import NNGP, NTK, Kernel

READINGS = (embed_activations.embed, embed_spatial.embed)  # registered by being imported

_NUMBERS = 2**21  # features of a block of points at all positions, so that they stay in the caches
_LARGEST_WIDTH, _LARGEST_OF_ROWS = 512, 1024
_LEAST_WIDTH = 4


@dataclass(frozen=True)
class ArchitectureFeatures(FeatureMap):
    """Explicit features of the NTK or the NNGP of any architecture: what propagates is features, not moments.

    After every activation the dual kernels of it and of its slope are series in the correlation of the units, whose
    constant and linear parts are exact and whose higher powers are sketched; a Dense layer or a convolution puts
    features side by side; pooling averages them. For images the cost is linear in the number of positions, where the
    kernel itself compares all pairs of them. The squared error falls like 1 / width inside the network and 1 / size at
    its end, down to what the fits of the degree leave. For chains of dense layers that are functions of the angle,
    `Sketch` has closer features.

    Args:
        kernel: `NTK` or `NNGP` of an architecture of rows or images.
        size: Number of features.
        seed: Of all sketches.
        degree: Highest power of the correlation in the series of an activation, at least 1; the diagonal stays exact.
        width: Sketched features of each kernel after the inner activations; None means a quarter of the size, at most
            1,024 for rows and 512 for images.
        lowest: Least cosine between two points or patches, at least -1; 0 for points without negative numbers, for
            which the first ReLU-like activation is then fitted more closely.

    Raises:
        InvalidInput: On another kernel, or a size, degree, width or cosine out of range.

    Cost:
        A point (and position): some 4 width^2 multiplications a layer, and 6 windows x width additions a convolution.

    References: Zandieh et al. 2021, arXiv 2106.07880 (CNTKSketch, of which this is a generalisation: any layers, exact
        constant and linear parts, fits on the correlations that occur); Han et al. 2022, arXiv 2209.04121.

    Example:
        >>> import numpy as np
        >>> from widenet.architectures import GELU, fully_connected
        >>> kernel, X = NTK(fully_connected(1, GELU(), bias_std=0.3)), np.array([[1.0, 2.0], [0.5, -1.0]])
        >>> Z, K = ArchitectureFeatures(kernel, size=2000)(X), kernel(X)
        >>> bool(abs(Z @ Z.T - K).max() < 0.05 * K.max())
        True
    """

    kernel: Kernel
    size: int
    seed: int = 0
    degree: int = 8
    width: int | None = None
    lowest: float = -1.0

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, (NTK, NNGP)):
            raise InvalidInput("ArchitectureFeatures takes an NTK or NNGP", repr(self.kernel))
        require_size("ArchitectureFeatures", self.size)
        require_seed("ArchitectureFeatures", self.seed)
        if not is_count(self.degree):
            raise InvalidInput("ArchitectureFeatures.degree must be a whole number of at least 1", repr(self.degree))
        if self.width is not None and not is_count(self.width):
            raise InvalidInput("ArchitectureFeatures.width must be a whole number of at least 1", repr(self.width))
        if not -1 <= self.lowest < 1:
            raise InvalidInput("ArchitectureFeatures.lowest must be a cosine below 1", repr(self.lowest))

    def fit(self, X: Array) -> "FittedArchitecture":
        """Share the features out among the layers, for points of the shape of X; nothing else of them matters."""
        inputs = self.kernel._read_inputs(X)
        self.kernel._check_points(inputs.X)
        shape = _shape_of(self.kernel, inputs.X)
        width = self._largest_width(shape) if self.width is None else self.width
        while (least := self._count(shape, budget := Budget(width, 1, self.degree, self.seed))) > self.size:
            if width <= _LEAST_WIDTH or self.width is not None:
                raise InvalidInput(
                    f"features of {self.kernel!r} need a size of at least {least}", f"{self.size}", "Ask for more"
                )
            width //= 2
        tail = bisect_right(
            range(1, self.size + 1), self.size, key=lambda t: self._count(shape, replace(budget, tail=t))
        )
        return FittedArchitecture(self, shape, replace(budget, tail=tail))

    def _largest_width(self, shape: tuple[int, ...]) -> int:
        return max(1, min(_LARGEST_OF_ROWS if len(shape) == 1 else _LARGEST_WIDTH, self.size // 4))

    def _count(self, shape: tuple[int, ...], budget: Budget) -> int:
        """Number of features that come out, by reading no points."""
        return self.read(torch.ones(0, *shape, dtype=torch.float64), budget).shape[1]

    def read(self, points: Tensor, budget: Budget) -> Tensor:
        """Features of points (n, *positions, channels) under a budget, (n, as many as come out)."""
        tangent = isinstance(self.kernel, NTK)
        scaled = points / math.sqrt(points.shape[-1])
        start = Embedding(
            scaled,
            scaled[..., :0] if tangent else None,
            scaled.double().square().sum(-1),
            budget,
            channels=points.shape[-1],
            lowest=self.lowest,
        )
        after = embed(_architecture(self.kernel), start)
        return after.covariance if after.tangent is None else after.tangent


@dataclass(frozen=True, eq=False)
class FittedArchitecture(FittedMap):
    """Features of points of one shape.

    Attributes:
        map: What was fitted.
        shape: Shape of a point, (*positions, channels).
        budget: How many features the layers make.
    """

    map: ArchitectureFeatures
    shape: tuple[int, ...]
    budget: Budget

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Number of features."""
        return self.map.size

    def transform(self, X: Array) -> Array:
        """Features of points, (n, size), by blocks that stay in the caches; columns that nothing fills are 0."""
        inputs = self.map.kernel._read_inputs(X)
        self.map.kernel._check_points(inputs.X)
        if _shape_of(self.map.kernel, inputs.X) != self.shape:
            raise InvalidInput(f"points must have the shape of those of the fit, {self.shape}", str(inputs.X.shape[1:]))
        points = inputs.X.detach().reshape(len(inputs.X), *self.shape)
        out = points.new_zeros(len(points), self.size)
        positions = math.prod(self.shape[:-1])
        for rows in row_blocks(len(points), max(1, _NUMBERS // (positions * 4 * self.budget.width))):
            block = self.map.read(points[rows], self.budget)
            out[rows, : block.shape[1]] = block
        return inputs.restore(out)


def _architecture(kernel: Kernel) -> Layer:
    if not isinstance(kernel, (NTK, NNGP)):
        raise AssertionError("features of an architecture without one")
    return kernel.architecture


def _shape_of(kernel: Kernel, X: Tensor) -> tuple[int, ...]:
    """Shape of one point, unfolded where the kernel says how."""
    shape = kernel.input_shape if isinstance(kernel, (NTK, NNGP)) else None
    return tuple(X.shape[1:]) if shape is None else shape
