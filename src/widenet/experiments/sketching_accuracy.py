"""Ridge classification on explicit features beside the exact kernel: accuracy and seconds."""

from collections.abc import Sequence
from time import perf_counter

import numpy as np

from widenet._arrays import Array
from widenet.experiments.result_tables import Column, ResultTable
from widenet.experiments.sketching_errors import Problem, gram_of
from widenet.experiments.sketching_maps import Method
from widenet.kernels.base import Kernel
from widenet.solvers.streaming import NormalEquations

RIDGES = 10.0 ** np.arange(-8.0, 1.5, 0.5)


def _scores(y: np.ndarray) -> np.ndarray:
    """+1 for the class of a row, -1 for the others, (n, classes)."""
    return 2.0 * (y[:, None] == np.unique(y)[None]) - 1


def exact_accuracy(kernel: Kernel, train: Problem, test: Problem) -> tuple[float, float]:
    """Share of test rows classified rightly by kernel ridge regression, and seconds; the ridge has least GCV score."""
    start = perf_counter()
    scores = _dual_scores(np.asarray(kernel(train.X)), np.asarray(kernel(test.X, train.X)), _scores(train.y))
    right = np.unique(train.y)[scores.argmax(1)] == test.y
    return float(right.mean()), perf_counter() - start


def _dual_scores(K: np.ndarray, cross: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Scores of test rows by ridge regression on a Gram matrix, with the ridge of least GCV score."""
    mean, level = targets.mean(0), float(np.trace(K)) / len(K)
    values, vectors = np.linalg.eigh(K.astype(np.float64))
    values, projected = np.maximum(values, 0), vectors.T @ (targets - mean)
    scores = []
    for ridge in RIDGES * level:
        left = ridge / (values + ridge)
        scores.append(((left[:, None] * projected) ** 2).sum() / max(left.sum(), 1e-12) ** 2)
    ridge = RIDGES[int(np.argmin(scores))] * level
    return cross.astype(np.float64) @ (vectors @ (projected / (values + ridge)[:, None])) + mean


def feature_accuracy(
    rows: tuple[Array, Array], method: Method, size: int, seed: int, y: tuple[np.ndarray, np.ndarray]
) -> tuple[float, float]:
    """The same by ridge regression on features: by normal equations, or by Z Z^T where there are fewer rows.

    Args:
        rows: Train and test rows in the form that the method takes.
        method: Map.
        size: Number of features.
        seed: Of the map.
        y: Train and test classes.
    """
    start = perf_counter()
    fitted = method.make(size, seed).fit(rows[0])
    targets = _scores(y[0])
    Z, other = fitted.transform(rows[0]), np.asarray(fitted.transform(rows[1]))
    if len(targets) <= size:
        scores = _dual_scores(gram_of(Z), other @ np.asarray(Z).T, targets)
    else:
        path = NormalEquations(size, targets.shape[1]).add(Z, targets).ridge_path(RIDGES)
        best = int(path.gcv.sum(1).argmin())
        scores = other.astype(np.float64) @ path.coefficients[best] + path.intercepts[best]
    right = np.unique(y[0])[scores.argmax(1)] == y[1]
    return float(right.mean()), perf_counter() - start


def accuracy_table(
    train: Problem, test: Problem, methods: Sequence[Method], sizes: Sequence[int], seeds: int
) -> ResultTable:
    """Accuracy and seconds of linear models on features of all maps, beside exact kernels.

    Args:
        train: Rows to fit.
        test: Rows to score.
        methods: Maps.
        sizes: Numbers of features.
        seeds: Of each map at each size.
    """
    rows = []
    for kernel, name in {method.kernel: f"exact {type(method.kernel).__name__}" for method in methods}.items():
        exact_accuracy(kernel, train, test)
        accuracy, seconds = exact_accuracy(kernel, train, test)
        rows.append((name, None, 100 * accuracy, None, seconds))
    for method in methods:
        forms = train.rows(method), test.rows(method)
        for size in sizes:
            if method.most is not None and size > method.most:
                continue
            found = np.array([feature_accuracy(forms, method, size, seed, (train.y, test.y)) for seed in range(seeds)])
            error = 100 * float(found[:, 0].std(ddof=1)) / np.sqrt(seeds) if seeds > 1 else None
            rows.append((method.name, size, 100 * float(found[:, 0].mean()), error, float(np.median(found[:, 1]))))
    return ResultTable(
        f"{train.name}: ridge classification on features",
        (
            Column("model"),
            Column("size", ",d"),
            Column("test accuracy, %", ".2f"),
            Column("s.e.", ".2f"),
            Column("seconds", ".3f"),
        ),
        tuple(rows),
        (
            f"{len(train.X):,} rows to fit, {len(test.X):,} to score; one-against-rest targets of +-1, the ridge of "
            "least generalised cross-validation score. Seconds: fit, ridge path and prediction, the median over seeds. "
            "The standard error is that of the seeds of the map, not of the rows.",
        ),
    )
