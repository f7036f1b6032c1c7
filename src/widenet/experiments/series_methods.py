"""Classifiers of time series that the recurrent-kernel experiment compares, each with its stated grid."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from sklearn.svm import SVC

from widenet.architectures import fully_connected
from widenet.errors import InvalidInput
from widenet.estimators.recurrent_grid import RecurrentGrid, normalized_kernels
from widenet.estimators.selection import Problem, check_gram, ridge_path
from widenet.estimators.series_rows import SeriesScaler, collect, kernel_points
from widenet.estimators.support_vectors import SupportVectorMachine
from widenet.experiments.series_data import SeriesSet
from widenet.kernels import NTK, Gaussian, Kernel
from widenet.solvers.cholesky import Cholesky

Detail = str | int | float


@dataclass(frozen=True)
class Score:
    """What one classifier reached on one set.

    Attributes:
        classifier: Its name, a column of the tables.
        accuracy: Share of the test series that it gets right, percent.
        seconds: Gram matrices, choice, training and prediction; kernels count the Gram matrices that both learners
            share in full for each.
        details: What was chosen, and how.
    """

    classifier: str
    accuracy: float
    seconds: float
    details: dict[str, Detail]


class Method(ABC):
    """Classifiers that share their work on a set."""

    @property
    @abstractmethod
    def classifiers(self) -> tuple[str, ...]:
        """Names of the classifiers that `evaluate` scores, in its order."""

    @property
    @abstractmethod
    def grid(self) -> str:
        """What it chooses from, in words, and whose choice that is."""

    @abstractmethod
    def evaluate(self, data: SeriesSet) -> list[Score]:
        """Train on the training series, score on the test series."""


class Family(ABC):
    """Kernels of one kind."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What tables call it."""

    @property
    @abstractmethod
    def grid(self) -> str:
        """The grid in words."""

    @abstractmethod
    def kernels(self, steps: int, channels: int) -> tuple[Kernel, ...]:
        """The kernels for series of so many steps and channels; where lengths differ, the longest counts."""

    def points(self, series: ndarray) -> ndarray:
        """What the kernels read, from standardised series (n,)."""
        return _rows(series)


@dataclass(frozen=True)
class RecurrentFamily(Family):
    """Tangent kernels of recurrent networks.

    Attributes:
        networks: The networks.
        label: What tables call them.
    """

    networks: RecurrentGrid = field(default_factory=RecurrentGrid)
    label: str = "RNTK"

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.label

    @property
    def grid(self) -> str:
        """The grid in words."""
        axes = (("hidden_std", self.networks.hidden_std), ("bias_std", self.networks.bias_std))
        axes += (("initial_std", self.networks.initial_std), ("layers", self.networks.layers))
        words = ", ".join(f"{name} in {{{', '.join(f'{v:.4g}' for v in values)}}}" for name, values in axes)
        ways = " or ".join("both directions" if both else "forward" for both in self.networks.bidirectional)
        return f"{words}, input_std 1, readout {' or '.join(self.networks.readouts)}, {ways}"

    def kernels(self, steps: int, channels: int) -> tuple[Kernel, ...]:
        """The kernels; they are the same for all lengths."""
        return self.networks.kernels()

    def points(self, series: ndarray) -> ndarray:
        """The series themselves."""
        return series


@dataclass(frozen=True)
class DenseFamily(Family):
    """Tangent kernels of fully connected ReLU networks, which read a series as one vector.

    Attributes:
        depths: Numbers of activations.
        bias_stds: Factors of the biases.
    """

    depths: tuple[int, ...] = (1, 2, 3, 4, 5)
    bias_stds: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0)

    @property
    def name(self) -> str:
        """What tables call it."""
        return "NTK"

    @property
    def grid(self) -> str:
        """The grid in words."""
        biases = ", ".join(f"{value:g}" for value in self.bias_stds)
        return f"ReLU, depth {self.depths[0]} to {self.depths[-1]}, He scaling, bias_std in {{{biases}}}"

    def kernels(self, steps: int, channels: int) -> tuple[Kernel, ...]:
        """The kernels, depth in the outer loop."""
        return tuple(
            NTK(fully_connected(depth, bias_std=bias, scaling="he")) for depth in self.depths for bias in self.bias_stds
        )


@dataclass(frozen=True)
class GaussianFamily(Family):
    """exp(-|x - y|^2 / (2 scale^2)) with scales around the distance of two series at random.

    Attributes:
        steps: Scales are 2^(k / 2) sqrt(d) for k = -steps ... steps, d the number of values of a series.
    """

    steps: int = 8

    @property
    def name(self) -> str:
        """What tables call it."""
        return "RBF"

    @property
    def grid(self) -> str:
        """The grid in words."""
        return f"scales 2^(k/2) sqrt(d), k = {-self.steps} ... {self.steps}, d values a series"

    def kernels(self, steps: int, channels: int) -> tuple[Kernel, ...]:
        """The kernels, widest last."""
        unit = math.sqrt(steps * channels)
        return tuple(Gaussian(unit * 2.0 ** (k / 2)) for k in range(-self.steps, self.steps + 1))


