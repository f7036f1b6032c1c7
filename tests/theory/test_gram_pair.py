"""Decomposed pairs of Gram matrices against the matrices themselves."""

import numpy as np
import pytest
import torch

from widenet.errors import InvalidInput
from widenet.kernels import Gaussian, Laplace
from widenet.theory.gram_pair import GramPair

rng = np.random.default_rng(0)
X, NEW = torch.from_numpy(rng.normal(size=(7, 2))), torch.from_numpy(rng.normal(size=(4, 2)))
PAIR = GramPair(Laplace(1.0), Gaussian(1.0), X)


def test_the_parts_make_the_matrices():
    theta, K = Laplace(1.0), Gaussian(1.0)
    V = PAIR.ntk_spectrum.vectors
    torch.testing.assert_close(V @ torch.diag(PAIR.rates) @ V.T, theta(X))
    root = V @ PAIR.root
    torch.testing.assert_close(root @ root.T, K(X))
    for points in (NEW, None):
        cross = theta(X if points is None else points, X)
        torch.testing.assert_close(PAIR.cross(points) @ V.T, cross)
        torch.testing.assert_close(PAIR.kernel_cross("ntk", points), cross)
        known = K(X) if points is None else K(X, points)
        torch.testing.assert_close(root @ PAIR.whitened_cross(points), known)
        posterior = (K(X) if points is None else K(points)) - known.T @ torch.linalg.solve(K(X), known)
        torch.testing.assert_close(PAIR.open_covariance(points), posterior, rtol=0, atol=1e-12)
        torch.testing.assert_close(PAIR.open_variance(points), posterior.diagonal(), rtol=0, atol=1e-12)
        torch.testing.assert_close(PAIR.kernel_cross("nngp", points), known.T)


def test_other_points_are_refused():
    for points in (NEW.float(), NEW[:, :1], NEW * np.nan):
        with pytest.raises(InvalidInput):
            PAIR.points(points)
