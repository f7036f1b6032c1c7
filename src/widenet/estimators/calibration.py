"""Probabilities from scores: a softmax whose temperature is fitted on leave-one-out scores."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import softmax

_LOWEST, _HIGHEST = -7.0, 12.0  # bounds of log(1 / temperature)
_STEPS = 100


def fit_inverse_temperature(
    scores: Float[ndarray, "n classes"], labels: Int[ndarray, "n"], weight: Float[ndarray, "n"]
) -> float:
    """Inverse temperature b of p = softmax(b scores) of least weighted log loss.

    The loss is convex in b; it is minimised by Newton's method kept inside a bracket. Targets are smoothed as by Platt,
    1 - e + e / c for the true class of c and e / c for the others, e = c / (n + c): separable scores would
    otherwise ask for b without bound.

    Args:
        scores: Leave-one-out scores, so that b is not fitted on what the scores were fitted on (but for the mean,
            kernel and ridge, which are those of all rows).
        labels: Index of the class of each row.
        weight: Weights of the rows.

    References:
        Platt 1999, "Probabilistic outputs for support vector machines"; Guo et al. 2017, arXiv 1706.04599.
    """
    total, classes = float(weight.sum()), scores.shape[1]
    smooth = classes / (total + classes)
    target = np.full(scores.shape, smooth / classes)
    target[np.arange(len(labels)), labels] += 1.0 - smooth
    wanted = float(weight @ (target * scores).sum(axis=1))
    low, high = np.exp(_LOWEST), np.exp(_HIGHEST)
    inverse = 1.0
    for _ in range(_STEPS):
        share = softmax(inverse * scores, axis=1)
        mean = (share * scores).sum(axis=1)
        slope = float(weight @ mean) - wanted
        curvature = float(weight @ ((share * np.square(scores)).sum(axis=1) - np.square(mean)))
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        step = inverse - slope / curvature if curvature > 0 else np.inf
        following = float(step) if low < step < high else float(np.sqrt(low * high))
        if abs(following - inverse) <= 1e-10 * inverse:
            return following
        inverse = following
    return inverse


def probabilities(scores: Float[ndarray, "m classes"], inverse: float) -> Float[ndarray, "m classes"]:
    """softmax(b scores), each row adds up to 1."""
    return softmax(inverse * scores, axis=1)
