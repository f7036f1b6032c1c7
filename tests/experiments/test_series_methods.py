import numpy as np
import pytest
from sklearn.svm import SVC

from series_sets import waves
from widenet.errors import InvalidInput
from widenet.estimators import RecurrentGrid, SupportVectorMachine
from widenet.experiments.series_methods import (
    DenseFamily,
    GaussianFamily,
    KernelMethod,
    NearestNeighbour,
    RecurrentFamily,
    standardised,
)
from widenet.kernels import NTK, Gaussian, Normalized

SMALL = RecurrentGrid((1.34, 1.47), (0.1, 1.0))
MACHINE = SupportVectorMachine(C=(0.1, 10.0), folds=4)


def normalised(series):
    return np.stack([(s[:, 0] - s[:, 0].mean()) / s[:, 0].std() for s in series])


def test_series_are_standardised_one_by_one():
    data = waves(ragged=True)
    for given, moved in zip(data.train, standardised(data.train), strict=True):
        np.testing.assert_allclose(moved, (given - given.mean()) / given.std(), rtol=1e-12)


def test_nearest_neighbours_are_those_of_a_plain_loop():
    data = waves()
    train, test = normalised(data.train), normalised(data.test)
    nearest = [min(range(len(train)), key=lambda i: float(((train[i] - x) ** 2).sum())) for x in test]
    (score,) = NearestNeighbour().evaluate(data)
    assert score.accuracy == pytest.approx(100 * np.mean(data.y_train[nearest] == data.y_test))
    assert (score.classifier, *NearestNeighbour().classifiers) == ("1-NN Euclid", "1-NN Euclid")


def plain_protocol(data, grid, machine):
    """The machine that ten-fold validation chooses from Gaussian kernels, with the tie rule and with the first."""
    train, test = normalised(data.train), normalised(data.test)
    y, fold = data.y_train, machine.fold_of(data.y_train)
    wrong, losses = {}, {}
    target = np.eye(2)[y] - np.eye(2)[y].mean(axis=0)
    for i, kernel in enumerate(grid):
        K = kernel(train)
        paths = []
        for ridge in 10.0 ** np.arange(-8, 1.01, 0.5):
            H = K @ np.linalg.inv(K + ridge * np.eye(len(K)))
            paths.append(float((((target - H @ target) / (1 - np.diag(H))[:, None]) ** 2).sum()))
        losses[i] = min(paths)
        for C in machine.C:
            wrong[i, C] = 0
            for part in range(fold.max() + 1):
                a, b = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
                svc = SVC(kernel="precomputed", C=C).fit(K[np.ix_(a, a)], y[a])
                wrong[i, C] += (svc.predict(K[np.ix_(b, a)]) != y[b]).sum()
    tied = [pair for pair, count in wrong.items() if count == min(wrong.values())]
    accuracies = []
    for i, C in (min(tied, key=lambda pair: (losses[pair[0]], -pair[1])), tied[0]):
        svc = SVC(kernel="precomputed", C=C).fit(grid[i](train), y)
        accuracies.append(100 * np.mean(svc.predict(grid[i](test, train)) == data.y_test))
    return accuracies, len(tied)


def test_the_protocol_is_that_of_a_plain_loop():
    data = waves(train=30, test=40)
    grid = [Gaussian(np.sqrt(14) * 2.0 ** (k / 2)) for k in range(-2, 3)]
    (svm, ridge) = KernelMethod(GaussianFamily(2), MACHINE).evaluate(data)
    accuracies, tied = plain_protocol(data, grid, MACHINE)
    assert svm.accuracy == pytest.approx(accuracies[0])
    assert svm.details["accuracy_of_first"] == pytest.approx(accuracies[1])
    assert svm.details["tied"] == tied
    assert (svm.classifier, ridge.classifier) == ("RBF, SVM", "RBF, ridge")
    assert ridge.details["kernels"] == 5
    assert 50 < ridge.accuracy <= 100


def test_families_give_what_their_words_say():
    assert len(DenseFamily().kernels(14, 1)) == 20
    assert all(isinstance(kernel, NTK) for kernel in DenseFamily().kernels(14, 1))
    assert [k.scale for k in GaussianFamily(1).kernels(8, 2)] == pytest.approx([4 / 2**0.5, 4, 4 * 2**0.5])
    kernels = RecurrentFamily(SMALL).kernels(14, 1)
    assert len(kernels) == 4
    assert all(isinstance(kernel, Normalized) for kernel in kernels)
    assert RecurrentFamily(SMALL, "both").name == "both"
    assert "hidden_std in {1.34, 1.47}" in RecurrentFamily(SMALL).grid
    assert KernelMethod(DenseFamily()).grid.startswith("ReLU, depth 1 to 5")


def test_recurrent_kernels_take_unequal_lengths_and_the_others_say_that_they_do_not():
    data = waves(ragged=True)
    svm, ridge = KernelMethod(RecurrentFamily(SMALL), MACHINE).evaluate(data)
    assert min(svm.accuracy, ridge.accuracy) > 60
    for method in (KernelMethod(DenseFamily()), NearestNeighbour()):
        with pytest.raises(InvalidInput, match="12 to 14 steps"):
            method.evaluate(data)
