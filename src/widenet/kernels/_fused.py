"""Numba loops of the angle profile: from inner products of unit rows to kernel values, a tile at a time.

A pair of directions at the angle theta enters every loop as its signed sine
    sigma = sin(theta / 2)                where theta <= pi / 2,
    sigma = -sin((pi - theta) / 2)        where theta > pi / 2,
which is half the distance to the other direction, or to its opposite: it needs no arccos, and it keeps full
relative precision at duplicates and at antipodes. Each half has its own polynomial.

The loops hold no lock and start no thread: `blocks.run_tiles` drives them.
"""

import math

import numpy as np
from numba import njit

_STRICT = {"contract"}
_ANTIPODE = 1e-37  # stands for an exact antipode, whose sine 0 would lose its sign; normal in float32


@njit(nogil=True, cache=True)
def unit_rows(X, U, norms):
    """Write x / |x| to U and |x| to norms, in double precision inside and without overflow; zero rows stay zero."""
    for i in range(X.shape[0]):
        largest = 0.0
        for k in range(X.shape[1]):
            largest = max(largest, abs(float(X[i, k])))
        if largest == 0.0:
            norms[i] = 0.0
            U[i, :] = 0
            continue
        total = 0.0
        for k in range(X.shape[1]):
            total += (X[i, k] / largest) ** 2
        root = math.sqrt(total)
        norms[i] = largest * root
        for k in range(X.shape[1]):
            U[i, k] = X[i, k] / largest / root


@njit(nogil=True, cache=True, fastmath=_STRICT)
def signed_sines(C, S, near, far):
    """Write the signed sines of the cosines C to S; return how many lie in (-far, near)."""
    one, half, zero, least = S.dtype.type(1), S.dtype.type(0.5), S.dtype.type(0), S.dtype.type(_ANTIPODE)
    close = 0
    for i in range(C.shape[0]):
        row, out = C[i], S[i]
        count = 0
        for j in range(row.shape[0]):
            cosine = row[j]
            rest = 1 - abs(cosine)
            sine = np.sqrt(half * (rest if rest > zero else zero))
            opposite = cosine < 0
            count += sine < (far if opposite else near)
            out[j] = -(sine if sine > least else least) if opposite else sine
        close += count
    return close


@njit(nogil=True, cache=True, fastmath={"reassoc", "nsz"})
def _half_distance(x, y, x_scale, y_scale):
    # Not contracted: a fused multiply-add would give equal rows a difference other than 0.
    total = 0.0
    for k in range(x.shape[0]):
        difference = x[k] * x_scale - y[k] * y_scale
        total += difference * difference
    return 0.5 * math.sqrt(total)


@njit(nogil=True, cache=True)
def repair_sines(S, X, Y, x_norms, y_norms, switches, same):
    """Recompute the sines of near duplicates and near antipodes from differences of the rows themselves."""
    near, far = switches
    least = S.dtype.type(_ANTIPODE)
    for i in range(S.shape[0]):
        for j in range(i if same else 0, S.shape[1]):
            sigma = S[i, j]
            if sigma >= near or sigma <= -far or x_norms[i] == 0 or y_norms[j] == 0:
                continue
            if sigma >= 0:
                S[i, j] = _half_distance(X[i], Y[j], 1 / x_norms[i], 1 / y_norms[j])
            else:
                S[i, j] = -max(S.dtype.type(_half_distance(X[i], Y[j], 1 / x_norms[i], -1 / y_norms[j])), least)


@njit(nogil=True, cache=True, fastmath=_STRICT)
def _horner(t, sigma, acc, upper, lower):
    """acc <- polynomial in t by four coefficients at a time, of the half that sigma says."""
    zero = sigma.dtype.type(0)
    n = sigma.shape[0]
    for j in range(n):
        acc[j] = lower[0] if sigma[j] < zero else upper[0]
    for k in range(1, upper.shape[0], 4):
        a0, a1, a2, a3 = upper[k], upper[k + 1], upper[k + 2], upper[k + 3]
        b0, b1, b2, b3 = lower[k], lower[k + 1], lower[k + 2], lower[k + 3]
        for j in range(n):
            opposite = sigma[j] < zero
            v, x = acc[j], t[j]
            v = v * x + (b0 if opposite else a0)
            v = v * x + (b1 if opposite else a1)
            v = v * x + (b2 if opposite else a2)
            v = v * x + (b3 if opposite else a3)
            acc[j] = v


