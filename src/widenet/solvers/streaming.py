"""Streaming ridge regression on features: one pass over the rows, sums that merge, every ridge afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple, Self

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from widenet._arrays import Array, is_count
from widenet.errors import InvalidFile, InvalidInput
from widenet.solvers.centred_moments import CentredMoments
from widenet.solvers.ridge_path import RidgePath, RidgeSpectrum, observations


class Rows(NamedTuple):
    """Rows of features with their targets and weights.

    Attributes:
        Z: Features, (n, s).
        y: Targets in float64, (n, t).
        weight: Positive weights in float64, (n,).
    """

    Z: Float[ndarray, "n s"]
    y: Float[ndarray, "n t"]
    weight: Float[ndarray, "n"]


class NormalEquations:
    """The normal equations of ridge regression on features, gathered in one pass over the rows.

    Holds the weighted sums Z^T W Z, Z^T W y and y^T W y about the means, in float64, whatever the precision of Z: s^2
    numbers, however many rows. Rows may come in any blocks; sums of different rows add up (`a + b`), in other
    processes too. Up to `size` rows wait as they are: small blocks are taken in together, and as long as no more rows
    than features have come, the smaller dual problem is solved.

    Args:
        size: Number s of features.
        outputs: Number t of targets.

    Attributes:
        rows: Rows of positive weight so far.

    Raises:
        InvalidInput: Where a number is not whole and at least 1.

    Cost:
        n s^2 flops in float64 for n rows; memory for s^2 numbers and the waiting rows.

    Example:
        >>> import numpy as np
        >>> Z = np.random.default_rng(0).normal(size=(200, 3))
        >>> y = Z @ [1.0, -2.0, 0.5] + 4.0
        >>> equations = NormalEquations(3).add(Z[:120], y[:120]) + NormalEquations(3).add(Z[120:], y[120:])
        >>> path = equations.ridge_path([0.0, 1e9])
        >>> path.coefficients[0, :, 0].round(6), path.intercepts[0].round(6), int(path.gcv.argmin())
        (array([ 1. , -2. ,  0.5]), array([4.]), 0)
    """

    def __init__(self, size: int, outputs: int = 1) -> None:
        for name, value in (("size", size), ("outputs", outputs)):
            if not is_count(value):
                raise InvalidInput(f"NormalEquations.{name} must be a whole number of at least 1", repr(value))
        self.size, self.outputs = int(size), int(outputs)
        self.rows = 0
        self._observations = 0.0
        self._moments: CentredMoments | None = None
        self._waiting: list[Rows] = []

    def __repr__(self) -> str:
        return f"<NormalEquations of {self.rows} rows, {self.size} features, {self.outputs} targets>"

    def add(self, Z: Array, y: Array, weight: Array | None = None) -> Self:
        """Take rows in, and return self.

        Args:
            Z: Features, (n, s), float32 or float64.
            y: Targets, (n,) or (n, t).
            weight: Weights of at least 0, (n,), or None for ones; rows of weight 0 are as good as absent.

        Raises:
            InvalidInput: On shapes that do not match, or numbers that are not finite.
        """
        rows = self._read(Z, y, weight)
        if len(rows.Z) == 0:
            return self
        self.rows += len(rows.Z)
        self._observations += observations(rows.weight)
        if len(rows.Z) > self.size:
            self._fold()
            self._folded().add_rows(*rows)
            return self
        self._waiting.append(Rows(*(np.array(part) for part in rows)))
        if sum(len(waiting.Z) for waiting in self._waiting) > self.size:
            self._fold()
        return self

    def __iadd__(self, other: "NormalEquations") -> Self:
        """Take the sums of other rows in, in place."""
        if (other.size, other.outputs) != (self.size, self.outputs):
            raise InvalidInput("normal equations must have one size to be added", f"{self!r} and {other!r}")
        if other._moments is not None:
            self._fold()
            self._folded().add(other._moments)
        self.rows += other.rows
        self._observations += other._observations
        self._waiting = [*self._waiting, *other._waiting]
        if sum(len(waiting.Z) for waiting in self._waiting) > self.size:
            self._fold()
        return self

    def __add__(self, other: "NormalEquations") -> "NormalEquations":
        total = NormalEquations(self.size, self.outputs)
        total += self
        total += other
        return total

    def arrange_outputs(self, columns: Sequence[int | None]) -> Self:
        """Put the targets into another order, in place; None stands for a target that was 0 in all rows so far.

        A class that no row had before is such a target of one-hot labels.

        Args:
            columns: For each target to come, the number of the present one, or None; (t,).
        """
        order = np.array([self.outputs if column is None else column for column in columns], dtype=np.int64)

        def arranged(array: Float[ndarray, "... t"]) -> Float[ndarray, "... u"]:
            return np.concatenate([array, np.zeros((*array.shape[:-1], 1))], axis=-1)[..., order]

        self.outputs = len(order)
        self._waiting = [rows._replace(y=arranged(rows.y)) for rows in self._waiting]
        if self._moments is not None:
            for name in ("target_mean", "cross", "squares"):
                setattr(self._moments, name, arranged(getattr(self._moments, name)))
        return self

    def decompose(self, ridge_scale: str = "relative") -> RidgeSpectrum:
        """One eigen-decomposition, from which every ridge follows; more rows may be added afterwards.

        Args:
            ridge_scale: "relative" (times the mean squared norm of the features) or "absolute".

        Raises:
            InvalidInput: Where fewer than two rows have come.

        Cost:
            9 m^3 flops, m the smaller of rows and features.
        """
        if self.rows < 2:
            raise InvalidInput("ridge regression needs at least two rows of positive weight", f"{self.rows}")
        if self._moments is None:
            return RidgeSpectrum.of_rows(*self._joined(), ridge_scale)
        self._fold()
        return RidgeSpectrum.of_moments(self._moments, self._observations, ridge_scale)

    def ridge_path(self, ridges: Array, ridge_scale: str = "relative") -> RidgePath:
        """Coefficients, intercepts and GCV scores for each ridge; see `RidgeSpectrum` for leave-one-out.

        Args:
            ridges: Ridges of at least 0, (r,).
            ridge_scale: "relative" (times the mean squared norm of the features) or "absolute".
        """
        return self.decompose(ridge_scale).path(ridges)

    def arrays(self) -> dict[str, ndarray]:
        """The whole state as float arrays, for a file; `from_arrays` reads it."""
        state = {"counts": np.array([self.size, self.outputs, self.rows, self._observations], dtype=np.float64)}
        if self._moments is not None:
            state |= {name: np.atleast_1d(value) for name, value in vars(self._moments).items()}
        if self._waiting:
            state |= {f"waiting_{name}": value for name, value in self._joined()._asdict().items()}
        return state

    @classmethod
    def from_arrays(cls, state: Mapping[str, ndarray]) -> Self:
        """The equations of a file.

        Raises:
            InvalidFile: Where the arrays do not fit together.
        """
        try:
            size, outputs, rows = (int(count) for count in state["counts"][:3])
            equations = cls(size, outputs)
            equations.rows, equations._observations = rows, float(state["counts"][3])
            if state.keys() & {field.name for field in fields(CentredMoments)}:
                equations._moments = _restored(state, size, outputs)
            if "waiting_Z" in state:
                waiting = Rows(state["waiting_Z"], state["waiting_y"], state["waiting_weight"])
                equations._read(*waiting)
                equations._waiting = [waiting]
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise InvalidFile("normal equations must be whole", f"{type(error).__name__}: {error}"[:120]) from error
        return equations

    def _read(self, Z: Any, y: Any, weight: Any) -> Rows:
        features = np.asarray(Z.detach().cpu() if isinstance(Z, Tensor) else Z)
        target = np.asarray(y.detach().cpu() if isinstance(y, Tensor) else y, dtype=np.float64)
        target = target[:, None] if target.ndim == 1 else target
        if features.ndim != 2 or features.shape[1] != self.size or features.dtype not in (np.float32, np.float64):
            asked = f"features must be (rows, {self.size}) in float32 or float64"
            raise InvalidInput(asked, f"shape {features.shape}, {features.dtype}")
        if target.shape != (len(features), self.outputs):
            raise InvalidInput(f"targets must be ({len(features)}, {self.outputs})", str(target.shape))
        weights = np.ones(len(features)) if weight is None else np.asarray(weight, dtype=np.float64)
        if weights.shape != (len(features),) or not ((weights >= 0) & (weights < np.inf)).all():
            raise InvalidInput(f"weights must be {len(features)} finite numbers of at least 0", str(weights.shape))
        for name, array in (("features", features), ("targets", target)):
            # A sum is finite only if every entry is; it can also overflow.
            with np.errstate(over="ignore", invalid="ignore"):
                finite = np.isfinite(array.sum(dtype=np.float64)) or np.isfinite(array).all()
            if not finite:
                bad = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
                raise InvalidInput(f"{name} must be finite", f"NaN or infinity, the first in row {bad}")
        used = weights > 0
        return Rows(features, target, weights) if used.all() else Rows(features[used], target[used], weights[used])

    def _joined(self) -> Rows:
        """The waiting rows as one block."""
        if len(self._waiting) > 1:
            self._waiting = [Rows(*(np.concatenate(parts) for parts in zip(*self._waiting, strict=True)))]
        return self._waiting[0]

    def _folded(self) -> CentredMoments:
        if self._moments is None:
            self._moments = CentredMoments.empty(self.size, self.outputs)
        return self._moments

    def _fold(self) -> None:
        """Add the waiting rows to the sums."""
        if self._waiting:
            self._folded().add_rows(*self._joined())
            self._waiting = []


def _restored(state: Mapping[str, ndarray], size: int, outputs: int) -> CentredMoments:
    shapes = {
        "feature_mean": (size,),
        "target_mean": (outputs,),
        "gram": (size, size),
        "cross": (size, outputs),
        "squares": (outputs,),
    }
    for name, shape in shapes.items():
        if state[name].shape != shape:
            raise ValueError(f"{name} of shape {state[name].shape} for {shape}")
    arrays = [np.array(state[name], dtype=np.float64, order="F") for name in shapes]
    return CentredMoments(float(state["weight"][0]), *arrays)
