"""Leave-one-out accuracy of threshold kernels over the threshold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from sklearn.datasets import load_digits, load_wine

from widenet.architectures import sparse_network
from widenet.experiments.result_tables import Column, ResultTable
from widenet.kernels.neural import NTK
from widenet.theory.sparsity import expected_active_fraction

RIDGES = tuple(10.0**power for power in range(-6, 2))


@dataclass(frozen=True)
class AccuracyRecord:
    """Leave-one-out results of one kernel on one data set.

    Attributes:
        data: Name of the data set.
        rows: Its number of rows.
        threshold: B.
        ridge: The relative ridge with the smallest squared leave-one-out error.
        error: That error, a mean over rows and classes of targets +-1.
        accuracy: Share of rows whose class is predicted from all others.
        condition_number: Largest over smallest eigenvalue of the Gram matrix.
    """

    data: str
    rows: int
    threshold: float
    ridge: float
    error: float
    accuracy: float
    condition_number: float


def wine() -> tuple[Float[np.ndarray, "n d"], Int[np.ndarray, " n"]]:
    """The wine data of scikit-learn: standardised columns, rows of norm 1, and classes."""
    X, labels = (np.asarray(part) for part in load_wine(return_X_y=True))
    return _unit((X - X.mean(0)) / X.std(0)), labels


def digits(most_rows: int) -> tuple[Float[np.ndarray, "n d"], Int[np.ndarray, " n"]]:
    """The first digits of scikit-learn: centred, rows of norm 1, and classes.

    Args:
        most_rows: How many at most.
    """
    X, labels = (np.asarray(part)[:most_rows] for part in load_digits(return_X_y=True))
    return _unit(X - X.mean(0)), labels


def _unit(X: np.ndarray) -> np.ndarray:
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def leave_one_out_accuracies(
    name: str, X: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], thresholds: Sequence[float]
) -> list[AccuracyRecord]:
    """Leave-one-out errors of least-squares classification with the kernel of each threshold.

    The prediction of row i from all others is y_i - a_i / (K + r)^-1_ii, with a = (K + r)^-1 y.

    Args:
        name: What tables call the data.
        X: Points of norm 1, (n, d).
        labels: Classes, (n,).
        thresholds: Values of B.
    """
    classes = np.unique(labels)
    targets = np.where(labels[:, None] == classes, 1.0, -1.0)
    records = []
    for threshold in thresholds:
        K = NTK(sparse_network(threshold))(X)
        values, vectors = np.linalg.eigh(K)
        projected, squares, best = vectors.T @ targets, vectors**2, None
        for ridge in RIDGES:
            inverse = 1 / (values + ridge * np.mean(np.diag(K)))
            predicted = targets - (vectors @ (inverse[:, None] * projected)) / (squares @ inverse)[:, None]
            error = float(np.mean((predicted - targets) ** 2))
            if best is None or error < best.error:
                accuracy = float(np.mean(classes[np.argmax(predicted, axis=1)] == labels))
                condition = float(values[-1] / values[0])
                best = AccuracyRecord(name, len(X), threshold, ridge, error, accuracy, condition)
        records += [] if best is None else [best]
    return records


def accuracy_table(records: Sequence[AccuracyRecord]) -> ResultTable:
    """Accuracies over data sets and thresholds."""
    columns = (Column("data"), Column("rows"), Column("B", ".4g"), Column("active, expected", ".4f"))
    columns += (Column("accuracy, %", ".2f"), Column("squared error", ".4f"), Column("relative ridge", ".0e"))
    columns += (Column("cond(K)", ".3g"),)
    rows = tuple(
        (
            record.data,
            record.rows,
            record.threshold,
            expected_active_fraction(record.threshold),
            100 * record.accuracy,
            record.error,
            record.ridge,
            record.condition_number,
        )
        for record in records
    )
    return ResultTable(
        "Leave-one-out accuracy of the threshold kernels",
        columns,
        rows,
        (
            "Measured: least-squares classification, targets +-1, rows of norm 1 (scikit-learn's wine and digits). For "
            "each threshold the ridge with the smallest squared leave-one-out error, which favours no threshold but is "
            "slightly optimistic for all.",
        ),
    )
