"""Relative errors of Gram matrices of features, over sizes and seeds, with slopes and times."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from scipy.sparse.linalg import eigsh

from widenet._arrays import Array
from widenet.experiments.result_tables import Column, ResultTable
from widenet.experiments.sketching_maps import BEST, DEGREE_SKETCH, PUBLISHED, Method

Gram = Float[np.ndarray, "n n"]

SMALL = (16, 64)
"""Sizes of our maps below those of all: they have the error of the published features with fewer features."""

_COLUMNS = 2048  # of features that are multiplied at a time, in double precision


@dataclass(frozen=True)
class Problem:
    """Points whose Gram matrices are known exactly.

    Attributes:
        name: Of the data.
        X: Dense rows, (n, d), float32.
        compressed: The same rows as CSR where they are sparse, else None.
        y: Classes, (n,).
    """

    name: str
    X: Float[np.ndarray, "n d"]
    compressed: sparse.csr_array | None
    y: np.ndarray

    def rows(self, method: Method) -> Array:
        """The rows in the form that a method takes best."""
        return self.compressed if self.compressed is not None and method.sparse else self.X


@dataclass(frozen=True)
class Measurement:
    """Errors of one map at one size.

    Attributes:
        method: Name of the map.
        size: Number of features.
        frobenius: |Z Z^T - K| / |K| in the Frobenius norm, one a seed.
        spectral: The same in the spectral norm.
        seconds: Of making the features, fit included, one a seed.
        transform: Of these, seconds without the fit.
    """

    method: str
    size: int
    frobenius: tuple[float, ...]
    spectral: tuple[float, ...]
    seconds: tuple[float, ...]
    transform: tuple[float, ...]


def spectral_norm(E: Gram) -> float:
    """Largest modulus of the eigenvalues of a symmetric matrix, to 1e-3."""
    start = np.random.default_rng(0).normal(size=len(E))
    found = eigsh(E, k=1, which="LM", tol=1e-3, v0=start, return_eigenvectors=False)  # pyright: ignore[reportArgumentType]
    return float(abs(found[0]))


def gram_of(Z: Array) -> Gram:
    """Z Z^T in double precision, some columns at a time."""
    features = torch.as_tensor(Z)
    total = torch.zeros(len(features), len(features), dtype=torch.float64)
    for start in range(0, features.shape[1], _COLUMNS):
        part = features[:, start : start + _COLUMNS].double()
        total.addmm_(part, part.T)
    return total.numpy()


def measure(
    problem: Problem,
    methods: Sequence[Method],
    sizes: Sequence[int],
    seeds: int,
    progress: Callable[[str], None] | None = None,
    small: Sequence[int] = (),
) -> list[Measurement]:
    """Errors and times of all maps at all sizes.

    Args:
        problem: Points.
        methods: Maps.
        sizes: Numbers of features.
        seeds: Of each map at each size.
        progress: Called with the name of each map before its work.
        small: Further sizes, of the maps that `goal_table` sets beside the published one alone; tables of errors and
            their slopes are those of the common sizes.
    """
    found, exact = [], {}
    for method in methods:
        if progress is not None:
            progress(f"{problem.name}: {method.name}")
        if method.kernel not in exact:
            K = np.asarray(method.kernel(problem.X.astype(np.float64)))
            exact[method.kernel] = K, float(np.linalg.norm(K)), spectral_norm(K)
        K, whole, largest = exact[method.kernel]
        rows = problem.rows(method)
        method.make(min(sizes), 0)(rows)  # loops are compiled, tables made
        for size in sorted({*sizes, *small}) if method.name in (BEST, DEGREE_SKETCH) else sizes:
            if method.most is not None and size > method.most:
                continue
            draws = []
            for seed in range(seeds):
                start = perf_counter()
                fitted = method.make(size, seed).fit(rows)
                middle = perf_counter()
                Z = fitted.transform(rows)
                end = perf_counter()
                E = gram_of(Z) - K
                errors = float(np.linalg.norm(E)) / whole, spectral_norm(E) / largest
                draws.append((*errors, end - start, end - middle))
            found.append(Measurement(method.name, size, *(tuple(values) for values in zip(*draws, strict=True))))
    return found


def slope(measured: Iterable[Measurement], norm: str = "frobenius") -> float | None:
    """Exponent of the size in the error, by least squares of logarithms; None for fewer than two sizes."""
    points = [(entry.size, float(np.mean(getattr(entry, norm)))) for entry in measured]
    points = [(size, error) for size, error in points if error > 0]
    if len(points) < 2:
        return None
    sizes, errors = np.log(np.array(points)).T
    return float(np.polyfit(sizes, errors, 1)[0])


def at_common_sizes(measured: Sequence[Measurement]) -> list[Measurement]:
    """The measurements without the small sizes that only the maps of `goal_table` have."""
    least = max(min(entry.size for entry in measured if entry.method == name) for name in {e.method for e in measured})
    return [entry for entry in measured if entry.size >= least]


def error_table(problem: Problem, measured: Sequence[Measurement], norm: str) -> ResultTable:
    """Mean errors with standard errors by map and size, with slopes.

    Args:
        problem: Points.
        measured: Of all maps and sizes.
        norm: "frobenius" or "spectral".
    """
    measured = at_common_sizes(measured)
    sizes = sorted({entry.size for entry in measured})
    names = list(dict.fromkeys(entry.method for entry in measured))
    rows = []
    for name in names:
        own = {entry.size: getattr(entry, norm) for entry in measured if entry.method == name}
        cells = [_with_error(own[size]) if size in own else "" for size in sizes]
        rows.append((name, *cells, slope([entry for entry in measured if entry.method == name], norm)))
    return ResultTable(
        f"{problem.name}: relative {norm.capitalize() if norm == 'frobenius' else norm} error of the Gram matrix",
        (Column("features"), *(Column(f"{size:,}") for size in sizes), Column("slope", ".2f")),
        tuple(rows),
        (
            f"{len(problem.X):,} rows in {problem.X.shape[1]} dimensions; mean over seeds (standard error). Slope: "
            "exponent of the size. Independent random columns have slope -0.5; exact products and landmarks fall as "
            "the spectrum of the data does, polynomials stop at the error of their fit.",
        ),
    )


def _with_error(values: Sequence[float]) -> str:
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{np.mean(values):.2e} ({error:.0e})"


def time_table(problem: Problem, measured: Sequence[Measurement]) -> ResultTable:
    """Median times by map and size: seconds of fit and features, and microseconds of a row."""
    sizes = sorted({entry.size for entry in measured})
    rows = []
    for name in dict.fromkeys(entry.method for entry in measured):
        own = {entry.size: entry for entry in measured if entry.method == name}
        whole = [float(np.median(own[size].seconds)) if size in own else None for size in sizes]
        each = [1e6 * float(np.median(own[size].transform)) / len(problem.X) if size in own else None for size in sizes]
        rows.append((name, *whole, *each))
    columns = (*(Column(f"{size:,}: s", ".3f") for size in sizes), *(Column(f"{size:,}: µs", ".1f") for size in sizes))
    return ResultTable(
        f"{problem.name}: times of the features",
        (Column("features"), *columns),
        tuple(rows),
        ("Medians over seeds: seconds of fit and features of all rows, and microseconds of the features of one row.",),
    )


def goal_table(problem: Problem, measured: Sequence[Measurement]) -> ResultTable:
    """The published random features beside ours: errors at equal size, times at equal error."""
    rows = []
    by_name = {
        name: {entry.size: entry for entry in measured if entry.method == name}
        for name in (PUBLISHED, BEST, DEGREE_SKETCH)
    }
    for size, theirs in sorted(by_name[PUBLISHED].items()):
        error = float(np.mean(theirs.frobenius))
        row: list[str | int | float | None] = [size, error]
        for name in (BEST, DEGREE_SKETCH):
            own = by_name[name]
            row.append(float(np.mean(own[size].frobenius)) / error if size in own else None)
            close = [entry for entry in own.values() if np.mean(entry.frobenius) <= error]
            for kind in ("seconds", "transform"):
                quickest = min((float(np.median(getattr(entry, kind))) for entry in close), default=None)
                row.append(None if quickest is None else quickest / float(np.median(getattr(theirs, kind))))
        rows.append(tuple(row))
    columns = [
        Column(f"{name}: {what}", ".3f")
        for name in ("Sketch", "NTKSketch")
        for what in ("error", "time with fit", "time a row")
    ]
    return ResultTable(
        f"{problem.name}: beside the published random features",
        (Column("size"), Column(f"error of {PUBLISHED}", ".2e"), *columns),
        tuple(rows),
        (
            "Ratios to theirs. Error: at equal size, Frobenius. Times: of the quickest measured size whose error is at "
            "most theirs. The goals are 0.333 and 0.1.",
        ),
    )
