"""Kernel ridge on landmarks of rows that lie on many machines."""

from typing import Any

import dask
import numpy as np

from widenet._arrays import Array
from widenet.estimators.distributed.partitions import Rows, map_partitions, read_rows, read_values, tree_sum
from widenet.estimators.distributed.sources import SAMPLE_ROWS, sample_points
from widenet.kernels.base import Kernel
from widenet.linalg.landmark_basis import LandmarkBasis
from widenet.solvers.landmark_equations import LandmarkEquations, LandmarkPath
from widenet.solvers.landmarks import Landmarks


def landmark_path(
    kernel: Kernel, X: Rows, y: Rows, ridges: Array, weights: Rows | None = None, *, solver: Landmarks | None = None
) -> LandmarkPath:
    """Kernel ridge regression on landmarks for several ridges, on the machines that hold the rows.

    f(x) = sum_j a_j K(x, x_j) + b minimises sum_i w_i |y_i - f(x_i)|^2 + ridge |f - b|^2 over all n rows. Landmarks x_j
    are chosen among rows at random, drawn on the workers; the sums Z^T W Z of each partition, z(x) = L^-1 K(S, x), are
    made where it lies and added in a fixed order (`LandmarkEquations`).

    Args:
        kernel: K.
        X: Points, a dask array (n, ...) or data frame of numbers.
        y: Targets, (n,) or (n, outputs), cut like X.
        ridges: Ridges of at least 0, (r,).
        weights: Weights of at least 0, (n,), or None for ones.
        solver: Number of landmarks, seed and scale of the ridges; its direct way is taken. None means `Landmarks()`.

    Returns:
        The fits of all ridges: `path.fit().predict` on rows here, or on a dask array by its `map_blocks`.

    Raises:
        InvalidInput: On points that the kernel refuses and rows that do not fit, with the partition.

    Cost:
        n m values of the kernel, 2 n m^2 flops on the workers, 9 m^3 flops here; m^2 numbers a partition are added.

    Example:
        >>> import dask.array as da
        >>> from widenet.kernels import Laplace
        >>> X = da.random.default_rng(0).uniform(-1, 1, size=(1000, 2), chunks=(250, 2))
        >>> with dask.config.set(scheduler="synchronous"):
        ...     path = landmark_path(Laplace(1.0), X, X[:, 0], [1e-6, 1e-3], solver=Landmarks(size=100))
        ...     f = X.map_blocks(path.fit().predict, drop_axis=1, dtype=float, meta=np.empty(0))
        ...     error = abs(f - X[:, 0]).mean().compute()
        >>> bool(error < 0.05)
        True
    """
    solver = Landmarks() if solver is None else solver
    rows = read_rows(X)
    values = [read_values(y, rows), *([] if weights is None else [read_values(weights, rows, "weights")])]
    candidates = max(4 * solver.size, SAMPLE_ROWS) if solver.candidates is None else solver.candidates
    basis = solver.basis(kernel, sample_points(rows, candidates, solver.seed))
    outputs = 1 if values[0].ndim == 1 else int(values[0].shape[1])
    parts = map_partitions(_sums, rows, *values, shared=dask.delayed((basis, outputs), traverse=False))
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "4 GiB"}):
        (equations,) = dask.compute(tree_sum(parts))
    equations._vector = values[0].ndim == 1
    return equations.ridge_path(np.asarray(ridges, dtype=np.float64), solver.ridge_scale)


def _sums(
    shared: tuple[LandmarkBasis, int], number: int, X: np.ndarray, y: np.ndarray, weight: Any = None
) -> LandmarkEquations:
    """A task: the sums of one partition."""
    equations = LandmarkEquations(*shared)
    return equations.add(X, y, weight) if len(X) else equations
