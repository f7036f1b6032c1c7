"""Nested cross-validation of methods on one table: scores, standard errors, ranks, times."""

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import rankdata
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, mean_absolute_error, r2_score
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold
from threadpoolctl import threadpool_limits

from widenet.errors import InvalidInput, WidenetError
from widenet.estimators import KernelClassifier, KernelRegressor
from widenet.estimators.table_encoder import TableEncoder
from widenet.experiments.methods import INNER_FOLDS, Learner, Method
from widenet.experiments.tables import Table, Task

SMALL_TABLE = 1000
"""Up to this many rows every method runs on one thread."""

Progress = Callable[[str, int, int], None]
METRICS: dict[Task, tuple[str, ...]] = {
    "regression": ("R2", "RMSE", "MAE"),
    "classification": ("accuracy", "balanced accuracy", "log loss"),
}


@dataclass(frozen=True, eq=False)
class Plan:
    """How a comparison splits the rows.

    Attributes:
        folds: Outer folds.
        repeats: Times the outer folds are drawn anew.
        seed: Seed of the folds and of the methods that draw numbers.
    """

    folds: int = 5
    repeats: int = 1
    seed: int = 0

    def splits(self, table: Table) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows to fit and to score on, for each outer fold."""
        splitter = RepeatedKFold if table.task == "regression" else RepeatedStratifiedKFold
        folds = splitter(n_splits=self.folds, n_repeats=self.repeats, random_state=self.seed)
        return iter(folds.split(table.features, table.target))

    def check(self, table: Table) -> None:
        """Raise InvalidInput where the rows do not suffice for the folds."""
        if self.folds < 2 or self.repeats < 1:
            raise InvalidInput("folds must be at least 2 and repeats at least 1", f"{self.folds} x {self.repeats}")
        if len(table.target) < 4 * self.folds:
            raise InvalidInput(
                f"{self.folds} folds need at least {4 * self.folds} rows",
                f"{len(table.target)} rows",
                "Ask for fewer folds",
            )
        if table.task == "classification":
            labels, counts = np.unique(table.target, return_counts=True)
            rare = int(counts.argmin())
            # Outer folds take their share rounded up, and each inner fold of the peers needs a row of the rest.
            needed = self.folds + 1
            while needed - ceil(needed / self.folds) < INNER_FOLDS:
                needed += 1
            if counts[rare] < needed:
                raise InvalidInput(
                    f"{self.folds} folds need {needed} rows of each class",
                    f"{int(counts[rare])} of class {str(labels[rare])[:40]!r}",
                    "Ask for fewer folds, or merge or drop rare classes",
                )


@dataclass(frozen=True, eq=False)
class MethodResult:
    """What one method reached.

    Attributes:
        method: The method.
        scores: One array (folds,) for each metric; NaN where the method has no such score or failed.
        fit_seconds: (folds,), tuning included.
        predict_seconds: (folds,).
        predictions: (n,), of each row by the fit of the first repeat that did not see it.
        probabilities: (n, classes) likewise, or None.
        choices: What tuning chose in each fold, in words.
        failure: Why it has no scores, or "".
    """

    method: Method
    scores: dict[str, Float[ndarray, " folds"]]
    fit_seconds: Float[ndarray, " folds"]
    predict_seconds: Float[ndarray, " folds"]
    predictions: np.ndarray
    probabilities: Float[ndarray, "n classes"] | None
    choices: list[str]
    failure: str = ""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Results of all methods on one table.

    Attributes:
        table: The table.
        plan: The folds.
        results: One for each method, best mean score first, failures last.
        ranks: Mean rank over the folds of each result, 1 is best; NaN for failures.
        test_share: Rows scored over rows fitted in a fold, which the standard errors need.
        classes: Labels in the order of the probabilities, empty for regression.
    """

    table: Table
    plan: Plan
    results: list[MethodResult]
    ranks: list[float]
    test_share: float
    classes: list[str] = field(default_factory=list)

    @property
    def metric(self) -> str:
        """The metric that orders the methods; larger is better."""
        return METRICS[self.table.task][0]

    @property
    def best(self) -> MethodResult:
        """The method of the best mean score."""
        return self.results[0]

    def mean(self, result: MethodResult, metric: str) -> float:
        """Mean score over the folds."""
        return float(np.mean(result.scores[metric]))

    def standard_error(self, result: MethodResult, metric: str) -> float:
        """Standard error of the mean score, corrected for training sets that overlap (`corrected_error`)."""
        return corrected_error(result.scores[metric], self.test_share)

    def lead(self, first: MethodResult, second: MethodResult) -> tuple[float, float]:
        """Mean difference of two methods' scores over the same folds, and its corrected standard error."""
        difference = first.scores[self.metric] - second.scores[self.metric]
        return float(difference.mean()), corrected_error(difference, self.test_share)


