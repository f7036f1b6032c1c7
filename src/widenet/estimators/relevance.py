"""How much a target depends on each direction of its features, from the gradients of a first fit."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from widenet.architectures import fully_connected
from widenet.estimators.reduced import Task, fit_reduced
from widenet.estimators.scaler import ScaledRows, Scaler
from widenet.estimators.selection import Problem, spread_rows
from widenet.features.nystrom import Nystroem
from widenet.kernels import NTK

ROWS, LANDMARKS, GRADIENTS = 20_000, 1000, 2000
"""Most rows of the first fit, its landmarks, and the rows at which its gradients are taken."""

ROUNDS = 2
"""Fits, each on the rows that the one before has mapped."""

_POWER = 0.25  # of the mean outer product of the gradients
_FLOOR = 1e-9  # of its largest eigenvalue: no direction is lost


def with_relevance(scaler: Scaler, problem: Problem) -> Scaler:
    """The scaler with the map of `relevance` of its rows behind it, which keeps their mean squared norm.

    Args:
        scaler: Affine map of the rows.
        problem: Rows as they came, centred targets in units of their own, weights.
    """
    part = problem.part(ROWS)
    norm = scaler.norm(part.X, part.weight)
    rows = scaler.transform(part.X, np.float64) / norm
    turn = relevance(replace(part, X=rows))
    kept = np.sqrt(part.weight @ np.square(rows @ turn).sum(axis=1) / part.weight.sum())
    return replace(scaler, turn=turn / (kept or 1.0))


def relevance(problem: Problem) -> Float[ndarray, "d d"]:
    """The map of rows x that the gradients of first fits ask for: M^(1/4), M = mean of g g^T over gradients g, twice.

    The fit is that of a ReLU NTK of depth 3 on landmarks, with the ridge of generalised cross-validation. Directions
    that it changes along are stretched and those that it ignores shrunk: after the map, fewer landmarks tell apart the
    rows that matter. M^(1/2) would be a round of recursive feature machines, which follow the fit all the way; its root
    goes half of the way, and a second round, on rows that the first one has mapped, makes little of how the columns
    were scaled. Power and rounds are choices of this library, made on one large table
    (`benchmarks/bench_flights.py`).

    Args:
        problem: Rows (n, d) in float64 with a mean squared norm of 1 or so, centred targets in units of their own,
            weights.

    Returns:
        R (d, d) for rows x R, of largest singular value 1.

    Cost:
        Two fits of at most 20,000 rows on 1,000 landmarks, and 2 million gradients of the kernel for each target:
        seconds, whatever n.

    References:
        Radhakrishnan, Beaglehole, Pandit and Belkin 2022, arXiv 2212.13881 (recursive feature machines).
    """
    part = problem.part(ROWS)
    turn = np.eye(part.X.shape[1])
    for _ in range(ROUNDS):
        rows = part.X @ turn
        unit = np.sqrt(part.weight @ np.square(rows).sum(axis=1) / part.weight.sum()) or 1.0
        turn = turn @ _root(_gradient_moment(replace(part, X=rows / unit)))
    return turn / np.linalg.norm(turn, 2)


def _root(moment: Float[ndarray, "d d"]) -> Float[ndarray, "d d"]:
    """M^(1/4) of largest eigenvalue 1; the identity where all gradients are 0."""
    values, vectors = np.linalg.eigh(moment)
    if not values[-1] > 0:
        return np.eye(len(moment))
    return (vectors * np.maximum(values / values[-1], _FLOOR) ** _POWER) @ vectors.T


def _gradient_moment(problem: Problem) -> Float[ndarray, "d d"]:
    """Sum of g g^T over gradients of a fit at some of its rows and over the targets."""
    d, t = problem.X.shape[1], problem.target.shape[1]
    kernel = NTK(fully_connected(3, bias_std=0.3, scaling="geifman"))
    rows = ScaledRows(problem.X, Scaler(np.zeros(d), np.ones(d)), np.float64)
    level = float(np.asarray(kernel.diagonal(problem.X)).mean())
    fitted = Nystroem(kernel, min(LANDMARKS, len(problem.X))).fit(problem.X)
    found = fit_reduced(fitted, Task(rows, problem.target, problem.weight, np.ones(t), level, None))
    dual = fitted.basis.coefficients(torch.from_numpy(found.coefficients))
    at = spread_rows(problem.target, GRADIENTS)
    points, moment = torch.from_numpy(problem.X[at]), np.zeros((d, d))
    for output in dual.T:
        moving = points.clone().requires_grad_()
        (kernel(moving, fitted.basis.landmarks) @ output).sum().backward()
        gradient = np.asarray(moving.grad)
        moment += gradient.T @ (gradient * problem.weight[at, None])
    return moment
