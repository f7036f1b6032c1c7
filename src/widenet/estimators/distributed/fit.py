"""Estimators of this package on collections of Dask: fitted where the rows lie, predicting lazily."""

from copy import copy
from functools import partial
from typing import Any, NamedTuple, Self

import dask
import numpy as np
import pandas as pd
from dask.delayed import Delayed
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.utils.validation import check_is_fitted

from widenet._arrays import row_blocks
from widenet.errors import InvalidInput
from widenet.estimators.distributed.partitions import DaskArray, Rows, da, dd, map_partitions, read_rows, tree_sum
from widenet.estimators.distributed.sources import SAMPLE_ROWS, DaskRows, PartitionRows, sample_points
from widenet.estimators.feature_base import FeatureEstimator
from widenet.estimators.feature_choice import Prepared, Sample, Settings
from widenet.estimators.features import NTKFeatures
from widenet.estimators.ridge_stream import RidgeStream
from widenet.estimators.stream_fit import as_numbers, block_rows
from widenet.solvers.streaming import NormalEquations

_LARGE = {"distributed.admin.large-graph-warning-threshold": "4 GiB"}  # a fitted map travels in the graph, on purpose
_BLOCK = 16_384  # rows of a block of predictions


class Distributed(MetaEstimatorMixin, BaseEstimator):
    """An estimator of this package, fitted to rows that lie on many machines.

    `FeatureRegressor` and `FeatureClassifier` are fitted in two passes: rows at random are drawn for the scaling and
    the features, and the sums Z^T Z and Z^T y of each partition are made where it lies and added in a fixed order; the
    equations are solved here. Rows never come here, but for the sample. `NTKFeatures` is fitted to 10,000 rows at
    random. Any fitted estimator of rows predicts lazily, partition by partition.

    Work goes to the current `dask.distributed.Client`; without one, to Dask's scheduler on this machine. A worker that
    dies costs the time of its work: Dask makes what it held again, from the rows' own recipe. The result is the same
    for any number of workers, but for rounding where their numbers of threads differ.

    Args:
        estimator: `FeatureRegressor`, `FeatureClassifier` or `NTKFeatures`; for `predict`, any that is fitted.
        memory_limit: Bytes or text for the sums, features and one block of rows of a task; None means 1 GiB, or half
            of the memory that is available here. Larger partitions are taken in by blocks of rows.

    Attributes:
        estimator_: The fitted estimator, an ordinary one that can be saved.

    Example:
        >>> import dask.array as da
        >>> from widenet.estimators.feature_regressor import FeatureRegressor
        >>> from widenet.kernels import Laplace
        >>> X = da.random.default_rng(0).uniform(-1, 1, size=(1500, 2), chunks=(500, 2))
        >>> y = da.sin(3 * X[:, 0]) * X[:, 1]
        >>> with dask.config.set(scheduler="synchronous"):
        ...     model = Distributed(FeatureRegressor(Laplace(2.0), size=200)).fit(X, y)
        ...     error = abs(model.predict(X) - y).mean().compute()
        >>> bool(error < 0.05), type(model.estimator_).__name__
        (True, 'FeatureRegressor')
    """

    estimator_: Any

    def __init__(self, estimator: Any, memory_limit: int | float | str | None = None) -> None:
        self.estimator = estimator
        self.memory_limit = memory_limit

    def fit(self, X: Rows, y: Rows | None = None) -> Self:
        """Fit on the machines that hold the rows.

        Args:
            X: dask array (n, d), or a data frame whose columns are encoded as `fit_stream` does.
            y: Targets, (n,) or (n, outputs), cut like X; their sizes may be unknown where they are cut alike.

        Raises:
            InvalidInput: On estimators that cannot be fitted so, and on bad rows, with partition and row.
            MemoryLimitExceeded: Where the sums do not fit.

        Cost:
            Of a task, n s^2 flops in float64 for n rows of its partition and s features, beside the features; s^2
            numbers a partition are added, of which some are sent.
        """
        model = clone(self.estimator)
        if isinstance(model, NTKFeatures):
            self.estimator_ = model.fit(sample_points(read_rows(X), SAMPLE_ROWS, 0))
            return self
        if not isinstance(model, FeatureEstimator):
            asked = "on many machines FeatureRegressor, FeatureClassifier and NTKFeatures can be fitted"
            raise InvalidInput(asked, type(model).__name__, "Fit it to a sample, and predict by Distributed.of(model)")
        if y is None:
            raise InvalidInput("there must be targets y to learn from", "None")
        self._fit_features(model, DaskRows(X, y, classes=is_classifier(model)))
        self.estimator_ = model
        return self

    @classmethod
    def of(cls, estimator: Any) -> "Distributed":
        """A fitted estimator, for lazy predictions."""
        check_is_fitted(estimator)
        fitted = cls(estimator)
        fitted.estimator_ = estimator
        return fitted

    def _fit_features(self, model: FeatureEstimator, source: DaskRows) -> None:
        settings = model._settings()
        stream = model._begin_stream(source, settings)
        if source.classes:
            model._outputs(source.labels, stream)  # classes that the sample has not seen
        if stream.prepared is None:
            raise InvalidInput("a sample of the rows must fix the features", "none")
        rows = block_rows(source, settings.size, stream.outputs, self.memory_limit)
        recipe = _Recipe(model, settings, stream.prepared, stream.outputs, rows)
        parts = map_partitions(_sums, source.X, source.y, shared=_constant(recipe))
        with dask.config.set(_LARGE):
            (equations,) = dask.compute(tree_sum(parts))
        stream.equations, stream.rows = equations, equations.rows
        model._check_whole(stream)
        model.stream_ = stream

    def predict(self, X: Rows) -> DaskArray:
        """Predictions as a dask array, (n,) or (n, outputs), cut like X."""
        return self._lazily("predict", X)

    def predict_proba(self, X: Rows) -> DaskArray:
        """Probabilities of the classes as a dask array, (n, classes)."""
        return self._lazily("predict_proba", X)

    def transform(self, X: Rows) -> DaskArray:
        """Features as a dask array, (n, size), in the precision of X."""
        return self._lazily("transform", X)

    def _lazily(self, method: str, X: Rows) -> DaskArray:
        check_is_fitted(self, "estimator_")
        model = _light(self.estimator_)
        table = isinstance(X, dd.DataFrame) and "feature_names_in_" in vars(model)
        rows: Any = X if table else read_rows(X)
        sizes = (float("nan"),) * X.npartitions if table else rows.chunks[0]
        like = _like(model, method, rows)
        parts = map_partitions(partial(_apply, method, like), rows, shared=_constant(model))
        blocks = [
            da.from_delayed(part, (size, *like.shape[1:]), meta=like) for part, size in zip(parts, sizes, strict=True)
        ]
        return da.concatenate(blocks, allow_unknown_chunksizes=True)


