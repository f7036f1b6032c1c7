"""How classifiers are compared over many data sets: accuracy, mean ranks, shares near the best."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import rankdata

from widenet.errors import InvalidInput

Scores = Float[ndarray, "sets methods"]


@dataclass(frozen=True)
class MethodSummary:
    """What one method reached over all data sets, beside the other methods of the same table.

    Attributes:
        method: Its name.
        sets: Number of data sets.
        mean: Mean accuracy, percent.
        standard_error: Standard error of that mean over the sets, percent; NaN for one set.
        deviation: Sample standard deviation over the sets, percent; NaN for one set.
        rank: Friedman mean rank among the methods, 1 is best, ties share their mean rank.
        p90: Share of the sets on which it reaches 90 % of the best accuracy of all methods, percent.
        p95: The same for 95 %.
        pma: Mean over the sets of accuracy / best accuracy of all methods, percent.
    """

    method: str
    sets: int
    mean: float
    standard_error: float
    deviation: float
    rank: float
    p90: float
    p95: float
    pma: float


def summarize(methods: Sequence[str], accuracies: Scores) -> list[MethodSummary]:
    """Compare methods over data sets by the measures of the 2014 study of classifiers.

    Ranks, P90, P95 and PMA are relative to the methods in the table: adding a method changes them
    for all the others. Only mean accuracies can be compared across tables.

    Args:
        methods: Names, one a column.
        accuracies: Percentages or shares, (sets, methods); larger is better.

    Returns:
        One summary a method, in the order of the columns.

    Raises:
        InvalidInput: On an empty table, NaN, negative values, or names that do not match the columns.

    References:
        Fernandez-Delgado et al., JMLR 15 (2014), the collection and Friedman ranks; Arora et al.,
        arXiv 1910.01663, P90, P95 and PMA on it.

    Example:
        >>> first, second = summarize(["a", "b"], np.array([[90.0, 80.0], [70.0, 70.0]]))
        >>> first.mean, first.rank, second.rank, second.p90
        (80.0, 1.25, 1.75, 50.0)
    """
    accuracies = _checked(accuracies)
    if len(methods) != accuracies.shape[1]:
        raise InvalidInput("one name a column", f"{len(methods)} names, {accuracies.shape[1]} columns")
    ranks = mean_ranks(accuracies)
    p90, p95, pma = near_best(accuracies, 0.90), near_best(accuracies, 0.95), mean_of_best(accuracies)
    return [
        MethodSummary(
            method=name,
            sets=len(accuracies),
            mean=float(accuracies[:, i].mean()),
            standard_error=standard_error(accuracies[:, i]),
            deviation=standard_error(accuracies[:, i]) * len(accuracies) ** 0.5,
            rank=float(ranks[i]),
            p90=100 * float(p90[i]),
            p95=100 * float(p95[i]),
            pma=100 * float(pma[i]),
        )
        for i, name in enumerate(methods)
    ]


def standard_error(values: Float[ndarray, "n"]) -> float:
    """Standard error of a mean, s / sqrt(n) with the unbiased sample variance s^2; NaN for fewer than two values."""
    return float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else float("nan")


def mean_ranks(accuracies: Scores) -> Float[ndarray, "methods"]:
    """Friedman mean ranks: the rank of each method on each set (1 is best, ties averaged), averaged over the sets.

    Accuracies that agree to 1e-9 of the largest are ties: averages over folds that are equal as
    fractions can differ in the last bit.

    Args:
        accuracies: (sets, methods), larger is better.

    Example:
        >>> mean_ranks(np.array([[3.0, 1.0, 3.0]]))
        array([1.5, 3. , 1.5])
    """
    accuracies = _checked(accuracies)
    unit = 1e-9 * max(float(accuracies.max()), 1e-300)
    return np.asarray(rankdata(-np.round(accuracies / unit), method="average", axis=1)).mean(axis=0)


def near_best(accuracies: Scores, share: float) -> Float[ndarray, "methods"]:
    """Share of the sets on which each method reaches `share` times the best accuracy of all (P90: 0.9, P95: 0.95)."""
    accuracies = _checked(accuracies)
    if not 0 < share <= 1:
        raise InvalidInput("the share of the best accuracy must lie in (0, 1]", repr(share))
    # 1e-9: a method at exactly the threshold counts, whatever the rounding of the product.
    return (accuracies >= share * accuracies.max(axis=1, keepdims=True) * (1 - 1e-9)).mean(axis=0)


def mean_of_best(accuracies: Scores) -> Float[ndarray, "methods"]:
    """PMA: mean over the sets of accuracy / best accuracy of all methods; a set on which all have zero counts as 1."""
    accuracies = _checked(accuracies)
    best = accuracies.max(axis=1, keepdims=True)
    return np.where(best > 0, accuracies / np.where(best > 0, best, 1.0), 1.0).mean(axis=0)


def _checked(accuracies: Scores) -> Scores:
    if 0 in accuracies.shape:
        raise InvalidInput("accuracies must be (sets, methods) with at least one of each", f"shape {accuracies.shape}")
    if not np.isfinite(accuracies).all() or accuracies.min() < 0:
        bad = int((~(np.isfinite(accuracies) & (accuracies >= 0))).any(axis=1).sum())
        raise InvalidInput("accuracies must be finite and at least 0", f"{bad} of {len(accuracies)} sets are not")
    return accuracies