@dataclass(frozen=True)
class KernelMethod(Method):
    """A support vector machine and ridge regression on the kernels of one family, all normalised to K(x, x) = 1.

    Attributes:
        family: The kernels.
        machine: Penalties and folds.
    """

    family: Family
    machine: SupportVectorMachine = field(default_factory=SupportVectorMachine)

    @property
    def classifiers(self) -> tuple[str, ...]:
        """Names of both."""
        return f"{self.family.name}, SVM", f"{self.family.name}, ridge"

    @property
    def grid(self) -> str:
        """The grid in words."""
        penalties = ", ".join(f"{value:g}" for value in self.machine.C)
        said = "" if self.machine.C == SupportVectorMachine().C else f", C in {{{penalties}}}"
        return f"{self.family.grid}, normalised to K(x, x) = 1{said}"

    def evaluate(self, data: SeriesSet) -> list[Score]:
        """One pass over the kernels for both learners, then the test series with the chosen ones."""
        points = self.family.points(standardised(data.train))
        tests = self.family.points(standardised(data.test))
        kernels = normalized_kernels(self.family.kernels(data.lengths[1], data.train[0].shape[1]))
        problem = _problem(points, data.y_train)
        errors, losses, ridges, spent = [], [], [], np.zeros(3)
        for kernel in kernels:
            clock = [time.perf_counter()]
            gram = check_gram(kernel, points)
            clock.append(time.perf_counter())
            errors.append(self.machine.validate(gram, data.y_train, problem.weight))
            clock.append(time.perf_counter())
            path = ridge_path(gram, problem)
            losses.append(float(path.scores[path.best]))
            ridges.append(float(path.ridges[path.best]))
            clock.append(time.perf_counter())
            spent += np.diff(clock)
        started = time.perf_counter()
        svm = self._score_machine(kernels, np.array(errors), np.array(losses), (points, tests), data)
        seconds = time.perf_counter() - started
        chosen = int(np.argmin(losses))
        ridge = _score_ridge(kernels[chosen], ridges[chosen], (points, tests), data)
        details: dict[str, Detail] = {"kernel": repr(kernels[chosen]), "ridge": ridges[chosen]}
        details |= {"leave_one_out": losses[chosen], "kernels": len(kernels), "gram_seconds": float(spent[0])}
        return [
            Score(self.classifiers[0], svm[0], float(spent[:2].sum()) + seconds, svm[1]),
            Score(self.classifiers[1], ridge, float(spent[0] + spent[2]), details),
        ]

    def _score_machine(
        self, kernels: Sequence[Kernel], errors: ndarray, losses: ndarray, points: tuple, data: SeriesSet
    ) -> tuple[float, dict[str, Detail]]:
        """Accuracy in percent by the tie rule of the library, and that by the first of the grid in the details."""
        penalties = sorted(self.machine.C)
        tied = np.argwhere(errors <= errors.min() + 1e-12)
        ruled = min(tied, key=lambda pair: (losses[pair[0]], -pair[1]))
        scores = []
        for i, j in (ruled, tied[0]):
            svc = SVC(kernel="precomputed", C=penalties[j]).fit(check_gram(kernels[i], points[0]), data.y_train)
            scores.append(_percent(svc.predict(check_gram(kernels[i], points[1], points[0])), data.y_test))
        details: dict[str, Detail] = {"kernel": repr(kernels[ruled[0]]), "C": penalties[ruled[1]]}
        details |= {"validation_error": float(errors.min()), "tied": len(tied), "accuracy_of_first": scores[1]}
        return scores[0], details


@dataclass(frozen=True)
class NearestNeighbour(Method):
    """The class of the training series at the least Euclidean distance; of several, the first."""

    @property
    def classifiers(self) -> tuple[str, ...]:
        """Its name."""
        return ("1-NN Euclid",)

    @property
    def grid(self) -> str:
        """Nothing to choose."""
        return "nothing to choose"

    def evaluate(self, data: SeriesSet) -> list[Score]:
        """Distances from differences, a test series at a time."""
        started = time.perf_counter()
        train, test = _rows(standardised(data.train)), _rows(standardised(data.test))
        nearest = [int(np.square(train - series).sum(axis=1).argmin()) for series in test]
        accuracy = _percent(data.y_train[nearest], data.y_test)
        return [Score("1-NN Euclid", accuracy, time.perf_counter() - started, {})]


def standardised(series: list[ndarray]) -> ndarray:
    """Series (n,), each channel of each with mean 0 and variance 1."""
    channels = series[0].shape[1]
    return SeriesScaler(True, np.zeros(channels), np.ones(channels)).transform(collect(series), np.float64)


def _rows(series: ndarray) -> Float[ndarray, "n d"]:
    points: Any = kernel_points(series)
    if isinstance(points, list):
        lengths = sorted({len(values) for values in points})
        got = f"{lengths[0]} to {lengths[-1]} steps"
        raise InvalidInput("kernels of vectors and Euclidean distances need series of one length", got)
    return points.reshape(len(points), -1)


def _problem(points: ndarray, labels: Int[ndarray, "n"]) -> Problem:
    target = np.eye(int(labels.max()) + 1)[labels]
    return Problem(points, target - target.mean(axis=0), np.ones(len(labels)))


def _score_ridge(kernel: Kernel, ridge: float, points: tuple, data: SeriesSet) -> float:
    problem = _problem(points[0], data.y_train)
    dual = Cholesky().solve(check_gram(kernel, points[0]), problem.target, ridge).value
    mean = np.eye(problem.target.shape[1])[data.y_train].mean(axis=0)
    scores = check_gram(kernel, points[1], points[0]) @ np.asarray(dual) + mean
    return _percent(scores.argmax(axis=1), data.y_test)


def _percent(predicted: Int[ndarray, "m"], truth: Int[ndarray, "m"]) -> float:
    return 100 * float(np.mean(predicted == truth))
