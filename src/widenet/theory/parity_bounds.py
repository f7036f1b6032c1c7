"""What no kernel can do for sparse parities on uniform points: lower bounds, and exact values for small cubes.

All C(n, k) parities chi_S of k out of n coordinates are orthonormal under the uniform law on {-1, 1}^n. So a space of
p features, or the ball of a kernel, has little for the average one of them. Values at the points of the cube stand in
the order of `widenet.theory.parity_problem.cube`.
"""

from itertools import combinations
from math import comb, inf, sqrt

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_triangular

from widenet.errors import InvalidInput
from widenet.theory.parity_problem import cube

_ASYMMETRY = 1e-10


def dimension_bound(features: int, n: int, k: int) -> float:
    """Bound p / (2 C(n, k)) of the mean over all S, |S| = k, of the largest edge of p features for chi_S.

    The features may be any functions, fixed before S is drawn; points are uniform. The mean is
    sum_S |P chi_S|^2 / (2 C(n, k)) with the projection P on the features' span, whose trace is at most p.

    Args:
        features: Their number p.
        n: Coordinates.
        k: Those of the parity.

    Returns:
        The bound; 1/2, the edge of chi_S itself, bounds it too.

    Raises:
        InvalidInput: On numbers out of range.

    References:
        Derived here; compare Malach et al. 2021, arXiv 2103.01210.

    Example:
        >>> round(dimension_bound(features=20, n=10, k=3), 5)
        0.08333
    """
    if features < 0:
        raise InvalidInput("the number of features must not be negative", repr(features))
    return features / (2 * _count(n, k))


def norm_bound(norm: float, n: int, k: int) -> float:
    """Bound B / sqrt(C(n, k)) of the root mean square over all S of the largest E[h chi_S] with |h| <= B.

    For every kernel with K(x, x) <= 1 and h in its space. The largest correlation is B sqrt(E chi_S(x) K(x, x')
    chi_S(x')), and these squares add up to at most B^2 times the trace E K(x, x).

    Args:
        norm: B.
        n: Coordinates.
        k: Those of the parity.

    Returns:
        The bound.

    Raises:
        InvalidInput: On numbers out of range.

    References:
        Derived here; compare Malach et al. 2021, arXiv 2103.01210.

    Example:
        >>> round(norm_bound(norm=10.0, n=128, k=7), 7)
        3.25e-05
    """
    if not 0 <= norm < inf:
        raise InvalidInput("the norm must be finite and not negative", repr(norm))
    return norm / sqrt(_count(n, k))


def parities(n: int, k: int) -> Float[np.ndarray, "points parities"]:
    """Values of all parities of k out of n coordinates at all points of the cube.

    Args:
        n: Coordinates, at most 16.
        k: Those of the parity.

    Returns:
        Values, (2^n, C(n, k)), with S in the order of `itertools.combinations`.

    Raises:
        InvalidInput: On numbers out of range.
    """
    _count(n, k)
    X = cube(n)
    return np.stack([np.prod(X[:, list(support)], axis=1) for support in combinations(range(n), k)], axis=1)


def parity_edges(features: Float[np.ndarray, "points p"], k: int) -> Float[np.ndarray, " parities"]:
    """Largest edge of these features, with weights of any size, for every parity of k coordinates; exact.

    Args:
        features: Values at all points of the cube, (2^n, p).
        k: Coordinates of the parity.

    Returns:
        Edges under the uniform law, (C(n, k),).

    Raises:
        InvalidInput: If the rows are not those of a cube.

    Cost: 2^n p min(2^n, p) + 2^n p C(n, k).
    """
    n = _coordinates(features)
    left, values, _ = np.linalg.svd(features, full_matrices=False)
    kept = left[:, values > values[0] * max(features.shape) * np.finfo(np.float64).eps]
    return np.sum(np.square(kept.T @ parities(n, k)), axis=0) / (2 * len(features))


def embedding_norms(K: Float[np.ndarray, "points points"], k: int) -> Float[np.ndarray, " parities"]:
    """E chi_S(x) K(x, x') chi_S(x') for every S of k coordinates: squared norms of the mean embeddings of chi_S; exact.

    B times the root is the largest E[h chi_S] over functions of norm B. For kernels of <x, x'> alone it is the
    eigenvalue of the kernel for chi_S, and 1 / it the squared norm of chi_S in the kernel's space.

    Args:
        K: Gram matrix of the cube, (2^n, 2^n).
        k: Coordinates of the parity.

    Returns:
        The squared norms under the uniform law, (C(n, k),).

    Raises:
        InvalidInput: If K is not a symmetric matrix over a cube.

    Cost: 4^n C(n, k).

    Example:
        >>> K = np.exp(cube(10) @ cube(10).T / 10 - 1)
        >>> embedding_norms(K, k=3)[[0, 119]]
        array([0.00038287, 0.00038287])
    """
    chi = parities(_gram(K), k)
    return np.sum(chi * (K @ chi), axis=0) / len(K) ** 2


def rkhs_norms(K: Float[np.ndarray, "points points"], k: int) -> Float[np.ndarray, " parities"]:
    """Squared norm chi_S^T K^-1 chi_S of every parity of k coordinates in the kernel's space over the cube; exact.

    By Cauchy and Schwarz it is at least 1 / E chi_S K chi_S, with equality for kernels of <x, x'> alone.

    Args:
        K: Gram matrix of the cube, (2^n, 2^n), positive definite.
        k: Coordinates of the parity.

    Returns:
        The squared norms, (C(n, k),).

    Raises:
        InvalidInput: If K is not a symmetric positive definite matrix over a cube.

    Cost: 8^n / 3.
    """
    chi = parities(_gram(K), k)
    try:
        half = solve_triangular(np.linalg.cholesky(K), chi, lower=True)
    except np.linalg.LinAlgError:
        raise InvalidInput(
            "the Gram matrix of the cube must be positive definite", "one that is not", "Some parity has no norm in it"
        ) from None
    return np.sum(np.square(half), axis=0)


def _count(n: int, k: int) -> int:
    if not 1 <= k <= n:
        raise InvalidInput("k must lie between 1 and n", f"k = {k}, n = {n}")
    return comb(n, k)


def _coordinates(values: np.ndarray) -> int:
    n = max(len(values).bit_length() - 1, 1)
    if len(values) != 2**n:
        raise InvalidInput("values must have one row for each of the 2^n points of a cube", f"{len(values)} rows")
    return n


def _gram(K: np.ndarray) -> int:
    n = _coordinates(K)
    if K.shape != (len(K), len(K)) or not np.all(np.abs(K - K.T) <= _ASYMMETRY * np.abs(K).max()):
        raise InvalidInput("a Gram matrix must be symmetric and finite", "one that is not")
    return n
