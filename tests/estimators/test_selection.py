"""The choice by leave-one-out error: planted truths, the table, the rows that it reads."""

import numpy as np
import pandas as pd
import pytest

from widenet.errors import InvalidInput
from widenet.estimators import KernelClassifier, KernelRegressor, _base
from widenet.estimators.selection import Candidate, Problem, combine_best, compare, prefer, ridge_path, screening_rows
from widenet.kernels import Gaussian, Laplace, Linear


def centred(y):
    return (y - y.mean())[:, None]


def test_a_linear_target_with_noise_chooses_the_linear_kernel_and_a_ridge():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    y = centred(X @ [1.0, -2.0, 0.5] + 0.3 * rng.normal(size=80))
    problem = Problem(X, y, np.ones(80))
    kernels = [Linear(), Laplace(1.0), Gaussian(0.2)]
    kernel, table = combine_best(compare(((k, k(X)) for k in kernels), problem), 1)
    assert kernel == Linear()
    assert [row.chosen for row in table] == [True, False, False]
    assert [row.score for row in table] == sorted(row.score for row in table)
    assert table[0].score == pytest.approx(0.09 / np.var(y), rel=0.5)


def test_scores_are_relative_to_the_mean():
    X = np.random.default_rng(1).normal(size=(30, 2))
    noise = centred(np.random.default_rng(2).normal(size=30))
    K = Laplace(1.0)(X)
    path = ridge_path(K, Problem(X, noise, np.ones(30)))
    for ridge, score in zip(path.ridges, path.scores, strict=True):
        left_out = np.empty((30, 1))
        for row in range(30):
            others = np.flatnonzero(np.arange(30) != row)
            system = K[np.ix_(others, others)] + ridge * np.eye(29)
            left_out[row] = K[row, others] @ np.linalg.solve(system, noise[others])
        assert score == pytest.approx(np.square(left_out - noise).sum() / np.square(noise).sum(), rel=1e-6)
    # Noise that the rows say nothing about is worth its mean at most.
    assert path.scores[path.best] > 0.8
    assert path.scores[path.best] == path.scores.min()


def test_the_mean_of_kernels_divides_each_by_its_mean_diagonal():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    problem = Problem(X, centred(rng.normal(size=40)), np.ones(40))
    kernels = [3.0 * Laplace(1.0), 5.0 * Laplace(1.1)]
    kernel, table = combine_best(compare(((k, k(X)) for k in kernels), problem), 2)
    assert all(row.chosen for row in table)
    np.testing.assert_allclose(kernel(X), 0.5 * (Laplace(1.0)(X) + Laplace(1.1)(X)), rtol=1e-12)


def test_kernels_beyond_a_standard_error_are_left_out_of_the_mean():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 3))
    y = centred(X @ [1.0, -2.0, 0.5])
    kernel, _ = combine_best(compare(((k, k(X)) for k in (Linear(), Gaussian(0.1))), Problem(X, y, np.ones(100))), 5)
    assert kernel == Linear()


def test_parts_are_stratified():
    labels = np.repeat([0, 1], [900, 100])
    target = np.eye(2)[labels] - np.eye(2)[labels].mean(axis=0)
    part = Problem(np.zeros((1000, 1)), target, np.ones(1000)).part(100)
    assert (part.target.argmax(axis=1) == 1).sum() == 10
    value = np.random.default_rng(0).normal(size=1000)
    part = Problem(np.zeros((1000, 1)), centred(value), np.ones(1000)).part(100)
    assert part.target.std() == pytest.approx(value.std(), rel=0.05)


def test_rows_of_the_screening():
    assert [screening_rows(n) for n in (10, 250, 900, 2000, 10**5)] == [10, 250, 250, 500, 1000]


@pytest.mark.parametrize("model", [KernelRegressor(), KernelClassifier()])
def test_the_table_becomes_a_frame(model):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 2))
    model.fit(X, (X[:, 0] > 0).astype(int))
    frame = pd.DataFrame(model.selection_)
    assert list(frame) == ["kernel", "ridge", "score", "error", "seconds", "rows", "chosen"]
    assert len(frame) > 35
    assert frame.chosen.sum() >= 1
    assert (frame.ridge > 0).all()


def test_an_absolute_ridge_is_scored_as_given():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 2))
    y = X[:, 0] + 0.1 * rng.normal(size=30)
    kernel = 7.0 * Laplace(1.0)
    model = KernelRegressor(kernel, ridge=0.7, ridge_scale="absolute").fit(X, y)
    assert model.ridge_ == pytest.approx(0.1)


@pytest.mark.parametrize("kernel", [Linear(), lambda X, Y=None: Linear()(X, Y)])
def test_an_absolute_ridge_is_over_the_mean_diagonal_of_all_rows(kernel, monkeypatch):
    monkeypatch.setattr(_base, "RIDGE_ROWS", 10)
    X = np.random.default_rng(0).normal(size=(30, 2))
    model = KernelRegressor(kernel, ridge=0.7, ridge_scale="absolute", standardize=False).fit(X, X[:, 0])
    assert model.ridge_ == pytest.approx(0.7 / np.square(X).sum(axis=1).mean())


def test_a_ridge_scale_that_is_no_option_is_refused():
    with pytest.raises(InvalidInput, match="ridge_scale"):
        KernelRegressor(Laplace(1.0), ridge=0.1, ridge_scale="auto").fit(np.eye(3), np.arange(3.0))


def test_wanted_kernels_are_chosen_within_a_standard_error():
    kernels = [Laplace(float(scale)) for scale in range(1, 5)]
    scores = [1.0, 1.1, 1.15, 1.5]
    table = [Candidate(k, 0.1, score, 0.2, 0.0, 100) for k, score in zip(kernels, scores, strict=True)]

    def place(*wanted):
        return [row.chosen for row in prefer(table, *wanted)].index(True)

    assert place(kernels[1:]) == 1
    assert place(kernels[2:3], kernels[1:2]) == 2
    assert place(kernels[3:], kernels[1:2]) == 1  # the first is worse by more than that
    assert place(kernels[3:]) == 0
