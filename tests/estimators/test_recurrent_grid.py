from math import sqrt

import numpy as np
import pytest

from widenet.architectures import Dense, Erf, GlobalAveragePool, Recurrent, ReLU, StepwiseAverage
from widenet.errors import InvalidInput
from widenet.estimators.recurrent_grid import RecurrentGrid, automatic_grids, normalized_kernels, published_grid
from widenet.kernels import NTK, Bidirectional, Gaussian, Normalized


def test_every_axis_reaches_the_networks():
    grid = RecurrentGrid((1.2,), (0.1,), (0.5,), (2,), ("mean",), (False, True), Erf())
    forward = Normalized(NTK(Recurrent(Erf(), 1.2, 1.0, 0.1, 0.5) ** 2 >> GlobalAveragePool() >> Dense()))
    assert grid.kernels() == (forward, Normalized(Bidirectional(forward)))
    grid = RecurrentGrid((1.2,), (0.1,), readouts=("last", "stepwise"), normalized=False)
    cell = Recurrent(ReLU(), 1.2, bias_std=0.1)
    assert grid.kernels() == (NTK(cell >> Dense()), NTK(cell >> StepwiseAverage() >> Dense()))


def test_the_published_grid_is_that_of_the_paper():
    kernels = published_grid().kernels()
    assert len(kernels) == len(set(kernels)) == 15 * 12 * 5
    cells = [kernel.kernel.architecture.layers[0] for kernel in kernels]
    # Alemohammad et al. 2021, on the UCR data sets, as a page about the paper gives it.
    assert sorted({cell.hidden_std for cell in cells}) == sorted([*(i / 100 for i in range(134, 148)), sqrt(2)])
    assert {cell.input_std for cell in cells} == {1.0}
    assert sorted({cell.bias_std for cell in cells}) == [0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 1, 2]
    assert sorted({cell.initial_std for cell in cells}) == [0, 0.01, 0.1, 0.5, 1]
    assert {cell.initial_state for cell in cells} == {"independent"}


@pytest.mark.parametrize(
    ("count", "steps", "fixed", "readouts"),
    [
        (100, 100.0, True, ("last", "stepwise", "mean")),
        (100, 101.0, True, ("last", "stepwise")),
        (10, 50.0, False, ("last", "mean")),
        (1000, 50.0, False, ("last",)),
    ],
)
def test_the_automatic_grids_have_the_readouts_that_suit(count, steps, fixed, readouts):
    grids = automatic_grids(count, steps, fixed=fixed)
    assert tuple(name for grid in grids for name in grid.readouts) == readouts
    assert all(6 <= len(grid.kernels()) <= 12 for grid in grids)


def test_automatic_kernels_of_the_last_step_remember_the_first_half_of_long_series():
    rng = np.random.default_rng(0)
    X, moved = rng.normal(size=(2, 30, 200, 1))
    moved[:, 100:] = X[:, 100:]
    pairs = np.triu_indices(30, 1)

    def kept(grid):
        """Least correlation of kernel values with those after the first halves were drawn anew; 1: all forgotten."""
        grams = [[kernel(series)[pairs] for series in (X, moved)] for kernel in grid.kernels()]
        return min(np.corrcoef(*values)[0, 1] for values in grams)

    assert kept(RecurrentGrid((1.34, sqrt(2.0)), (0.1, 1.0))) > 0.95
    assert kept(automatic_grids(1000, 200.0, fixed=False)[0]) < 0.8


def test_kernels_are_normalised_once():
    first, second = normalized_kernels([Gaussian(1.0), Normalized(Gaussian(2.0))])
    assert (first, second) == (Normalized(Gaussian(1.0)), Normalized(Gaussian(2.0)))
    assert normalized_kernels(Gaussian(1.0)) == (Normalized(Gaussian(1.0)),)
    for kernels in ("auto", (), [3], None):
        with pytest.raises(InvalidInput):
            normalized_kernels(kernels)


@pytest.mark.parametrize("options", [{"hidden_std": ()}, {"readouts": ("first",)}, {"layers": (0,)}, {"layers": ()}])
def test_grids_that_are_none_are_refused(options):
    with pytest.raises(InvalidInput):
        RecurrentGrid(**options)


def test_long_series_do_not_overflow():
    X = np.random.default_rng(0).normal(size=(3, 20000, 1))
    K = RecurrentGrid((1.47,), (0.1,)).kernels()[0](X)
    assert np.isfinite(K).all()