def corrected_error(values: Float[ndarray, " folds"], test_share: float) -> float:
    """Standard error of a cross-validated mean, sqrt((1 / J + n_test / n_train) s^2).

    J is the number of folds and s^2 the variance over them. Scores of folds are correlated since their training sets
    overlap; s / sqrt(J) would be too small.

    References:
        Nadeau and Bengio, Inference for the generalization error, Machine Learning 52 (2003), eq. 12.

    Example:
        >>> round(corrected_error(np.array([0.8, 0.9]), 0.25), 6)
        0.061237
    """
    if len(values) < 2:
        return float("nan")
    return float(np.sqrt((1 / len(values) + test_share) * np.var(values, ddof=1)))


def compare(table: Table, methods: list[Method], plan: Plan, progress: Progress | None = None) -> Comparison:
    """Score methods in one nested cross-validation: the same outer folds for all, tuning inside each fold.

    The kinds of the columns are found on all rows, since a few rows can hide the one cell of text that makes a column
    a category; means, scales and categories are fitted on the training rows of each outer fold.

    Args:
        table: The table.
        methods: What to compare.
        plan: The folds.
        progress: Called before each fit with the method's name, the steps done, and all steps.

    Raises:
        InvalidInput: If the rows do not suffice for the folds, the columns cannot be encoded, or every method failed.

    Cost: folds x repeats fits of each method, one after the other, so that their times are comparable.
    """
    plan.check(table)
    whole = TableEncoder().fit(table.features)
    features = whole.typed(table.features).drop(columns=[c.name for c in whole.columns_ if c.kind == "dropped"])
    splits = list(plan.splits(table))
    runs = [_Run(method, table, len(splits)) for method in methods]
    total = len(splits) * len(methods)
    # On small tables threads wait for one another longer than they work, above all on a busy machine.
    threads = 1 if _is_small(table) else None
    for fold, (train, test) in enumerate(splits):
        encoder = TableEncoder().fit(features.iloc[train])
        X_train, X_test = encoder.transform(features.iloc[train]), encoder.transform(features.iloc[test])
        for position, run in enumerate(runs):
            if progress is not None:
                progress(run.method.name, fold * len(methods) + position, total)
            with threadpool_limits(threads):
                run.score(fold, (X_train, table.target[train]), (X_test, test), plan)
    results = [run.result() for run in runs]
    train, test = splits[0]
    return _ordered(table, plan, results, len(test) / len(train))


def _is_small(table: Table) -> bool:
    return len(table.target) <= SMALL_TABLE


def _ordered(table: Table, plan: Plan, results: list[MethodResult], test_share: float) -> Comparison:
    metric = METRICS[table.task][0]
    sound = [result for result in results if not result.failure]
    failed = [result for result in results if result.failure]
    if not sound:
        raise InvalidInput("no method could learn from this table", failed[0].failure)
    scores = np.stack([result.scores[metric] for result in sound])
    # Scores equal to 12 digits are ties.
    ranks = np.asarray(rankdata(-np.round(scores, 12), method="average", axis=0)).mean(axis=1)
    order = np.argsort(-scores.mean(axis=1), kind="stable")
    classes = [str(label) for label in np.unique(table.target)] if table.task == "classification" else []
    ordered = [sound[i] for i in order] + failed
    return Comparison(
        table, plan, ordered, [float(ranks[i]) for i in order] + [np.nan] * len(failed), test_share, classes
    )


def headline(comparison: Comparison) -> str:
    """The answer in one sentence: the best method, its score, and its lead over the other kind of method."""
    best, metric = comparison.best, comparison.metric
    score = f"{comparison.mean(best, metric):.3f} ± {comparison.standard_error(best, metric):.3f}"
    text = f"Best: {best.method.name}, {metric} {score}"
    other = "peer" if best.method.family == "widenet" else "widenet"
    rivals = [r for r in comparison.results[1:] if r.method.family == other and not r.failure]
    if not rivals:
        return f"{text}."
    lead, error = comparison.lead(best, rivals[0])
    verdict = "" if abs(lead) > 2 * error else ", within the noise of the folds"
    return f"{text}; ahead of {rivals[0].method.name} by {lead:.3f} ± {error:.3f}{verdict}."


