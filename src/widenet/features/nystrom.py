"""Nystroem features: the kernel at landmarks that randomly pivoted Cholesky chooses, whitened."""

from dataclasses import dataclass

from widenet._arrays import Array, is_count
from widenet.errors import InvalidInput
from widenet.features.base import FeatureMap, FittedMap, require_seed, require_size
from widenet.kernels.base import Kernel
from widenet.linalg.landmark_basis import LandmarkBasis, choose_landmarks


@dataclass(frozen=True, eq=False)
class FittedNystroem(FittedMap):
    """Features z(x) = L^-1 K(landmarks, x) with L L^T = K(landmarks).

    Attributes:
        basis: Landmarks and L.
    """

    basis: LandmarkBasis

    @property
    def size(self) -> int:
        """Number of features; where the points give fewer landmarks, the last features are 0."""
        return self.basis.size

    @property
    def error(self) -> float:
        """Mean of K(x, x) - |z(x)|^2 over the rows of the choice, relative to the mean of K(x, x).

        This is the trace of K - Z Z^T, a positive semi-definite matrix, relative to that of K: it bounds the error
        |K - Z Z^T| in the spectral and the Frobenius norm, relative to the trace.
        """
        return self.basis.error

    def transform(self, X: Array) -> Array:
        """Features of points, (n, size); see `FittedMap.transform`."""
        inputs = self.basis.read(X)
        return inputs.restore(self.basis.features(inputs.X))


@dataclass(frozen=True)
class Nystroem(FeatureMap):
    """Features of any kernel from landmarks among the points: z(x) . z(y) = k(x, S) K(S, S)^-1 k(S, y).

    The landmarks S are chosen by randomly pivoted Cholesky among the points of the fit, or among some of them: no more
    than the larger of 4 `size` and 10,000, drawn without repetition. Z Z^T is exact in the rows and columns of the
    landmarks, and K - Z Z^T is positive semi-definite; its trace is known (`fit(X).error`).

    Args:
        kernel: Kernel.
        size: Number of features.
        seed: Seed of the choice of landmarks.
        candidates: Rows among which landmarks are chosen; None means as above.
        memory_limit: Bytes or text for the choice: candidates times size numbers.

    Raises:
        InvalidInput: On a size, seed or number of candidates that is no whole number.

    Cost:
        Fit: min(n, max(4 size, 10,000)) size^2 flops and numbers of memory without the square. Transform: size values
        of the kernel and size^2 flops a row.

    References:
        Chen, Epperly, Tropp and Webber 2022, arXiv 2207.06503 (the choice); Williams and Seeger 2001, "Using the
        Nystroem method to speed up kernel machines".

    Example:
        >>> import numpy as np
        >>> from widenet.kernels import Laplace
        >>> X = np.random.default_rng(0).normal(size=(500, 2))
        >>> fitted = Nystroem(Laplace(scale=3.0), size=100, seed=0).fit(X)
        >>> Z = fitted.transform(X)
        >>> bool(abs(np.einsum("ij,ij->", Z, Z) / 500 - (1 - fitted.error)) < 1e-9), fitted.error < 0.1
        (True, True)
    """

    kernel: Kernel
    size: int
    seed: int = 0
    candidates: int | None = None
    memory_limit: int | float | str | None = None

    def __post_init__(self) -> None:
        require_size("Nystroem", self.size)
        require_seed("Nystroem", self.seed)
        if self.candidates is not None and not is_count(self.candidates):
            raise InvalidInput(
                "Nystroem.candidates must be None or a whole number of at least 1", repr(self.candidates)
            )

    def fit(self, X: Array) -> FittedNystroem:
        """Choose the landmarks; see `FeatureMap.fit`."""
        return FittedNystroem(
            choose_landmarks(
                self.kernel, X, self.size, self.seed, candidates=self.candidates, memory_limit=self.memory_limit
            )
        )
