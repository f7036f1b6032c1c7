"""Kernel ridge on landmarks from normal equations that are summed over blocks of rows, here or elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from widenet._arrays import Array, row_blocks
from widenet.errors import InvalidFile, InvalidInput
from widenet.linalg.landmark_basis import LandmarkBasis
from widenet.solvers.base import RidgeScale, Solution
from widenet.solvers.ridge_path import RidgePath
from widenet.solvers.streaming import NormalEquations


@dataclass(frozen=True, eq=False)
class LandmarkFit:
    """f(x) = sum_j a_j K(x, x_j) + b over the landmarks x_j.

    Attributes:
        basis: Landmarks, and the coordinates in which the fit was found.
        solution: Coefficients a, (m,) or (m, outputs), with what was reached.
        intercepts: b, a number for each output, (outputs,).
        ridge: The absolute ridge.
    """

    basis: LandmarkBasis
    solution: Solution
    intercepts: Float[ndarray, "outputs"]
    ridge: float

    def predict(self, X: Array) -> Array:
        """Values of f at points, (n,) or (n, outputs) as the targets were, by blocks of rows.

        Returns:
            Predictions in float64, in the array kind of X.
        """
        inputs = self.basis.read(X)
        value = torch.as_tensor(self.solution.value, dtype=torch.float64, device=inputs.X.device)
        columns = value.reshape(len(value), -1)
        result = torch.empty(len(inputs.X), columns.shape[1], dtype=torch.float64, device=inputs.X.device)
        for rows in row_blocks(len(result), self.basis.block_rows(torch.float64)):
            result[rows] = self.basis.cross(inputs.X[rows]).to(torch.float64) @ columns
        result += torch.as_tensor(self.intercepts, device=inputs.X.device)
        return inputs.restore(result[:, 0] if value.ndim == 1 else result)


@dataclass(frozen=True, eq=False)
class LandmarkPath:
    """Fits for several ridges from one decomposition.

    Attributes:
        basis: Landmarks.
        path: Coefficients in the coordinates of the features, intercepts, training errors, degrees of freedom, GCV.
        relative: What a relative ridge is multiplied by: the weighted mean of K(x, x).
        vector: Whether targets came as (n,).
    """

    basis: LandmarkBasis
    path: RidgePath
    relative: float
    vector: bool

    @property
    def best(self) -> int:
        """Position of the ridge whose GCV score, added over the outputs relative to their smallest, is the least."""
        scores = self.path.gcv / np.maximum(self.path.gcv.min(axis=0), np.finfo(np.float64).tiny)
        return int(scores.sum(axis=1).argmin())

    def fit(self, position: int | None = None) -> LandmarkFit:
        """The fit of one ridge, by its position in the path; None means the best by GCV."""
        at = self.best if position is None else position
        weights = torch.from_numpy(np.ascontiguousarray(self.path.coefficients[at]))
        value = self.basis.coefficients(weights).numpy()
        how = f"normal equations of {self.basis.rank} landmarks"
        solution = Solution(value[:, 0] if self.vector else value, True, 0.0, 1, how)
        return LandmarkFit(self.basis, solution, self.path.intercepts[at], float(self.path.absolute[at]))


class LandmarkEquations:
    """Sums over rows from which kernel ridge on landmarks follows for every ridge.

    The problem is min over a, b of sum_i w_i |y_i - f(x_i)|^2 + ridge |f - b|^2 with f(x) = sum_j a_j K(x, x_j) + b
    and the norm of the kernel's space: for landmarks at all points it is kernel ridge regression with an intercept.
    It is solved in the coordinates z(x) = L^-1 K(landmarks, x), where the norm is |w|: sums of Z^T W Z rather than of
    K_mn W K_nm, whose condition is worse by that of K(landmarks).

    Rows come in any blocks (`add`), and sums of other rows are added (`+`), in whatever process they were made, as
    long as the basis is one. Everything is float64 but for the kernel values and features, which are in the precision
    of the points.

    Args:
        basis: Landmarks.
        outputs: Number of targets.

    Example:
        >>> import numpy as np
        >>> from widenet.kernels import Gaussian
        >>> from widenet.linalg.landmark_basis import choose_landmarks
        >>> X = np.random.default_rng(0).uniform(-3, 3, size=(500, 1))
        >>> basis = choose_landmarks(Gaussian(1.0), X, 20)
        >>> first = LandmarkEquations(basis).add(X[:300], np.sin(X[:300, 0]))
        >>> both = first + LandmarkEquations(basis).add(X[300:], np.sin(X[300:, 0]))
        >>> fit = both.ridge_path([1e-6, 1e-3]).fit()
        >>> bool(abs(fit.predict(X) - np.sin(X[:, 0])).max() < 1e-2)
        True
    """

    def __init__(self, basis: LandmarkBasis, outputs: int = 1) -> None:
        self.basis = basis
        self.equations = NormalEquations(basis.size, outputs)
        self._weight = self._diagonal = 0.0
        self._vector = outputs == 1

    def __repr__(self) -> str:
        return f"<LandmarkEquations of {self.basis.rank} landmarks, {self.equations.rows} rows>"

    def add(self, X: Array, y: Array, weight: Array | None = None) -> Self:
        """Take rows in, by blocks, and return self.

        Args:
            X: Points, (n, ...).
            y: Targets, (n,) or (n, outputs).
            weight: Weights of at least 0, (n,), or None for ones.

        Raises:
            InvalidInput: On points of another form, or shapes that do not match.
        """
        points, self._vector = self.basis.read(X).X, np.ndim(y) == 1
        if np.shape(y)[:1] != (len(points),) or (weight is not None and np.shape(weight) != (len(points),)):
            raise InvalidInput(f"targets and weights must have {len(points)} rows", f"shape {np.shape(y)}")
        weights = np.ones(len(points)) if weight is None else _numpy(weight)
        for rows in row_blocks(len(points), self.basis.block_rows(points.dtype)):
            self.equations.add(self.basis.features(points[rows]), y[rows], weights[rows])
            diagonal = self.basis.kernel._diagonal(points[rows]).detach().to("cpu", torch.float64).numpy()
            self._weight += float(weights[rows].sum())
            self._diagonal += float(weights[rows] @ diagonal)
        return self

    def __iadd__(self, other: "LandmarkEquations") -> Self:
        """Take the sums of other rows in, in place."""
        if self.basis is not other.basis and not torch.equal(self.basis.landmarks, other.basis.landmarks):
            raise InvalidInput("sums over rows must have one basis to be added", f"{self!r} and {other!r}")
        self.equations += other.equations
        self._weight += other._weight
        self._diagonal += other._diagonal
        return self

    def __add__(self, other: "LandmarkEquations") -> "LandmarkEquations":
        total = LandmarkEquations(self.basis, self.equations.outputs)
        total._vector = self._vector
        total += self
        total += other
        return total

    @property
    def relative(self) -> float:
        """The weighted mean of K(x, x), by which relative ridges are multiplied."""
        return self._diagonal / self._weight if self._weight > 0 else 0.0

    def ridge_path(self, ridges: Array, ridge_scale: RidgeScale = "relative") -> LandmarkPath:
        """Fits for all ridges from one eigen-decomposition.

        Eigenvalues of Z^T W Z below 64 eps of the largest are rounding of the sums and left out: about 1.4e-14 n of
        the mean of K(x, x), which is the least ridge that the normal equations can tell from 0.

        Args:
            ridges: Ridges of at least 0, (r,).
            ridge_scale: "relative" (times the weighted mean of K(x, x)) or "absolute".

        Cost:
            9 m^3 flops.
        """
        scale = self.relative if ridge_scale == "relative" else 1.0
        absolute = np.atleast_1d(np.asarray(ridges, dtype=np.float64)) * scale
        return LandmarkPath(self.basis, self.equations.ridge_path(absolute, "absolute"), self.relative, self._vector)

    def leave_one_out(
        self, rows: tuple[Array, Array], ridges: Array, weight: Array | None = None
    ) -> Float[ndarray, "r n t"]:
        """Prediction of rows of the fit by the solution of all the others for each ridge; a second pass.

        Args:
            rows: Points (n, ...) and targets (n,) or (n, outputs) that were added.
            ridges: Ridges, relative to the mean of K(x, x), (r,).
            weight: Their weights, (n,), or None for ones.

        Returns:
            Predictions, (r, n, outputs); the landmarks stay as they are.
        """
        points, y = self.basis.read(rows[0]).X, _numpy(rows[1])
        absolute = np.atleast_1d(np.asarray(ridges, dtype=np.float64)) * self.relative
        spectrum = self.equations.decompose("absolute")
        parts = []
        for part in row_blocks(len(points), self.basis.block_rows(torch.float64)):
            w = None if weight is None else _numpy(weight)[part]
            Z = self.basis.features(points[part]).to("cpu", torch.float64).numpy()
            parts.append(spectrum.leave_one_out(Z, y[part], absolute, w))
        return np.concatenate(parts, axis=1)

    def arrays(self) -> Mapping[str, ndarray]:
        """The sums as float arrays, for a file; `from_arrays` reads them. The basis is not among them."""
        return self.equations.arrays() | {"landmark_sums": np.array([self._weight, self._diagonal])}

    @classmethod
    def from_arrays(cls, basis: LandmarkBasis, state: Mapping[str, ndarray]) -> Self:
        """The sums of a file, for the basis that they were made with.

        Raises:
            InvalidFile: Where the arrays do not fit together or belong to a basis of another size.
        """
        equations = NormalEquations.from_arrays(state)
        sums = state.get("landmark_sums")
        if sums is None or np.shape(sums) != (2,) or equations.size != basis.size:
            raise InvalidFile(f"sums over rows must be those of {basis.size} landmarks", repr(equations))
        found = cls(basis, equations.outputs)
        found.equations, found._weight, found._diagonal = equations, float(sums[0]), float(sums[1])
        return found


def _numpy(array: Array) -> ndarray:
    return np.asarray(array.detach().cpu() if isinstance(array, Tensor) else array, dtype=np.float64)
