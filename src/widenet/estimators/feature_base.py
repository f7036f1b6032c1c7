"""What the regressions on features share: rows from memory and from streams, solving, prediction and files."""

import time
from abc import abstractmethod
from pathlib import Path
from typing import Any, Self

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from widenet._arrays import is_count, row_blocks
from widenet.errors import InvalidFile, InvalidInput
from widenet.estimators.feature_choice import DOUBLE_ROWS, Sample, Settings
from widenet.estimators.feature_model import FeatureModel, model_from_state
from widenet.estimators.model_file import Tensors, write_model
from widenet.estimators.ridge_stream import START_ROWS, RidgeStream
from widenet.estimators.row_sources import RowBlock, RowSource
from widenet.estimators.selection import Candidate, read_ridge
from widenet.estimators.serialization import from_json, to_json
from widenet.estimators.stream_fit import Progress, as_numbers, as_source, block_rows, fitted_encoder
from widenet.estimators.stream_state import read_stream, run_identity, write_stream
from widenet.estimators.table_encoder import TableEncoder
from widenet.features.base import FeatureMap

CHECKPOINT_SECONDS = 60.0
"""Seconds between two states of a checkpoint file."""

_BLOCK_BYTES = 2**26  # of the features of a block of rows in float64
_CANDIDATES = 4  # rows of the sample for each feature