class _Recipe(NamedTuple):
    """What turns the rows of a partition into sums."""

    model: FeatureEstimator
    settings: Settings
    prepared: Prepared
    outputs: int
    block_rows: int


def _sums(recipe: _Recipe, number: int, X: Any, y: Any) -> NormalEquations:
    """A task: the normal equations of one partition."""
    model, source = recipe.model, PartitionRows(number, X, y)
    stream = RidgeStream(recipe.settings, recipe.outputs, keep=False)
    stream.prepared = recipe.prepared
    stream.equations = NormalEquations(recipe.prepared.map.size, recipe.outputs)
    for block in source.blocks(recipe.block_rows):
        rows = as_numbers(block, vars(model).get("encoder_"), source)
        target = model._outputs(model._block_targets(block, source), stream)
        stream.add(Sample(rows, target, np.ones(len(block))))
    return stream.equations


def _apply(method: str, like: np.ndarray, model: Any, number: int, X: Any) -> np.ndarray:
    """A task: what the estimator says of the rows of one partition."""
    call, table = getattr(model, method), isinstance(X, pd.DataFrame)
    parts = [call(X.iloc[rows] if table else X[rows]) for rows in row_blocks(len(X), _BLOCK)]
    return np.concatenate(parts) if parts else like


def _like(model: Any, method: str, rows: Rows) -> np.ndarray:
    """No rows of what the estimator returns, found on one made-up row."""
    if isinstance(rows, dd.DataFrame):
        probe = rows._meta_nonempty.iloc[:1]
    else:
        probe = np.ones((1, *rows.shape[1:]), rows.dtype)
    return np.asarray(getattr(model, method)(probe))[:0]


def _light(model: Any) -> Any:
    """The estimator without the sums and rows that only further rows would need."""
    if not isinstance(model, FeatureEstimator) or "stream_" not in vars(model):
        return model
    state = model._calibration_state()
    light = copy(model)
    light.saved_ = model._model()
    light._restore_calibration(state)
    del light.stream_
    return light


def _constant(value: Any) -> Delayed:
    """A value that is sent once, as a part of the graph: unlike scattered data it cannot be lost with a worker."""
    return dask.delayed(value, traverse=False)
