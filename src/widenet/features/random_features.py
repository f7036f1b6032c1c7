"""The published random features of the ReLU NTK, layer by layer."""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from widenet._arrays import Array, is_count
from widenet.errors import InvalidInput
from widenet.features.angle_terms import inverse
from widenet.features.base import FeatureMap, FittedMap, require_seed, require_size
from widenet.features.hashing import stream
from widenet.features.ntk_sketch import relu_tangent
from widenet.features.rows import Rows, read_rows
from widenet.features.tensor_sketch import ProductSketch
from widenet.kernels import Kernel


@dataclass(frozen=True)
class NTKRandomFeatures(FeatureMap):
    """Random features of the NTK of a bias-free ReLU network, layer by layer, as published.

    From phi = psi = x / |x|, for each of the L hidden layers and m0 = m1 = size / 2 Gaussian directions w,

        phi' = sqrt(2 / m1) max(w . phi, 0),      p0 = sqrt(2 / m0) 1[w . phi > 0],
        psi' = [phi', S(psi (x) p0)],             E <phi', phi'> = kappa_1, E <p0, p0> = kappa_0,

    with S a degree-2 sketch to the other half of the columns; the features are |x| psi. They stand for
    `NTK(fully_connected(L, scaling="geifman"))`, whose value at |x| = 1 on the diagonal is L + 1. Errors fall as
    1 / sqrt(size). Kept for comparison: `PrincipalFeatures` and `NTKSketch` have a fraction of its error.

    Args:
        depth: L, number of hidden layers.
        size: Number of features, at least 2.
        leverage: Whether directions of the ReLU features are drawn with density proportional to |w|^2 exp(-|w|^2 / 2)
            and features divided by |w|. As ReLU is homogeneous the radius cancels: unit directions, times sqrt(d).
        sketch: "product" for S; "exact", for one hidden layer, for the tensor product itself with as many p0 as
            half of the columns hold.
        seed: Of all random numbers.

    Raises:
        InvalidInput: On another depth, size, sketch or seed, or "exact" for more layers or too few columns.

    Cost:
        A row: d (m0 + m1) + (L - 1) m1 (m0 + m1) multiplications, and L sketches. Memory: the directions of all
        layers in single precision, (L - 1) m1 (m0 + m1) numbers.

    References: Zandieh et al. 2021, arXiv 2106.07880; Han et al. 2021, arXiv 2104.01351 (abstracts and released code
        seen, not the full text). Unit directions in the place of its Gibbs sampler are this library's.

    Example:
        >>> import numpy as np
        >>> X = np.array([[1.0, 0.0], [0.0, 1.0]])
        >>> Z = NTKRandomFeatures(depth=1, size=20_000)(X)
        >>> (Z @ Z.T).round(1)  # 2 and 1 / pi
        array([[2. , 0.3],
               [0.3, 2. ]])
    """

    depth: int
    size: int
    leverage: bool = False
    sketch: Literal["product", "exact"] = "product"
    seed: int = 0

    def __post_init__(self) -> None:
        if not is_count(self.depth):
            raise InvalidInput("NTKRandomFeatures.depth must be a whole number of at least 1", repr(self.depth))
        require_size("NTKRandomFeatures", self.size, 2)
        require_seed("NTKRandomFeatures", self.seed)
        if self.sketch not in ("product", "exact") or (self.sketch == "exact" and self.depth > 1):
            raise InvalidInput(
                "NTKRandomFeatures.sketch must be 'product', or 'exact' for one hidden layer", repr(self.sketch)
            )

    @property
    def target(self) -> Kernel:
        """The kernel that the features stand for."""
        return relu_tangent(self.depth)

    def fit(self, X: Array) -> "FittedNTKRandomFeatures":
        """Draw the directions for rows of the length of those of X; nothing else of them matters."""
        dimension = read_rows(X, "NTKRandomFeatures").shape[1]
        m0 = self.size // 2
        if self.sketch == "exact":
            if self.size <= dimension:
                raise InvalidInput("an exact product needs more columns than the rows have", f"{self.size}")
            m0 = max(1, self.size // 2 // dimension)
        m1 = self.size - (m0 * dimension if self.sketch == "exact" else m0)
        layers, phi, psi = [], dimension, dimension
        for number in range(self.depth):
            source = stream("NTKRandomFeatures", self.seed, number)
            steps = source.standard_normal((phi, m0), np.float32)
            ramps = source.standard_normal((phi, m1), np.float32)
            own = int(source.integers(2**32))
            product = None if self.sketch == "exact" else ProductSketch((psi, m0), self.size - m1, own)
            layers.append(RandomLayer(torch.from_numpy(steps), torch.from_numpy(ramps), self.leverage, product))
            phi, psi = m1, self.size
        return FittedNTKRandomFeatures(self.size, dimension, tuple(layers))


@dataclass(frozen=True, eq=False)
class RandomLayer:
    """The directions of one hidden layer.

    Attributes:
        steps: Of the features of kappa_0, (p, m0).
        ramps: Of the features of kappa_1, (p, m1).
        leverage: Whether the latter are read as unit directions.
        product: Sketch of psi (x) p0, or None for the product itself.
    """

    steps: Tensor
    ramps: Tensor
    leverage: bool
    product: ProductSketch | None

    def __call__(self, phi: Rows, psi: Tensor) -> tuple[Tensor, Tensor]:
        """Features phi' and psi' behind the layer."""
        rectified = relu_features(phi, self.ramps, self.leverage)
        steps = (_times(phi, self.steps) > 0).to(rectified) * sqrt(2 / self.steps.shape[1])
        if self.product is None:
            mixed = (psi[:, :, None] * steps[:, None, :]).flatten(1)
        else:
            mixed = self.product.apply(psi, steps)
        return rectified, torch.cat([rectified, mixed], 1)


def relu_features(rows: Rows, directions: Tensor, leverage: bool) -> Tensor:
    """sqrt(2 / m) max(w . x, 0), or sqrt(2 d / m) max(w . x, 0) / |w| with `leverage`, (n, m).

    Args:
        rows: x, (n, d).
        directions: w, (d, m).
        leverage: Which one.
    """
    ramps, (dimension, count) = _times(rows, directions).clamp_min_(0), directions.shape
    if not leverage:
        return ramps.mul_(sqrt(2 / count))
    lengths = torch.linalg.vector_norm(directions.double(), dim=0)
    return ramps.mul_((sqrt(2 * dimension / count) / lengths).to(ramps))


def _times(rows: Rows, matrix: Tensor) -> Tensor:
    if rows.dense is None:
        return torch.from_numpy(rows.csr @ matrix.numpy().astype(rows.csr.data.dtype))
    return rows.dense @ matrix.to(rows.dense)


@dataclass(frozen=True, eq=False)
class FittedNTKRandomFeatures(FittedMap):
    """Directions that are drawn.

    Attributes:
        size: Number of features.
        dimension: Numbers of a row.
        layers: The layers.
    """

    size: int
    dimension: int
    layers: tuple[RandomLayer, ...]

    def transform(self, X: Array) -> Array:
        """Features of rows, dense or SciPy's sparse ones (whose blocks are made dense for the sketch), (n, size)."""
        return self._read(X)[1]

    def nngp(self, X: Array) -> Array:
        """Features of the NNGP of the same network, |x| phi, (n, m1)."""
        return self._read(X)[0]

    def _read(self, X: Array) -> tuple[Array, Array]:
        rows = read_rows(X, "NTKRandomFeatures", self.dimension)
        width = self.layers[-1].ramps.shape[1]
        own, tangent = rows.empty(width), rows.empty(self.size)
        for place, block in rows.blocks(self.size):
            norms = block.norms()
            scales = inverse(norms)[:, None]
            plain = block.dense if block.dense is not None else torch.from_numpy(block.csr.toarray())
            psi = plain * scales
            phi = psi
            for layer in self.layers:
                phi, psi = layer(Rows(phi, None, False), psi)
            own[place], tangent[place] = norms[:, None] * phi, norms[:, None] * psi
        return rows.restore(own), rows.restore(tangent)
