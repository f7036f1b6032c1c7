"""The recurrent kernel of one pair by plain Python: the whole grid of steps, from the formulas of the paper."""

from math import acos, asin, pi, sqrt

import numpy as np


def relu(a: float, b: float, c: float) -> tuple[float, float]:
    """E[phi(u) phi(v)] and E[phi'(u) phi'(v)] of ReLU for variances a, b and covariance c."""
    if a <= 0 or b <= 0:
        return 0.0, 0.25
    r = max(-1.0, min(1.0, c / sqrt(a * b)))
    return sqrt(a * b) / (2 * pi) * (sqrt(1 - r * r) + r * (pi - acos(r))), (pi - acos(r)) / (2 * pi)


def erf(a: float, b: float, c: float) -> tuple[float, float]:
    """The same of the error function."""
    product = (1 + 2 * a) * (1 + 2 * b)
    return 2 / pi * asin(2 * c / sqrt(product)), 4 / pi / sqrt(product - 4 * c * c)


class Grid:
    """NNGP and NTK of the outputs at all pairs of steps.

    Args:
        pair: x, (T, m), and y, (T', m).
        dual: `relu` or `erf`.
        factors: sigma_w, sigma_u, sigma_b, sigma_h, the same in every layer.
        layers: Number of layers.
        related: Whether both have one initial state.
        frozen: Number of first layers that are not trained.
    """

    def __init__(self, pair, dual, factors, layers=1, related=False, frozen=0):
        x, y = pair
        self.dual, self.factors, self.layers, self.related = dual, factors, layers, related
        own = [self._table(s, s, True, None) for s in (x, y)]
        self.variances = [
            [[table[0][layer][t][t] for t in range(len(s))] for layer in range(layers)]
            for table, s in zip(own, (x, y), strict=True)
        ]
        covariance, tangent = self._table(x, y, related, self.variances, frozen)
        self.nngp, self.ntk = np.empty((len(x), len(y))), np.empty((len(x), len(y)))
        for t in range(len(x)):
            for u in range(len(y)):
                value, slope = self._dual(self.variances, covariance, layers - 1, t, u)
                self.nngp[t, u] = value
                self.ntk[t, u] = value + (0.0 if frozen == layers else slope * tangent[layers - 1][t][u])

    def _dual(self, variances, covariance, layer, t, u):
        if variances is None:  # of a sequence with itself all variances are on the diagonal of the table
            a, b = covariance[layer][t][t], covariance[layer][u][u]
        else:
            a, b = variances[0][layer][t], variances[1][layer][u]
        return self.dual(a, b, covariance[layer][t][u])

    def _table(self, x, y, related, variances, frozen=0):
        w, u_factor, b, h = (factor**2 for factor in self.factors)
        shape = (len(x), len(y))
        S, Q = ([np.zeros(shape) for _ in range(self.layers)] for _ in range(2))
        places = sorted(((t, u) for t in range(len(x)) for u in range(len(y))), key=lambda p: (min(p), p[0] != p[1]))
        if variances is None:  # only the diagonal is needed
            places = [(t, t) for t in range(len(x))]
        for t, u in places:
            for layer in range(self.layers):
                first, second = w * h * related * (t == 0 and u == 0), 0.0
                if t > 0 and u > 0:
                    value, slope = self._dual(variances, S, layer, t - 1, u - 1)
                    first, second = w * value, w * slope * Q[layer][t - 1, u - 1]
                if layer == 0:
                    below = u_factor * float(np.dot(x[t], y[u])) / len(x[t])
                else:
                    value, slope = self._dual(variances, S, layer - 1, t, u)
                    below, second = u_factor * value, second + u_factor * slope * Q[layer - 1][t, u]
                S[layer][t, u] = first + below + b
                Q[layer][t, u] = 0.0 if layer < frozen else S[layer][t, u] + second
        return S, Q
