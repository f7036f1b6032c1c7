"""The front door of explicit features: one that fits the kernel, chosen by its kind, which can be asked before."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from widenet._arrays import Array
from widenet.errors import InvalidInput, WidenetError
from widenet.features.angle_terms import AngleForm, shares
from widenet.features.architecture import ArchitectureFeatures
from widenet.features.base import FeatureMap, FittedMap, require_seed, require_size
from widenet.features.combined import ProductFeatures, ScaledFeatures, SumFeatures
from widenet.features.fourier import FourierFeatures, spread
from widenet.features.ntk_sketch import NTKSketch
from widenet.features.nystrom import Nystroem
from widenet.features.principal import PrincipalFeatures
from widenet.features.rows import read_rows
from widenet.kernels import NNGP, NTK, Kernel, Product, Scaled, Sum
from widenet.kernels.readings import Rows as RowReading
from widenet.kernels.stationary import Stationary

_DEGREE = 8  # of the polynomial where rows must not be looked at
_DIAGONAL_ROWS = 16  # whose diagonal splits the size of a sum


@dataclass(frozen=True)
class SketchChoice:
    """The features that a sketch uses, and the reason.

    Attributes:
        features: The feature map.
        why: The reason, in words.
    """

    features: FeatureMap
    why: str


@dataclass(frozen=True)
class Sketch(FeatureMap):
    """Explicit features Z of any kernel with Z Z^T close to K, by the way that fits the kernel and the points.

    The decisions, in order:

    1. A kernel of the angle on these rows (NTK or NNGP of a bias-free ReLU-like network, `Homogeneous`, `Zonal`,
       `ArcCosine`, `Linear`, their sums, products, scalings; or any kernel of the angle where all rows have one norm):
       `PrincipalFeatures`, which look at the rows of the fit; `NTKSketch` of degree 8 where `adapt` is False.
    2. factor K: features of K times the root of the factor.
    3. K1 + K2: features of both side by side, columns in proportion to their mean diagonals.
    4. A stationary kernel with a known spectral density: `FourierFeatures`.
    5. NTK or NNGP of other layers, on rows or images: `ArchitectureFeatures`.
    6. K1 K2: a sketch of the products of features of both.
    7. Any other kernel, sequences among them: landmarks, `Nystroem`, which need `adapt`.

    `decide(X)` says which one, before any work.

    Args:
        kernel: The kernel.
        size: Number of features.
        seed: Of all random numbers.
        adapt: Whether the map may look at the points of the fit; False for one that depends on their form alone, as
            streams of rows whose first blocks are unlike the later ones want it.

    Raises:
        InvalidInput: If it is not a kernel, on another size or seed, or where `adapt` is False and nothing else serves.

    Cost:
        That of the chosen features.

    Example:
        >>> import numpy as np
        >>> from widenet.architectures import fully_connected
        >>> X = np.random.default_rng(0).random((300, 6))
        >>> kernel = NTK(fully_connected(3))
        >>> Z, K = Sketch(kernel, size=100)(X), kernel(X)
        >>> bool(np.linalg.norm(Z @ Z.T - K) < 0.03 * np.linalg.norm(K))
        True
        >>> Sketch(kernel, size=100).decide(X).why
        'a function of the angle: exact products along the principal directions of the rows'
    """

    kernel: Kernel
    size: int
    seed: int = 0
    adapt: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, Kernel):
            raise InvalidInput("Sketch takes a kernel", repr(self.kernel), "NTK(architecture), for example")
        require_size("Sketch", self.size)
        require_seed("Sketch", self.seed)

    def fit(self, X: Array) -> FittedMap:
        """Fit the chosen features to points like X."""
        return self.decide(X).features.fit(X)

    def decide(self, X: Array) -> SketchChoice:
        """The choice for points like X, and its reason; looks at their form alone, and at the norms of rows.

        Raises:
            InvalidInput: On a kernel without features that do not look at the points, where `adapt` is False.
        """
        kernel = self.kernel
        if _of_the_angle(kernel, X):
            if self.adapt:
                why = "a function of the angle: exact products along the principal directions of the rows"
                return SketchChoice(PrincipalFeatures(kernel, self.size, self.seed), why)
            why = "a function of the angle: a polynomial in the cosine, low degrees exact and the others sketched"
            return SketchChoice(NTKSketch(kernel, self.size, _DEGREE, seed=self.seed), why)
        if isinstance(kernel, Scaled):
            inner = self._part(kernel.kernel, self.size, 0).decide(X)
            return SketchChoice(ScaledFeatures(kernel.factor, inner.features), f"a factor times {inner.why}")
        if isinstance(kernel, Sum) and self.size > 1:
            return self._sum(kernel, X)
        if isinstance(kernel, Stationary) and _has_density(kernel):
            why = "a stationary kernel: random waves that follow its spectral density"
            return SketchChoice(FourierFeatures(kernel, self.size, self.seed), why)
        if isinstance(kernel, (NTK, NNGP)) and not kernel._packs and not sparse.issparse(X):
            features = ArchitectureFeatures(kernel, self.size, self.seed)
            try:
                features.fit(X)
            except WidenetError:
                return self._landmarks("layers without a reading in features at this size")
            return SketchChoice(features, "a network: its layers propagate features in the place of moments")
        if isinstance(kernel, Product):
            parts = [self._part(part, self.size, i).decide(X) for i, part in enumerate((kernel.first, kernel.second))]
            why = f"a product of ({parts[0].why}) and ({parts[1].why}), sketched"
            return SketchChoice(ProductFeatures(parts[0].features, parts[1].features, self.size, self.seed), why)
        return self._landmarks("a kernel without a known expansion")

    def _part(self, kernel: Kernel, size: int, number: int) -> "Sketch":
        seed = int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0]) if number else self.seed
        return Sketch(kernel, size, seed, self.adapt)

    def _sum(self, kernel: Sum, X: Array) -> SketchChoice:
        few = X[:_DIAGONAL_ROWS]
        few = few.toarray() if sparse.issparse(few) else few
        weights = [float(part.diagonal(few).mean()) for part in (kernel.first, kernel.second)]
        sizes = shares([max(weight, 1e-9 * max(weights)) for weight in weights], self.size)
        pairs = zip((kernel.first, kernel.second), sizes, strict=True)
        parts = [self._part(part, size, number).decide(X) for number, (part, size) in enumerate(pairs)]
        why = f"a sum of ({parts[0].why}; {sizes[0]} columns) and ({parts[1].why}; {sizes[1]} columns)"
        return SketchChoice(SumFeatures(parts[0].features, parts[1].features), why)

    def _landmarks(self, reason: str) -> SketchChoice:
        if not self.adapt:
            raise InvalidInput(
                "features that do not look at the points need a kernel with a known expansion",
                f"{reason}: {self.kernel!r}",
                "Use adapt=True, which takes landmarks among the points",
            )
        return SketchChoice(Nystroem(self.kernel, self.size, self.seed), f"{reason}: landmarks among the points")


def _of_the_angle(kernel: Kernel, X: Array) -> bool:
    if kernel._packs or (not sparse.issparse(X) and np.ndim(X) != 2):
        return False
    if isinstance(kernel, (NTK, NNGP)) and not isinstance(kernel._reading, RowReading):
        return False
    return AngleForm.of(kernel, read_rows(X, "Sketch")) is not None


def _has_density(kernel: Stationary) -> bool:
    try:
        spread(kernel, np.random.default_rng(0), 1)
    except InvalidInput:
        return False
    return True
