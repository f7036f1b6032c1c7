"""Which features a regression on features uses, found on a sample of its rows."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse

from widenet._arrays import Array, is_count
from widenet.errors import InvalidInput
from widenet.estimators.candidates import unbiased_networks
from widenet.estimators.scaler import Scaler
from widenet.estimators.selection import Candidate, Problem, choose_kernel, screening_rows
from widenet.features.base import FeatureMap, FittedMap
from widenet.features.nystrom import Nystroem
from widenet.features.sketch import Sketch
from widenet.kernels import Kernel

DOUBLE_ROWS = 2000
"""Up to this many rows features are float64; beyond it they are float32, and their sums float64."""


@dataclass(frozen=True)
class Sample:
    """Rows that a choice is made on.

    Attributes:
        X: Rows, (n, d), dense or sparse CSR.
        target: Targets, (n, t).
        weight: Positive weights, (n,).
    """

    X: Any
    target: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.weight)

    def take(self, rows: Any) -> "Sample":
        """The rows of a slice or an array of numbers."""
        return Sample(self.X[rows], self.target[rows], self.weight[rows])


@dataclass(frozen=True)
class Settings:
    """How features are chosen and solved for.

    Attributes:
        features: "auto", a kernel, or a feature map.
        size: Number of features, where `features` is no map.
        ridge: Ridge, or None to choose it.
        absolute: Whether that ridge is absolute.
        standardize: Whether dense columns are brought to mean 0 and variance 1.
        seed: Of all random numbers.
    """

    features: Any
    size: int
    ridge: float | None
    absolute: bool
    standardize: bool
    seed: int

    def __post_init__(self) -> None:
        known = isinstance(self.features, (Kernel, FeatureMap))
        if not known and not (isinstance(self.features, str) and self.features == "auto"):
            raise InvalidInput("features must be 'auto', a kernel or a feature map", repr(self.features)[:80])
        if not is_count(self.size):
            raise InvalidInput("size must be a whole number of features", repr(self.size))


@dataclass(frozen=True, eq=False)
class Prepared:
    """What turns rows into features, fixed before the first of them is taken in.

    Attributes:
        scaler: Affine map of dense columns, or a common factor of sparse ones.
        map: The fitted feature map.
        maker: The value that it was fitted from.
        dtype: Precision of the rows that it sees.
        selection: The table of the choice of the kernel, best first; empty where none was made.
    """

    scaler: Scaler
    map: FittedMap
    maker: FeatureMap
    dtype: Any
    selection: tuple[Candidate, ...]

    def scaled(self, X: Any) -> Array:
        """Rows as the map sees them."""
        return scaled_rows(self.scaler, X, self.dtype)

    def features(self, X: Any) -> np.ndarray:
        """Features of rows, (n, size)."""
        return self.map.transform(self.scaled(X))


def prepare(settings: Settings, sample: Sample, dtype: Any) -> Prepared:
    """Fix the scaling and the features by a sample of the rows.

    With "auto", dense rows choose a kernel as `KernelRegressor` does (the best one alone), and get its Nystroem
    features: the kernel at landmarks among the sample that randomly pivoted Cholesky chooses. Sparse rows choose an
    NTK or NNGP of a ReLU network without bias and get its principal features, for which no row is made dense.

    Args:
        settings: What was asked for.
        sample: Rows at random.
        dtype: Precision of the rows that the map will see.
    """
    scaler = _fit_scaler(settings, sample)
    rows = scaled_rows(scaler, sample.X, np.float64)
    choice, selection = settings.features, ()
    if isinstance(choice, str):
        variance = sample.weight @ np.square(sample.target - np.average(sample.target, axis=0, weights=sample.weight))
        unit = np.sqrt(np.where(variance > 0, variance / sample.weight.sum(), 1.0))
        target = (sample.target - np.average(sample.target, axis=0, weights=sample.weight)) / unit
        choice, selection = _choose_kernel(Sample(rows, target, sample.weight), settings.seed)
    if isinstance(choice, Kernel):
        maker = Sketch if scipy.sparse.issparse(rows) else Nystroem
        choice = maker(choice, settings.size, settings.seed)
    if isinstance(choice, Sketch):
        choice = choice.decide(rows).features
    return Prepared(scaler, choice.fit(distinct_rows(rows.astype(dtype))), choice, dtype, tuple(selection))


def scaled_rows(scaler: Scaler, X: Any, dtype: Any) -> Any:
    """Rows brought to their scale; of sparse ones the stored numbers alone."""
    if not scipy.sparse.issparse(X):
        return scaler.transform(X, dtype)
    rows = scipy.sparse.csr_array(X, dtype=np.float64) / scaler.scale[0]
    rows.sum_duplicates()
    return rows.astype(dtype)


def distinct_rows(X: Any) -> Any:
    """The rows without repetitions, in an order of their own: a row of weight 2 and one given twice fit one map."""
    if not scipy.sparse.issparse(X):
        return np.unique(X, axis=0)
    keys = [(X.indices[a:b].tobytes(), X.data[a:b].tobytes()) for a, b in pairwise(X.indptr)]
    first = {key: row for row, key in reversed(list(enumerate(keys)))}
    return X[np.array([first[key] for key in sorted(first)])]


def _fit_scaler(settings: Settings, sample: Sample) -> Scaler:
    X, weight = sample.X, sample.weight
    automatic = isinstance(settings.features, str)
    if scipy.sparse.issparse(X):
        norms = np.sqrt(weight @ np.asarray(scipy.sparse.csr_array(X).power(2).sum(axis=1)).ravel() / weight.sum())
        return Scaler(np.zeros(X.shape[1]), np.full(X.shape[1], float(norms) or 1.0 if automatic else 1.0))
    scaler = Scaler.fit(X, weight, standardize=settings.standardize)
    # The scales and biases of the candidates are in units of the rows' norm.
    return Scaler(scaler.mean, scaler.scale * scaler.norm(X, weight)) if automatic else scaler


def _choose_kernel(sample: Sample, seed: int) -> tuple[Any, list[Candidate]]:
    """The best kernel for scaled rows and centred targets."""
    few = np.sort(np.random.default_rng(seed).permutation(len(sample))[: screening_rows(len(sample))])
    part = sample.take(few)
    if not scipy.sparse.issparse(part.X):
        return choose_kernel("auto", Problem(part.X, part.target, part.weight), 1)
    product = (part.X @ part.X.T).toarray()
    values, vectors = scipy.linalg.eigh(product)
    # Rows with these inner products, of as many columns as rows: all that a kernel of the angle sees.
    rows = vectors * np.sqrt(np.maximum(values, 0.0))
    return choose_kernel(unbiased_networks(), Problem(rows, part.target, part.weight), 1)
