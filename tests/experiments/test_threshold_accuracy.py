"""Leave-one-out accuracy against explicit refits, and the data as the table says."""

import numpy as np
import pytest

from widenet.architectures import sparse_network
from widenet.experiments.threshold_accuracy import RIDGES, accuracy_table, digits, leave_one_out_accuracies, wine
from widenet.kernels.neural import NTK


def _refit(K, targets, ridge):
    """The prediction of every row from all others, one solve each."""
    n, noise = len(K), ridge * np.mean(np.diag(K))
    predicted = np.empty_like(targets)
    for i in range(n):
        rest = np.arange(n) != i
        predicted[i] = K[i, rest] @ np.linalg.solve(K[np.ix_(rest, rest)] + noise * np.eye(n - 1), targets[rest])
    return predicted


def test_accuracies_are_those_of_refits_with_the_best_ridge():
    X, labels = wine()
    X, labels = X[::4], labels[::4] + 5
    for record in leave_one_out_accuracies("wine", X, labels, (0.0, 1.5)):
        K = NTK(sparse_network(record.threshold))(X)
        targets = np.where(labels[:, None] == [5, 6, 7], 1.0, -1.0)
        refits = {ridge: _refit(K, targets, ridge) for ridge in RIDGES}
        errors = {ridge: np.mean((predicted - targets) ** 2) for ridge, predicted in refits.items()}
        best = min(errors, key=errors.get)
        assert record.ridge == best
        assert record.error == pytest.approx(errors[best], rel=1e-8)
        assert record.accuracy == np.mean(np.argmax(refits[best], axis=1) + 5 == labels)
        assert record.accuracy > 0.9  # chance is 0.4
        assert record.condition_number == pytest.approx(np.linalg.cond(K), rel=1e-6)


@pytest.mark.parametrize("data", [wine(), digits(150)], ids=["wine", "digits"])
def test_rows_have_norm_one(data):
    X, labels = data
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, rtol=1e-12)
    assert len(X) == len(labels) == (178 if X.shape[1] == 13 else 150)


def test_the_table_holds_percentages():
    X, labels = wine()
    (record,) = leave_one_out_accuracies("wine", X[::6], labels[::6], (1.0,))
    (row,) = accuracy_table([record]).rows
    assert row[:3] == ("wine", 30, 1.0)
    assert row[3] == pytest.approx(0.158655, abs=1e-6)
    assert row[4] == pytest.approx(100 * record.accuracy)
