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

from widenet.kernels.profile import SMALLEST_SINE

# Division by zero gives infinity: the check for it would keep LLVM from vectorising.
_loop = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
# Sums may be taken in any order, but not contracted: a fused multiply-add would give equal rows a difference of
# more than 0.
_sum = njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "nsz"})


@_sum
def _square_sum(x, scale):
    total = 0.0
    for k in range(x.shape[0]):
        value = x[k] * scale
        total += value * value
    return total


@_sum
def unit_rows(X, U, norms):
    """Write x / |x| to U and |x| to norms, in double precision inside and without overflow; zero rows stay zero."""
    for i in range(X.shape[0]):
        row, unit = X[i], U[i]
        squares = _square_sum(row, 1.0)
        norms[i] = math.sqrt(squares)
        if not 1e-280 < squares < 1e280:
            largest = 0.0
            for k in range(row.shape[0]):
                largest = max(largest, abs(row[k]))
            # A power of two, so that the scaling is exact.
            scale = 2.0**600 if largest < 1 else 2.0**-600
            norms[i] = math.sqrt(_square_sum(row, scale)) / scale
        norm = norms[i] if norms[i] > 0 else 1.0
        for k in range(row.shape[0]):
            unit[k] = row[k] / norm


@_loop
def signed_sines(C, shape, switches):
    """Replace cosines by signed sines; return how many are near or far as the switches say."""
    # In place through one name: LLVM does not vectorise a loop over two arrays that overlap.
    half, zero, one, least = C.dtype.type(0.5), C.dtype.type(0), C.dtype.type(1), C.dtype.type(SMALLEST_SINE)
    near, far = C.dtype.type(switches[0]), C.dtype.type(switches[1])
    close = 0
    for i in range(shape[0]):
        row = C[i, : shape[1]]
        count = np.int32(0)
        for j in range(shape[1]):
            cosine = row[j]
            rest = one - abs(cosine)
            sine = np.sqrt(half * (rest if rest > zero else zero))
            opposite = cosine < zero
            count += np.int32(sine < (far if opposite else near))
            row[j] = -(sine if sine > least else least) if opposite else sine
        close += count
    return close


@_sum
def _half_distance(x, y, x_scale, y_scale):
    total = 0.0
    for k in range(x.shape[0]):
        difference = x[k] * x_scale - y[k] * y_scale
        total += difference * difference
    return 0.5 * math.sqrt(total)


@_loop
def repair_sines(S, X, Y, norms, switches, same):
    """Recompute the sines of near duplicates and near antipodes from differences of the rows themselves."""
    x_norms, y_norms = norms
    least, zero = S.dtype.type(SMALLEST_SINE), S.dtype.type(0)
    near, far = S.dtype.type(switches[0]), S.dtype.type(switches[1])
    for i in range(X.shape[0]):
        row = S[i, : Y.shape[0]]
        count = np.int32(0)
        for j in range(Y.shape[0]):
            count += np.int32(abs(row[j]) < (far if row[j] < zero else near))
        if count == 0 or x_norms[i] == 0:
            continue
        for j in range(i + 1 if same else 0, Y.shape[0]):
            sigma = row[j]
            if abs(sigma) >= (far if sigma < zero else near) or y_norms[j] == 0:
                continue
            if sigma >= zero:
                row[j] = _half_distance(X[i], Y[j], 1 / x_norms[i], 1 / y_norms[j])
            else:
                row[j] = -max(S.dtype.type(_half_distance(X[i], Y[j], 1 / x_norms[i], -1 / y_norms[j])), least)


@_loop
def _horner(t, sigma, acc, upper, lower):
    """Write the polynomial in t of the half that sigma says to acc, four coefficients a pass."""
    zero = sigma.dtype.type(0)
    n = sigma.shape[0]
    a, b = upper[0], lower[0]
    for j in range(n):
        acc[j] = b if sigma[j] < zero else a
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


@_loop
def _profile_row(sigma, value, scratch, profile):
    """Write k(sigma) = end + v q(t) to value; v = |sigma|^(1 / 2^roots), t = (slope v - 1) / (pole v + 1)."""
    coefficients, maps, roots = profile
    one, zero = sigma.dtype.type(1), sigma.dtype.type(0)
    n = sigma.shape[0]
    v, t = scratch[0, :n], scratch[1, :n]
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


@_loop
def evaluate_tile(S, profiles, x_weights, y_weights, same):
    """Replace sines by sums over terms of x_weight y_weight k; exact duplicates (sine 0) in double precision."""
    coefficients, maps, roots, at_duplicates = profiles
    zero = S.dtype.type(0)
    terms, columns = y_weights.shape
    work = np.empty((4, columns), S.dtype)
    weights = y_weights.astype(S.dtype)
    for i in range(x_weights.shape[1]):
        start = i if same else 0
        n = columns - start
        row = S[i, start:columns]
        total, value = work[0, :n], work[1, :n]
        for term in range(terms):
            _profile_row(row, value, work[2:], (coefficients[term], maps[term], roots[term]))
            weight, others = S.dtype.type(x_weights[term, i]), weights[term, start:]
            if term == 0:
                for j in range(n):
                    total[j] = value[j] * weight * others[j]
            else:
                for j in range(n):
                    total[j] += value[j] * weight * others[j]
        duplicates = np.int32(0)
        for j in range(n):
            duplicates += np.int32(row[j] == zero)
        if duplicates > 0:
            for j in range(n):
                if row[j] == zero:
                    exact = 0.0
                    for term in range(terms):
                        exact += at_duplicates[term] * x_weights[term, i] * y_weights[term, start + j]
                    total[j] = exact
        for j in range(n):
            row[j] = total[j]


@_loop
def store_tile(V, shape, K, first_row, first_column):
    """Copy a tile into its place."""
    for i in range(shape[0]):
        target, source = K[first_row + i, first_column : first_column + shape[1]], V[i, : shape[1]]
        for j in range(shape[1]):
            target[j] = source[j]


@_loop
def store_mirrored(V, shape, K, first_row, first_column):
    """Copy the transpose of a tile into its place, a cache line of the target at a time."""
    whole = shape[0] - shape[0] % 16
    for i in range(0, whole, 16):
        for j in range(shape[1]):
            target = K[first_row + j, first_column + i : first_column + i + 16]
            for k in range(16):
                target[k] = V[i + k, j]
    for j in range(shape[1]):
        for k in range(whole, shape[0]):
            K[first_row + j, first_column + k] = V[k, j]


@_loop
def mirror_within(V, size):
    """Copy the upper triangle of a square tile onto its lower one."""
    for i in range(size):
        for j in range(i):
            V[i, j] = V[j, i]