class FeatureEstimator(BaseEstimator):
    """Common part of the regressions on features."""

    features: Any
    size: Any
    ridge: Any
    ridge_scale: Any
    standardize: Any
    random_state: Any
    n_features_in_: int
    feature_names_in_: np.ndarray
    encoder_: TableEncoder
    stream_: RidgeStream
    saved_: FeatureModel

    _calibrated = False  # whether rows are kept for the calibration of probabilities

    def __sklearn_is_fitted__(self) -> bool:
        return "stream_" in vars(self) or "saved_" in vars(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @property
    def ridge_(self) -> float:
        """The ridge, over the mean squared norm of the features."""
        return self._model().ridge

    @property
    def selection_(self) -> tuple[Candidate, ...]:
        """The table of the choice of the kernel, best first; empty where none was chosen."""
        return self._model().selection

    @property
    def gcv_(self) -> dict[float, float]:
        """GCV score of every ridge that was compared, over the variance of the targets: 1 says nothing.

        The ridge of least score is taken, of those under which a function has at most 100 times that variance.
        """
        model = self._model()
        return dict(zip(model.ridges.tolist(), model.scores.tolist(), strict=True))

    @abstractmethod
    def _first(self, y: np.ndarray, classes: Any) -> int:
        """Read what targets are from the first of them; the number of outputs is returned."""

    @abstractmethod
    def _outputs(self, y: np.ndarray, stream: RidgeStream) -> np.ndarray:
        """Targets of rows as numbers, (n, t)."""

    @abstractmethod
    def _block_targets(self, block: RowBlock, source: RowSource) -> np.ndarray:
        """Targets of a block of a source, checked."""

    @abstractmethod
    def _check_whole(self, stream: RidgeStream) -> None:
        """Refuse targets of a whole fit from which nothing can be learned."""

    @abstractmethod
    def _target_state(self) -> dict[str, Any]:
        """What was read of the targets, as JSON."""

    @abstractmethod
    def _restore_targets(self, state: dict[str, Any]) -> int:
        """Read what `_target_state` made; the number of outputs is returned."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose features and ridge where they are "auto", and solve, by one pass over blocks of the rows.

        Args:
            X: Rows, (n, d), dense or sparse (CSR), which is never made dense or centred.
            y: Targets, (n,) or, for regression, (n, outputs).
            sample_weight: Weights of at least 0, (n,), or None for ones.

        Raises:
            InvalidInput: On gaps, text, one row, targets that do not vary, or arguments out of range.
        """
        settings = self._settings()
        self._forget()
        X, y, weight = self._read(X, y, sample_weight, fresh=True, least=2)
        stream = RidgeStream(settings, self._first(y, None), keep=self._calibrated)
        rows = Sample(X, self._outputs(y, stream), weight)
        count = min(len(rows), self._sample_size(settings))
        chosen = np.sort(np.random.default_rng(settings.seed).choice(len(rows), count, replace=False))
        stream.begin(rows.take(chosen), np.float64 if len(rows) <= DOUBLE_ROWS else np.float32)
        for part in row_blocks(len(rows), max(settings.size + 1, _BLOCK_BYTES // (8 * settings.size))):
            stream.add(rows.take(part))
        self._check_whole(stream)
        self.stream_ = stream
        return self

    def _partial_fit(self, X: Any, y: Any, classes: Any, sample_weight: Any) -> Self:
        """Take further rows in; features are chosen when there are 10,000 of them, or for a prediction before that."""
        if "saved_" in vars(self):
            raise InvalidInput(
                "a model from a file can only predict", "more rows to fit", "Stream with a checkpoint to go on later"
            )
        fresh = "stream_" not in vars(self)
        settings = self._settings() if fresh else self.stream_.settings
        X, y, weight = self._read(X, y, sample_weight, fresh=fresh, least=1)
        if fresh:
            self.stream_ = RidgeStream(settings, self._first(y, classes), keep=self._calibrated)
        if len(weight):
            self.stream_.add(Sample(X, self._outputs(y, self.stream_), weight))
        return self

    def fit_stream(
        self,
        source: Any,
        *,
        memory_limit: int | float | str | None = None,
        checkpoint: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit to rows that are read in blocks, however many there are, in one pass after a sample.

        Scaling, kernel and landmarks come from 10,000 rows or more at random; so do the kinds, means and categories of
        the columns of a table, whose missing cells take the mean.

        Args:
            source: `open_rows(path, target)`, another `RowSource`, or an iterable of blocks (X, y), which a function
                without arguments may begin anew: without one the sample is the first rows.
            memory_limit: Bytes or text such as "1 GiB" for the sums, the features and a block of rows; None means
                1 GiB, or half of the available memory where that is less.
            checkpoint: File to which the state is written every minute and from which a run that was stopped goes
                on: with the same settings and rows, to the same result.
            progress: Called after each block with the number of rows so far and of all rows (None if not known).

        Raises:
            InvalidInput: On cells that do not fit their column, gaps in the targets; with file, column and row.
            MemoryLimitExceeded: Where the sums do not fit.
            InvalidFile: Where a file is corrupt, or the checkpoint cannot be written.
            FingerprintMismatch: Where the checkpoint belongs to other rows or settings.

        Cost:
            n s^2 flops in float64 for n rows and s features, beside the features; memory does not grow with n.
        """
        settings, rows = self._settings(), as_source(source)
        self._forget()
        path = None if checkpoint is None else Path(checkpoint)
        identity = (
            "" if path is None else run_identity(rows.identity(), self.get_params(deep=False), type(self).__name__)
        )
        found = None if path is None else read_stream(path, settings, identity, keep=self._calibrated)
        if found is None:
            stream, done = self._begin_stream(rows, settings), 0
        else:
            stream, facts = found
            self._restore_facts(facts)
            done = int(facts["done"])
        size = block_rows(rows, settings.size, stream.outputs, memory_limit)
        encoder, saved = vars(self).get("encoder_"), time.monotonic()
        for block in rows.blocks(size, done):
            X = as_numbers(block, encoder, rows)
            target = self._outputs(self._block_targets(block, rows), stream)
            stream.add(Sample(X, target, np.ones(len(block))))
            done = block.start + len(block)
            if path is not None and time.monotonic() - saved >= CHECKPOINT_SECONDS:
                write_stream(path, stream, identity, self._facts() | {"done": done})
                saved = time.monotonic()
            if progress is not None:
                progress(done, rows.rows)
        if path is not None:
            write_stream(path, stream, identity, self._facts() | {"done": done})
        self._check_whole(stream)
        self.stream_ = stream
        return self

    def _begin_stream(self, rows: RowSource, settings: Settings) -> RidgeStream:
        """Choose everything by a sample."""
        drawn = rows.sample(self._sample_size(settings), settings.seed)
        if rows.is_table:
            self.encoder_ = fitted_encoder(drawn, rows)
            self.n_features_in_ = self.encoder_.n_features_in_
            self.feature_names_in_ = self.encoder_.feature_names_in_
        else:
            self.n_features_in_ = int(drawn.X.shape[1])
        X = as_numbers(drawn, vars(self).get("encoder_"), rows)
        y = self._block_targets(drawn, rows)
        stream = RidgeStream(settings, self._first(y, None), keep=self._calibrated)
        few = rows.rows is not None and rows.rows <= DOUBLE_ROWS
        sample = Sample(X, self._outputs(y, stream), np.ones(len(drawn)))
        stream.begin(sample, np.float64 if few else np.float32)
        return stream

    def _settings(self) -> Settings:
        """The arguments, checked."""
        if not isinstance(self.standardize, (bool, np.bool_)):
            raise InvalidInput("standardize must be True or False", repr(self.standardize))
        if self.ridge_scale not in ("relative", "absolute"):
            raise InvalidInput("ridge_scale must be 'relative' or 'absolute'", repr(self.ridge_scale))
        seed = self.random_state
        if not is_count(seed, 0):
            seed = int(check_random_state(seed).randint(2**31 - 1))
        size = self.features.size if isinstance(self.features, FeatureMap) else self.size
        absolute = self.ridge_scale == "absolute"
        return Settings(self.features, size, read_ridge(self.ridge), absolute, bool(self.standardize), int(seed))

    def _sample_size(self, settings: Settings) -> int:
        return max(START_ROWS, _CANDIDATES * settings.size)

    def _columns(self) -> int:
        """Columns of the rows as numbers."""
        encoded = "encoder_" in vars(self)
        return len(self.encoder_.get_feature_names_out()) if encoded else self.n_features_in_

    def _forget(self) -> None:
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            delattr(self, name)

    def _read(
        self, X: Any, y: Any, sample_weight: Any, *, fresh: bool, least: int
    ) -> tuple[Any, np.ndarray, np.ndarray]:
        """Rows, targets and weights in memory, checked; rows of weight 0 are dropped."""
        several = not self._calibrated
        try:
            if "encoder_" in vars(self):
                X, y = self.encoder_.transform(X), column_or_rows(y, len(X))
            else:
                X, y = validate_data(
                    self,
                    X,
                    y,
                    reset=fresh,
                    accept_sparse="csr",
                    dtype=[np.float64, np.float32],
                    ensure_min_samples=least,
                    multi_output=several,
                    y_numeric=several,
                )
            weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        except ValueError as error:
            raise InvalidInput("rows and targets to fit must be numbers without gaps", str(error)) from error
        used = weight > 0
        if fresh and not used.any():
            raise InvalidInput("sample weights must have a positive sum", f"a sum of {weight.sum()}")
        X = scipy.sparse.csr_array(X) if scipy.sparse.issparse(X) else X
        return (X, np.asarray(y), weight) if used.all() else (X[used], np.asarray(y)[used], weight[used])

    def _model(self) -> FeatureModel:
        """What predicts: of a file, or for the rows so far."""
        check_is_fitted(self)
        return self.saved_ if "saved_" in vars(self) else self.stream_.solve().model

    def _predictions(self, X: Any) -> np.ndarray:
        """Values at rows like those of the fit, (m, t)."""
        check_is_fitted(self)
        if "encoder_" in vars(self):
            return self._model().predict(self.encoder_.transform(X))
        try:
            rows = validate_data(self, X, reset=False, accept_sparse="csr", dtype=[np.float64, np.float32])
        except ValueError as error:
            raise InvalidInput("rows to predict must be like those of fit", str(error)) from error
        return self._model().predict(scipy.sparse.csr_array(rows) if scipy.sparse.issparse(rows) else rows)

    def save(self, path: str | Path) -> None:
        """Write what predicts to one file, which `widenet.load` reads; a model from a file takes no further rows.

        Raises:
            InvalidInput: On a kernel or feature map that is not of this package.
            InvalidFile: Where the file cannot be written.
        """
        check_is_fitted(self)
        tensors, model = self._model().state()
        parameters = {name: to_json(value) for name, value in self.get_params(deep=False).items()}
        info = {"estimator": type(self).__name__, "parameters": parameters, "facts": self._facts(), "model": model}
        write_model(path, tensors, info | self._calibration_state())

    @classmethod
    def from_state(cls, tensors: Tensors, info: dict[str, Any]) -> Self:
        """The estimator with the state of a file; `widenet.load` calls it.

        Raises:
            InvalidFile: Where the parts do not fit together.
        """
        model = cls(**{name: from_json(value) for name, value in info["parameters"].items()})
        outputs = model._restore_facts(info["facts"])
        model.saved_ = model_from_state(tensors, info["model"])
        if len(model.saved_.readout.intercept) != outputs or len(model.saved_.scaler.mean) != model._columns():
            asked = f"a model of {model._columns()} columns and {outputs} targets must have coefficients for them"
            raise InvalidFile(asked, f"{len(model.saved_.scaler.mean)} and {len(model.saved_.readout.intercept)}")
        model._restore_calibration(info)
        return model

    def _calibration_state(self) -> dict[str, Any]:
        """What probabilities need, as JSON."""
        return {}

    def _restore_calibration(self, info: dict[str, Any]) -> None:
        """Read what `_calibration_state` made."""

    def _facts(self) -> dict[str, Any]:
        """What was read of the columns and targets, as JSON."""
        return {
            "targets": self._target_state(),
            "encoder": self.encoder_.to_json() if "encoder_" in vars(self) else None,
            "columns": int(self.n_features_in_),
            "names": self.feature_names_in_.tolist() if "feature_names_in_" in vars(self) else None,
        }

    def _restore_facts(self, facts: dict[str, Any]) -> int:
        """Read what `_facts` made; the number of outputs is returned."""
        if facts["encoder"] is not None:
            self.encoder_ = TableEncoder.from_json(facts["encoder"])
        self.n_features_in_ = int(facts["columns"])
        if facts["names"] is not None:
            self.feature_names_in_ = np.array([str(name) for name in facts["names"]], dtype=object)
            if len(self.feature_names_in_) != self.n_features_in_:
                asked = f"a model of {self.n_features_in_} columns must name as many"
                raise InvalidFile(asked, str(len(self.feature_names_in_)))
        return self._restore_targets(facts["targets"])


def column_or_rows(y: Any, rows: int) -> np.ndarray:
    """Targets of a table in memory, as many as rows."""
    values = np.asarray(y)
    if values.ndim not in (1, 2) or len(values) != rows:
        raise InvalidInput(f"targets must have {rows} rows", f"shape {values.shape}")
    return values