def as_document(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain numbers and text, for JSON."""
    table, plan = comparison.table, comparison.plan
    rows = []
    for result, rank in zip(comparison.results, comparison.ranks, strict=True):
        scores = {
            metric: {
                "mean": comparison.mean(result, metric),
                "standard_error": comparison.standard_error(result, metric),
                "folds": [float(value) for value in values],
            }
            for metric, values in result.scores.items()
        }
        rows.append(
            {
                "method": result.method.name,
                "family": result.method.family,
                "tuning": result.method.tuning,
                "choices": result.choices,
                "failure": result.failure or None,
                "rank": rank,
                "scores": scores,
                "fit_seconds": float(np.mean(result.fit_seconds)),
                "predict_seconds": float(np.mean(result.predict_seconds)),
            }
        )
    return {
        "data": table.name,
        "target": table.target_name,
        "task": table.task,
        "task_reason": table.reason,
        "rows": len(table.target),
        "features": table.features.shape[1],
        "folds": plan.folds,
        "repeats": plan.repeats,
        "seed": plan.seed,
        "metric": comparison.metric,
        "headline": headline(comparison),
        "methods": rows,
    }


class _Run:
    """Scores of one method as the folds go by."""

    def __init__(self, method: Method, table: Table, folds: int) -> None:
        self.method, self.table = method, table
        self.scores = {metric: np.full(folds, np.nan) for metric in METRICS[table.task]}
        self.fit_seconds, self.predict_seconds = np.full(folds, np.nan), np.full(folds, np.nan)
        self.predictions = np.full(len(table.target), np.nan, dtype=table.target.dtype)
        self.probabilities: np.ndarray | None = None
        self.choices: list[str] = []
        self.failure = ""

    def score(self, fold: int, train: tuple, test: tuple, plan: Plan) -> None:
        if self.failure:
            return
        estimator = self.method.make(plan.seed, train[0].shape[1])
        if _is_small(self.table) and estimator.get_params().get("estimator__n_jobs") is not None:
            estimator.set_params(estimator__n_jobs=1)  # forests have threads of their own
        (X, y), (X_test, rows) = train, test
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                start = time.perf_counter()
                estimator.fit(X, y)
                self.fit_seconds[fold] = time.perf_counter() - start
            start = time.perf_counter()
            predictions = estimator.predict(X_test)
            self.predict_seconds[fold] = time.perf_counter() - start
            probabilities = _probabilities(estimator, X_test)
        except (WidenetError, ValueError, ArithmeticError, np.linalg.LinAlgError, MemoryError) as error:
            self.failure = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            return
        self.choices.append(describe_choice(estimator))
        self._keep(fold, (predictions, probabilities), rows, first=fold < plan.folds)

    def _keep(self, fold: int, predicted: tuple, rows: np.ndarray, *, first: bool) -> None:
        predictions, probabilities = predicted
        truth = self.table.target[rows]
        if self.table.task == "regression":
            values = (
                r2_score(truth, predictions),
                float(np.sqrt(np.mean((truth - predictions) ** 2))),
                mean_absolute_error(truth, predictions),
            )
        else:
            classes = np.unique(self.table.target)
            loss = np.nan if probabilities is None else log_loss(truth, probabilities, labels=classes)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                values = (accuracy_score(truth, predictions), balanced_accuracy_score(truth, predictions), loss)
        for metric, value in zip(METRICS[self.table.task], values, strict=True):
            self.scores[metric][fold] = value
        if first:
            self.predictions[rows] = predictions
            if probabilities is not None:
                if self.probabilities is None:
                    self.probabilities = np.full((len(self.table.target), probabilities.shape[1]), np.nan)
                self.probabilities[rows] = probabilities

    def result(self) -> MethodResult:
        return MethodResult(
            self.method,
            self.scores,
            self.fit_seconds,
            self.predict_seconds,
            self.predictions,
            self.probabilities,
            self.choices,
            self.failure,
        )


def _probabilities(estimator: Learner, X: np.ndarray) -> np.ndarray | None:
    """Class probabilities where the estimator has them; a support vector machine has none."""
    if not is_classifier(estimator):
        return None
    predict = getattr(estimator, "predict_proba", None)
    return None if predict is None else np.asarray(predict(X), dtype=np.float64)


def describe_choice(estimator: Learner) -> str:
    """What the tuning of a fitted estimator chose, in words."""
    if isinstance(estimator, (KernelRegressor, KernelClassifier)):
        return f"{estimator.kernel_!r}, ridge={_short(float(estimator.ridge_))}"
    inner = getattr(estimator, "regressor_", estimator)
    best = getattr(inner, "best_params_", None)
    if best is not None:
        return ", ".join(f"{name}={_short(value)}" for name, value in best.items())
    for name in ("alpha_", "C_"):
        value = getattr(inner, name, None)
        if value is not None:
            return f"{name.rstrip('_')}={_short(np.ravel(value)[0])}"
    return ""


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, (float, np.floating)) else str(value)