@njit(nogil=True, cache=True, fastmath=_STRICT)
def _profile_row(sigma, value, work, coefficients, maps, roots):
    """value <- k(sigma) = end + v q(t), with v = |sigma|^(1 / 2^roots) and t = (slope v - 1) / (pole v + 1)."""
    one, zero = sigma.dtype.type(1), sigma.dtype.type(0)
    n = sigma.shape[0]
    v, t = work[0, :n], work[1, :n]
    for j in range(n):
        v[j] = abs(sigma[j])
    for _ in range(roots):
        for j in range(n):
            v[j] = np.sqrt(v[j])
    a0, a1, b0, b1 = maps[1, 0], maps[1, 1], maps[2, 0], maps[2, 1]
    if b0 == zero and b1 == zero:
        for j in range(n):
            t[j] = v[j] * (a1 if sigma[j] < zero else a0) - one
    else:
        for j in range(n):
            opposite = sigma[j] < zero
            t[j] = (v[j] * (a1 if opposite else a0) - one) / (v[j] * (b1 if opposite else b0) + one)
    _horner(t, sigma, value, coefficients[0], coefficients[1])
    e0, e1 = maps[0, 0], maps[0, 1]
    for j in range(n):
        value[j] = (e1 if sigma[j] < zero else e0) + v[j] * value[j]


@njit(nogil=True, cache=True, fastmath=_STRICT)
def evaluate_tile(S, profiles, x_weights, y_weights, same):
    """S <- sum over terms of x_weight y_weight k(S), in double precision where S is 0: exact duplicates."""
    coefficients, maps, roots, at_duplicates = profiles
    zero = S.dtype.type(0)
    terms = coefficients.shape[0]
    work = np.empty((4, S.shape[1]), S.dtype)
    weights = np.empty((terms, S.shape[1]), S.dtype)
    for term in range(terms):
        for j in range(S.shape[1]):
            weights[term, j] = y_weights[term, j]
    for i in range(S.shape[0]):
        start = i if same else 0
        row = S[i, start:]
        n = row.shape[0]
        total, value = work[2, :n], work[3, :n]
        total[:] = zero
        for term in range(terms):
            _profile_row(row, value, work, coefficients[term], maps[term], roots[term])
            weight, columns = S.dtype.type(x_weights[term, i]), weights[term, start:]
            for j in range(n):
                total[j] += value[j] * weight * columns[j]
        duplicates = 0
        for j in range(n):
            duplicates += row[j] == zero
        if duplicates > 0:
            for j in range(n):
                if row[j] == zero:
                    exact = 0.0
                    for term in range(terms):
                        exact += at_duplicates[term] * x_weights[term, i] * y_weights[term, start + j]
                    total[j] = exact
        for j in range(n):
            row[j] = total[j]


@njit(nogil=True, cache=True)
def store_tile(V, K, first_row, first_column):
    """Copy a tile into its place."""
    for i in range(V.shape[0]):
        target, source = K[first_row + i], V[i]
        for j in range(V.shape[1]):
            target[first_column + j] = source[j]


@njit(nogil=True, cache=True)
def store_mirrored(V, K, first_row, first_column):
    """Copy the transpose of a tile into its place, a cache line of the target at a time."""
    rows, columns = V.shape
    for i in range(0, rows, 16):
        stop = min(i + 16, rows)
        for j in range(columns):
            target = K[first_row + j]
            for k in range(i, stop):
                target[first_column + k] = V[k, j]


@njit(nogil=True, cache=True)
def mirror_within(V):
    """Copy the upper triangle of a square tile onto its lower one."""
    for i in range(V.shape[0]):
        for j in range(i):
            V[i, j] = V[j, i]
