"""Kernels of factorised networks: their mean and scatter over draws, and the rank that a set takes."""

from math import sqrt

import numpy as np
import pytest
import torch

from widenet.architectures import Dense, ReLU
from widenet.errors import InvalidInput
from widenet.kernels import NTK
from widenet.networks import factorized_ntk, inner_deviation, rank_for

PAIR = np.array([[1.0, 0.0], [0.5, sqrt(0.75)]])
DRAWS = 150


def test_the_formula_of_the_deviation():
    # Values of the specification at cosine 1/2, and on the diagonal.
    expected = {16: 0.07511565157, 64: 0.03755782579, 256: 0.01877891290}
    for rank, value in expected.items():
        assert inner_deviation(0.5, rank) == pytest.approx(value, abs=1e-11)
    assert inner_deviation(1.0, 64) == pytest.approx(0.08838834765, abs=1e-11)
    for cosine, rank in ((1.5, 4), (0.5, 0)):
        with pytest.raises(InvalidInput, match="cosine"):
            inner_deviation(cosine, rank)


@pytest.mark.parametrize("frozen", ["gaussian", "sign", "hadamard"])
@pytest.mark.parametrize("rank", [16, 64])
def test_mean_and_scatter_of_the_inner_kernel(rank, frozen):
    found = np.stack([factorized_ntk(PAIR, rank, width=1024, frozen=frozen, seed=seed) for seed in range(DRAWS)])
    for entry, mean, cosine in (((0, 1), 1 / 6, 0.5), ((0, 0), 0.5, 1.0)):
        values, formula = found[:, *entry], inner_deviation(cosine, rank)
        assert abs(values.mean() - mean) < 4 * values.std() / sqrt(DRAWS)
        # A standard deviation of 150 draws has a relative error of 6 percent; the formula is of leading order in the
        # rank and of Gaussian factors, whose squared lengths scatter.
        assert 0.75 < values.std(ddof=1) / formula < 1.3


def test_the_width_does_not_make_it_concentrate():
    narrow, wide = (
        np.stack([factorized_ntk(PAIR, 16, width=width, frozen="hadamard", seed=seed)[0, 1] for seed in range(80)])
        for width in (512, 8192)
    )
    assert 0.65 < wide.std() / narrow.std() < 1.5


def test_variants_add_up_and_keep_the_kind():
    points = torch.from_numpy(PAIR)
    inner, outer, both = (factorized_ntk(points, 8, variant=v, width=60, seed=2) for v in ("inner", "outer", "both"))
    assert isinstance(both, torch.Tensor)
    torch.testing.assert_close(both, inner + outer, rtol=1e-12, atol=1e-13)
    assert factorized_ntk(PAIR.astype(np.float32), 8, width=60).dtype == np.float32
    with pytest.raises(InvalidInput, match="finite"):
        factorized_ntk(PAIR * np.nan, 8)


def test_the_rank_of_a_set():
    X = np.random.default_rng(3).normal(size=(40, 30))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    report = rank_for(X, tolerance=0.4, draws=2, width=2048)
    dense = NTK(Dense(fan_in_scaling="none") >> ReLU() >> Dense(trainable=False))(X)
    assert report.smallest == pytest.approx(np.linalg.eigvalsh(dense)[0], rel=1e-10)
    assert report.ranks == tuple(8 * 2**i for i in range(len(report.ranks)))
    assert report.rank == report.ranks[-1]
    assert report.ratios[-1] >= 0.6 > max(report.ratios[:-1])
    # The ratio anew, for the rank that was found.
    kernels = [factorized_ntk(X, report.rank, width=2048, frozen="hadamard", seed=seed) for seed in (0, 1)]
    smallest = np.mean([np.linalg.eigvalsh(kernel)[0] for kernel in kernels])
    assert report.ratios[-1] == pytest.approx(smallest / report.smallest, rel=1e-6)
    assert rank_for(X, tolerance=0.01, draws=1, width=256, most=16).rank is None


def test_ranks_that_cannot_be_are_refused():
    X = np.random.default_rng(3).normal(size=(5, 4))
    for options in ({"tolerance": 0.0}, {"tolerance": 1.0}, {"draws": 0}, {"most": 4}):
        with pytest.raises(InvalidInput, match="tolerance"):
            rank_for(X, **options)
    with pytest.raises(InvalidInput, match="no eigenvalue 0"):
        rank_for(np.concatenate([X, X]))
