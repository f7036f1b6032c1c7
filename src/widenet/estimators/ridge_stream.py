"""A ridge regression on features that is under way: rows come in, and it can be solved at any time."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from widenet.errors import InvalidInput
from widenet.estimators.calibration import fit_inverse_temperature
from widenet.estimators.feature_choice import DOUBLE_ROWS, Prepared, Sample, Settings, prepare
from widenet.estimators.feature_model import FeatureModel
from widenet.estimators.readouts import make_readout
from widenet.solvers.ridge_path import RidgeSpectrum, best_ridge
from widenet.solvers.streaming import NormalEquations

START_ROWS = 10_000
"""Rows on which scaling, kernel and landmarks are chosen; rows that come one by one wait until there are so many."""

CALIBRATION_ROWS = 5000
"""Most rows whose leave-one-out predictions are kept for the calibration of probabilities."""

_LOWEST, _STEP = -8.0, 0.5  # of log10 of the ridges that are tried; the largest is the number of rows


class Solved(NamedTuple):
    """A solution of a stream.

    Attributes:
        model: What predicts.
        spectrum: The decomposition, for leave-one-out predictions.
        prepared: What turns rows into features.
    """

    model: FeatureModel
    spectrum: RidgeSpectrum
    prepared: Prepared


class RidgeStream:
    """Rows in, ridge regression on features out.

    Rows wait until there are `START_ROWS` of them, unless `begin` was given a sample. From these scaling and features
    are chosen; from then on rows are turned into features, and the features into sums. Solving earlier gives what a
    fit of the waiting rows gives, and fixes nothing.

    Args:
        settings: How features are chosen and solved for.
        outputs: Number of targets.
        keep: Whether some rows are kept, whose leave-one-out predictions calibrate probabilities.

    Attributes:
        prepared: What turns rows into features, or None while rows wait.
        equations: Sums over the rows that were turned into features.
        kept: Rows for the calibration.
        rows: Rows of positive weight so far.
    """

    def __init__(self, settings: Settings, outputs: int, *, keep: bool) -> None:
        self.settings, self.outputs, self._keep = settings, outputs, keep
        self.prepared: Prepared | None = None
        self.equations: NormalEquations | None = None
        self.kept: Sample | None = None
        self.rows = 0
        self._waiting: list[Sample] = []
        self._solved: Solved | None = None
        self._trial: RidgeStream | None = None
        self._temperature: float | None = None

    def begin(self, sample: Sample, dtype: Any = np.float32) -> None:
        """Choose scaling and features by a sample of the rows, which are not taken in by this."""
        self.prepared = prepare(self.settings, sample, dtype)
        self.equations = NormalEquations(self.prepared.map.size, self.outputs)
        if self._keep:
            chosen = np.random.default_rng(self.settings.seed).permutation(len(sample))[:CALIBRATION_ROWS]
            self.kept = sample.take(np.sort(chosen))

    def add(self, rows: Sample) -> None:
        """Take rows of positive weight in."""
        self._solved = self._trial = self._temperature = None
        self.rows += len(rows)
        if self.prepared is not None and self.equations is not None:
            self.equations.add(self.prepared.features(rows.X), rows.target, rows.weight)
            return
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= START_ROWS:
            waiting = joined(self._waiting)
            self._waiting = []
            self.begin(waiting)
            self.rows -= len(waiting)
            self.add(waiting)

    def arrange_outputs(self, columns: list[int | None]) -> None:
        """Put the targets into another order; None is a target that was 0 so far."""
        order = np.array([self.outputs if column is None else column for column in columns])
        self.outputs = len(columns)
        self._solved = self._trial = self._temperature = None
        if self.equations is not None:
            self.equations.arrange_outputs(columns)
        self._waiting = [_arranged(rows, order) for rows in self._waiting]
        self.kept = None if self.kept is None else _arranged(self.kept, order)

    def solve(self) -> Solved:
        """The solution for the rows so far; the ridge that `best_ridge` takes where none was given.

        Raises:
            InvalidInput: Where there are no two rows.
        """
        stream = self._current()
        if stream._solved is None:
            stream._solved = stream._solve()
        return stream._solved

    def left_out(self) -> tuple[np.ndarray, Sample]:
        """Leave-one-out predictions (k, t) of rows of the stream, and these rows."""
        solved, kept = self.solve(), self._current().kept
        if kept is None:
            raise InvalidInput("leave-one-out predictions need rows that were kept", "none")
        Z = solved.prepared.features(kept.X)
        return solved.spectrum.leave_one_out(Z, kept.target, [solved.model.ridge], kept.weight)[0], kept

    def inverse_temperature(self) -> float:
        """Factor of the scores in the softmax of probabilities, fitted on leave-one-out scores of one-hot targets."""
        stream = self._current()
        if stream._temperature is None:
            scores, kept = stream.left_out()
            stream._temperature = fit_inverse_temperature(scores, kept.target.argmax(axis=1), kept.weight)
        return stream._temperature

    def _current(self) -> "RidgeStream":
        """This stream, or while rows wait one that has begun with these."""
        if not self._waiting:
            return self
        if self._trial is None:
            waiting = joined(self._waiting)
            self._trial = RidgeStream(self.settings, self.outputs, keep=self._keep)
            self._trial.begin(waiting, np.float64 if len(waiting) <= DOUBLE_ROWS else np.float32)
            self._trial.add(waiting)
        return self._trial

    def _solve(self) -> Solved:
        if self.equations is None or self.prepared is None:
            raise InvalidInput("there must be rows to learn from", "none")
        spectrum = self.equations.decompose()
        absolute = self.settings.ridge
        if absolute is None:
            highest = max(1.0, np.log10(self.rows))
            ridges = 10.0 ** np.arange(_LOWEST, highest + _STEP, _STEP)
        else:
            ridges = np.array([absolute / (spectrum.level or 1.0) if self.settings.absolute else absolute])
        variances = spectrum.target_variances
        unit = np.where(variances > 0, variances, 1.0)
        scores = (spectrum.generalized_cross_validation(ridges) / unit).mean(axis=1)
        best = best_ridge(ridges, scores)
        path = spectrum.path(ridges[best : best + 1])
        readout = make_readout(self.prepared.map, self.prepared.maker, path.coefficients[0], path.intercepts[0])
        prepared = self.prepared
        model = FeatureModel(
            prepared.scaler,
            prepared.dtype,
            readout,
            float(ridges[best]),
            ridges,
            scores,
            float(path.degrees_of_freedom[0]),
            self.rows,
            prepared.selection,
        )
        return Solved(model, spectrum, prepared)


def joined(samples: list[Sample]) -> Sample:
    """Rows of several blocks as one."""
    if len(samples) == 1:
        return samples[0]
    parts = [sample.X for sample in samples]
    sparse = any(scipy.sparse.issparse(part) for part in parts)
    X = scipy.sparse.csr_array(scipy.sparse.vstack(parts, format="csr")) if sparse else np.concatenate(parts)
    return Sample(X, np.concatenate([s.target for s in samples]), np.concatenate([s.weight for s in samples]))


def _arranged(rows: Sample, order: np.ndarray) -> Sample:
    wide = np.concatenate([rows.target, np.zeros((len(rows), 1))], axis=1)
    return Sample(rows.X, wide[:, order], rows.weight)
