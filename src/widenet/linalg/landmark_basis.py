"""Functions spanned by the kernel at a few landmarks, in coordinates whose inner product is the kernel's norm."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import get_blas_funcs
from torch import Tensor

from widenet._arrays import Array, Inputs, row_blocks
from widenet.errors import InvalidInput
from widenet.kernels.base import Kernel
from widenet.kernels.blocks import new_matrix
from widenet.linalg.kernel_matrix import KernelMatrix
from widenet.linalg.pivoted_cholesky import pivoted_cholesky

_BYTES = 2**25  # of the features that are computed at a time
_CANDIDATES = 4  # rows to choose from for each landmark
_FEWEST = 10_000  # rows to choose from, where there are so many: the choice then costs less than a second


@dataclass(frozen=True, eq=False)
class LandmarkBasis:
    """Landmarks x_1..x_m with K(landmarks) = L L^T, and the features z(x) = L^-1 K(landmarks, x).

    z(x) . z(y) is the Nystroem approximation of K(x, y), exact where x or y is a landmark, and never larger than
    K(x, x) at y = x. A function w . z(x) is sum_j a_j K(x, x_j) with a = L^-T w, and |w| is its norm in the space of
    the kernel.

    Attributes:
        kernel: K.
        landmarks: The points, (m, ...), in the form that the kernel's tensors have.
        lower: L, (m, m), float64.
        size: Number of features, at least m: those above m are 0.
        error: Trace of the error K - Z Z^T over that of K, over the rows from which the landmarks were chosen: a
            little more on other rows.
        candidates: How many rows those were.
    """

    kernel: Kernel
    landmarks: Tensor
    lower: Float[Tensor, "m m"]
    size: int
    error: float
    candidates: int

    @property
    def rank(self) -> int:
        """Number m of landmarks."""
        return len(self.landmarks)

    def read(self, X: Array) -> Inputs:
        """Points as tensors of the form of the landmarks.

        Raises:
            InvalidInput: On points of another form.
        """
        inputs = self.kernel._read_inputs(X)
        self.kernel._check_points(inputs.X)
        form = self.landmarks.shape[1:]
        if inputs.X[0].numel() != form.numel():
            raise InvalidInput(
                f"points must have the shape {tuple(form)} of the landmarks", f"shape {tuple(inputs.X.shape[1:])}"
            )
        # A kernel that knows the form of its images takes them as rows, too.
        return Inputs(inputs.X.reshape(-1, *form), None, inputs.numpy)

    def cross(self, X: Tensor) -> Tensor:
        """K(X, landmarks) in the precision of X, (n, m)."""
        landmarks = self.landmarks.to(X.device, X.dtype)
        return self.kernel._gram(Inputs(X.detach(), landmarks, numpy=False))

    def features(self, X: Tensor) -> Tensor:
        """Features of points as tensors, (n, size), in the precision of X, by blocks of rows.

        Cost:
            n m values of the kernel and n m^2 flops.
        """
        lower = self.lower.to(X.device, X.dtype)
        result = new_matrix(len(X), self.size, X)
        result[:, self.rank :] = 0
        for rows in row_blocks(len(X), self.block_rows(X.dtype)):
            result[rows, : self.rank] = whitened(self.cross(X[rows]), lower)
        return result

    def coefficients(self, weights: Float[Tensor, "size outputs"]) -> Float[Tensor, "m outputs"]:
        """Coefficients a = L^-T w of the kernel at the landmarks, from those of the features."""
        return torch.linalg.solve_triangular(self.lower.T, weights[: self.rank].to(torch.float64), upper=True)

    def block_rows(self, dtype: torch.dtype) -> int:
        """Rows of a block whose features take about 32 MiB."""
        return max(1, _BYTES // (self.size * dtype.itemsize))


def candidate_rows(n: int, size: int) -> int:
    """Rows among which so many landmarks are chosen: 4 for each of them, 10,000 at least, n at most."""
    return min(n, max(_CANDIDATES * size, _FEWEST))


def choose_landmarks(
    kernel: Kernel,
    X: Array,
    size: int,
    seed: int = 0,
    *,
    candidates: int | None = None,
    memory_limit: int | float | str | None = None,
) -> LandmarkBasis:
    """Landmarks among the points X by randomly pivoted Cholesky.

    The choice is made among `candidates` of the rows, drawn without repetition: all of them where there are no more
    than 4 `size` or 10,000. Duplicates are chosen once, and where fewer landmarks than `size` leave nothing but
    rounding of the diagonal, there are fewer.

    Args:
        kernel: K.
        X: Points, (n, ...), NumPy or torch.
        size: Number of landmarks, at most n of which differ.
        seed: Seed of the choice.
        candidates: Rows to choose from; None means the larger of 4 `size` and 10,000.
        memory_limit: Bytes or text for the choice: candidates times size numbers; None means half of what is there.

    Raises:
        InvalidInput: On points that the kernel refuses, and on sequences, which have no one form.
        MemoryLimitExceeded: Where the factor of the candidates does not fit.

    Cost:
        candidates size^2 flops.
    """
    if kernel._packs:
        raise InvalidInput("landmarks are points of one form", "a kernel of packed sequences")
    inputs = kernel._read_inputs(X)
    points, n = inputs.X.detach(), len(inputs.X)
    count = candidate_rows(n, size) if candidates is None else min(n, candidates)
    index = np.arange(n) if count == n else np.sort(np.random.default_rng(seed).choice(n, count, replace=False))
    chosen = points if count == n else points[torch.from_numpy(index).to(points.device)]
    found = pivoted_cholesky(KernelMatrix(kernel, chosen), min(size, count), seed, memory_limit=memory_limit)
    landmarks = chosen[found.pivots].clone()
    lower = _leading_factor(kernel, landmarks)
    rank = len(lower)
    error = found.error
    return LandmarkBasis(kernel, landmarks[:rank], lower, size, error, count)


def whitened(cross: Tensor, lower: Tensor) -> Tensor:
    """C L^-T of C (n, m), which on the CPU is overwritten."""
    if cross.device.type != "cpu":
        return torch.linalg.solve_triangular(lower.T, cross, upper=True, left=False)
    # In place, by SciPy's BLAS, where torch takes half as long again: L C^T = C^T in columns.
    (solve,) = get_blas_funcs(("trsm",), (values := cross.contiguous().numpy(),))
    return torch.from_numpy(solve(1.0, lower.numpy(), values.T, lower=1, overwrite_b=1).T)


def _leading_factor(kernel: Kernel, landmarks: Tensor) -> Tensor:
    """Cholesky factor of K(landmarks) in float64, of as many leading landmarks as it exists for."""
    gram = kernel._gram(Inputs(landmarks.to(torch.float64), None, numpy=False))
    lower, info = torch.linalg.cholesky_ex(gram)
    if int(info):
        count = int(info) - 1
        if count == 0:
            raise InvalidInput("landmarks need points where the kernel is not 0", "a kernel matrix of zeros")
        lower = torch.linalg.cholesky(gram[:count, :count])
    return lower
