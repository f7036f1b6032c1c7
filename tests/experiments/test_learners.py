"""Learners on a precomputed kernel against plain linear algebra."""

import numpy as np

from widenet.experiments.learners import LeastSquares, SupportVectors
from widenet.kernels.stationary import Laplace


def test_least_squares_is_ridge_regression_on_centred_classes(iris_set):
    data = iris_set()
    K = Laplace(2.0)(data.X)
    a, b = data.select
    targets = (data.y[a][:, None] == np.unique(data.y[a])).astype(float)
    mean = targets.mean(0)
    ridges = (10.0, 0.1, 1e-5)
    predicted = LeastSquares().predict(K, data.y, data.select, ridges)
    for row, ridge in zip(predicted, ridges, strict=True):
        system = K[a][:, a] + ridge * np.trace(K[a][:, a]) / len(a) * np.eye(len(a))
        expected = np.unique(data.y[a])[(K[b][:, a] @ np.linalg.solve(system, targets - mean) + mean).argmax(1)]
        assert row.tolist() == expected.tolist()
    assert len({tuple(row) for row in predicted.tolist()}) > 1


def test_learners_keep_labels_that_do_not_start_at_zero(iris_set):
    data = iris_set()
    K = Laplace(2.0)(data.X)
    for learner in (SupportVectors(), LeastSquares()):
        plain = learner.predict(K, data.y, data.select, (1.0,))
        moved = learner.predict(K, 7 - 2 * data.y, data.select, (1.0,))
        assert set(moved.ravel()) <= {7, 5, 3}
        # Ties between classes may fall to another one when their order turns round.
        assert (moved == 7 - 2 * plain).mean() > 0.9
