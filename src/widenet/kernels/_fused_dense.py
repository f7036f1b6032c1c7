"""Numba loops of chains of Dense layers and positively homogeneous activations on points of any norm.

A pair of units u, v at the angle t enters as near = sin^2(t/2) = (1 - cos t) / 2 and far = cos^2(t/2). Both are
carried, so that neither parallel nor opposite points lose digits, and no step needs an inverse function:

    an activation  with z = min(near, far), y = sqrt(near far) = sin(t)/2 and p = min(t, pi - t) = 2 y R(z):
                   E|u||v| has z - (sin p - p cos p) / pi in the place of z;
    a random bias  turns each point's unit vector by its own angle: near <- c_i c_j near + |e_i - e_j|^2 / 4,
                   with e = (c, s) = (size before, bias) / size after.

The loops hold no lock and start no thread.
"""

import math

import numpy as np
from numba import njit

_loop = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
_NEAR = 5e-4  # below this the product of two directions has lost over three digits of near, or of far


@_loop
def _arc(z):
    """R(z) = arcsin(sqrt z) / sqrt(z (1 - z)) on [0, 1/2]: its Chebyshev interpolant, off by 1.3e-16."""
    w = 4.0 * z - 1.0
    v = 1.155596335517553e-10
    v = v * w + 3.5494026622357296e-10
    v = v * w + 4.847870212537191e-10
    v = v * w + 1.497309269587466e-09
    v = v * w + 5.99775844099466e-09
    v = v * w + 1.8554844983920357e-08
    v = v * w + 5.579896370054702e-08
    v = v * w + 1.7343078169085141e-07
    v = v * w + 5.418287002530394e-07
    v = v * w + 1.693860323878943e-06
    v = v * w + 5.314300137765282e-06
    v = v * w + 1.6749075819869722e-05
    v = v * w + 5.307369977099968e-05
    v = v * w + 0.0001693099597410185
    v = v * w + 0.000544773988660799
    v = v * w + 0.0017729284598670242
    v = v * w + 0.005861628974916285
    v = v * w + 0.0198371469225361
    v = v * w + 0.06973319205204817
    v = v * w + 0.2636001412812842
    return v * w + 1.2091995761561452


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "nsz"})
def _quarter_distance(x, y, sign):
    # Not contracted: a fused multiply-add would give equal rows a distance other than 0.
    total = 0.0
    for k in range(x.shape[0]):
        difference = x[k] - sign * y[k]
        total += difference * difference
    return 0.25 * total


@_loop
def _start_row(cosines, near, far, x, units):
    """Start one row of cosines as near and far: from differences of the directions where the cosine has lost them."""
    close = 0
    for j in range(cosines.shape[0]):
        near[j] = 0.5 - 0.5 * cosines[j]
        far[j] = 0.5 + 0.5 * cosines[j]
        close += min(near[j], far[j]) < _NEAR
    if close > 0:
        for j in range(cosines.shape[0]):
            if near[j] < _NEAR:
                near[j] = _quarter_distance(x, units[j], 1.0)
                far[j] = 1.0 - near[j]
            elif far[j] < _NEAR:
                far[j] = _quarter_distance(x, units[j], -1.0)
                near[j] = 1.0 - far[j]


@_loop
def _activation_and_dense(near, far, tangent, numbers, x, y):
    """An activation phi(z) = +-sqrt(linear) z +- sqrt(absolute) |z| and a Dense layer, in one pass over a row."""
    linear, absolute, gain, constant = numbers
    odd, even = linear / (linear + absolute), absolute / (linear + absolute)
    size, cosine, sine = x
    y_size, y_cosine, y_sine = y
    for j in range(near.shape[0]):
        a, b = near[j], far[j]
        z, rest = min(a, b), max(a, b)
        root = 2.0 * np.sqrt(z * rest)
        p = root * _arc(z)
        fold = max(z - (root - p * (rest - z)) * (1.0 / math.pi), 0.0)
        slope = absolute * (1.0 - p * (2.0 / math.pi))
        slope = gain * (linear + (slope if a < b else -slope))
        a = odd * a + even * fold
        b = odd * b + even * (1.0 - fold)
        tangent[j] = slope * tangent[j] + (size * y_size[j] * (b - a) + constant)
        product, across = cosine * y_cosine[j], cosine - y_cosine[j]
        apart, along = sine - y_sine[j], sine + y_sine[j]
        near[j] = product * a + 0.25 * (across * across + apart * apart)
        far[j] = product * b + 0.25 * (across * across + along * along)


@_loop
def _dense(near, far, tangent, numbers, x, y):
    """A Dense layer that follows no activation."""
    gain, constant = numbers
    size, cosine, sine = x
    y_size, y_cosine, y_sine = y
    for j in range(near.shape[0]):
        a, b = near[j], far[j]
        tangent[j] = gain * tangent[j] + (size * y_size[j] * (b - a) + constant)
        product, across = cosine * y_cosine[j], cosine - y_cosine[j]
        apart, along = sine - y_sine[j], sine + y_sine[j]
        near[j] = product * a + 0.25 * (across * across + apart * apart)
        far[j] = product * b + 0.25 * (across * across + along * along)


@_loop
def dense_chain(C, units, tables, program, same):
    """Overwrite cosines by tangent kernels T <- gain E[phi' phi'] T + E[u v] + constant.

    Args:
        C: Cosines between two sets of directions, (n, m).
        units: The two sets, (n, d) and (m, d); looked at for near pairs only.
        tables: For each set, (steps, 3, n) and (steps, 3, m): size of the units before the bias (0 where they are not
            trained), their share of the size after it, the share of the bias.
        program: (steps, 4): activation before (linear^2, absolute^2; 0, 0 for none), gain, constant.
        same: Whether the sets are one, so that only the upper triangle is computed and then mirrored.
    """
    x_units, y_units = units
    x_tables, y_tables = tables
    n, m = C.shape
    work = np.empty((2, m))
    for i in range(n):
        start = i if same else 0
        near, far, tangent = work[0, start:], work[1, start:], C[i, start:]
        _start_row(tangent, near, far, x_units[i], y_units[start:])
        if same:
            near[0], far[0] = 0.0, 1.0
        for j in range(tangent.shape[0]):
            tangent[j] = 0.0
        for step in range(program.shape[0]):
            linear, absolute, gain, constant = program[step]
            x = (x_tables[step, 0, i], x_tables[step, 1, i], x_tables[step, 2, i])
            y = (y_tables[step, 0, start:], y_tables[step, 1, start:], y_tables[step, 2, start:])
            if linear + absolute > 0.0:
                _activation_and_dense(near, far, tangent, (linear, absolute, gain, constant), x, y)
            else:
                _dense(near, far, tangent, (gain, constant), x, y)
    if same:
        for i in range(n):
            for j in range(i):
                C[i, j] = C[j, i]
