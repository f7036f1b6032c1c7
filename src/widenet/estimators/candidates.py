"""The kernels among which `kernel="auto"` chooses, and the Gram matrices of some on a few rows."""

from collections.abc import Iterator
from functools import cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from widenet.architectures import fully_connected
from widenet.kernels import NNGP, NTK, GammaExponential, Gaussian, Kernel, Laplace

DEPTHS = (1, 2, 3, 4, 5)
BIAS_STDS = (0.3, 1.0)
LAPLACE_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
ROOT_SCALES = (0.25, 1.0, 4.0, 16.0)
BETWEEN_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
GAUSSIAN_SCALES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)

Gram = Float[ndarray, "n n"]


@cache
def unbiased_networks() -> tuple[Kernel, ...]:
    """NTKs and NNGPs of ReLU networks without bias, depth 1 to 5: their features have no noise, for sparse rows too."""
    return tuple(kind(fully_connected(depth, scaling="geifman")) for kind in (NTK, NNGP) for depth in DEPTHS)


def candidate_grams(X: Float[ndarray, "n d"]) -> Iterator[tuple[Kernel, Gram]]:
    """Every candidate with its Gram matrix on the rows X, which have a mean squared norm of 1.

    NTKs of depth 1 to 5 without bias and with two sizes of it, NNGPs of depth 0 (linear) to 5, and Laplace,
    gamma-exponential (gamma 1/2 and 3/2) and Gaussian kernels over a range of scales. Two points at random
    are sqrt(2) apart in root mean square, which is the unit that the scales were laid around.

    The matrices of the networks come from one pass of the recursion for all depths and biases, without the
    compiled profile of each kernel: they decide which kernels are worth compiling.
    """
    yield from _network_grams(X)
    for scale in LAPLACE_SCALES:
        yield _with_gram(Laplace(scale), X)
    for scale in ROOT_SCALES:
        yield _with_gram(GammaExponential(scale, 0.5), X)
    for scale in BETWEEN_SCALES:
        yield _with_gram(GammaExponential(scale, 1.5), X)
    for scale in GAUSSIAN_SCALES:
        yield _with_gram(Gaussian(scale), X)


def _with_gram(kernel: Kernel, X: Float[ndarray, "n d"]) -> tuple[Kernel, Gram]:
    return kernel, kernel(X)


def _network_grams(X: Float[ndarray, "n d"]) -> Iterator[tuple[Kernel, Gram]]:
    """NTKs K_0 + bias_std^2 B and NNGPs S of ReLU networks, by the recursion over the layers on the angle.

    S_l = |x||z| cos(theta_l), cos(theta_l) = (sin(theta) + (pi - theta) cos(theta)) / pi at theta = theta_(l-1),
    K_l = K_(l-1) k_0 + S_l and B_l = B_(l-1) k_0 + 1 with k_0 = 1 - theta_(l-1) / pi (Geifman et al. 2020,
    arXiv 2007.01580). A zero row has S = K = 0 and B = 1.
    """
    norms = np.linalg.norm(X, axis=1)
    unit = X / np.where(norms > 0, norms, 1.0)[:, None]
    product = np.outer(norms, norms)
    cosine = np.clip(unit @ unit.T, -1.0, 1.0)
    np.fill_diagonal(cosine, 1.0)
    angle, slope = np.arccos(cosine), product > 0
    ntk = covariance = product * cosine
    bias = np.ones_like(product)
    yield NNGP(fully_connected(0, scaling="geifman")), covariance
    for depth in DEPTHS:
        share = np.where(slope, 1.0 - angle / np.pi, 0.0)
        cosine = np.clip((np.sin(angle) + (np.pi - angle) * cosine) / np.pi, -1.0, 1.0)
        angle = np.arccos(cosine)
        covariance = product * cosine
        ntk, bias = ntk * share + covariance, bias * share + 1.0
        yield NNGP(fully_connected(depth, scaling="geifman")), covariance
        yield NTK(fully_connected(depth, scaling="geifman")), ntk
        for bias_std in BIAS_STDS:
            kernel = NTK(fully_connected(depth, bias_std=bias_std, scaling="geifman"))
            yield kernel, ntk + bias_std**2 * bias
