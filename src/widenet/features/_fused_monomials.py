"""Numba loops of products of coordinates, each an earlier one times one coordinate, and of polynomials.

Sixteen rows go side by side in the registers. The loops hold no lock and start no thread.
"""

import numpy as np
from numba import njit

_LANES, _TILE = 16, 64


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def write_products(coordinates, weights, monomials, factors, features, out):
    """Write features weights[i, function] * product[monomial] of rows; product 0 is 1.

    Args:
        coordinates: (n, p).
        weights: Functions of the first coordinate, (n, functions).
        monomials: Earlier product and coordinate of every product after the first, (products - 1, 2).
        factors: What each of these is multiplied by, (products - 1,).
        features: Product and function of every feature, (size, 2).
        out: (n, size).
    """
    rows = np.zeros((coordinates.shape[1], _LANES), out.dtype)
    weight = np.zeros((weights.shape[1], _LANES), out.dtype)
    products = np.ones((len(monomials) + 1, _LANES), out.dtype)
    tile = np.empty((_TILE, _LANES), out.dtype)
    for first in range(0, len(out), _LANES):
        lanes = min(_LANES, len(out) - first)
        for lane in range(lanes):
            for k in range(coordinates.shape[1]):
                rows[k, lane] = coordinates[first + lane, k]
            for k in range(weights.shape[1]):
                weight[k, lane] = weights[first + lane, k]
        for k in range(len(monomials)):
            parent, row, product = products[monomials[k, 0]], rows[monomials[k, 1]], products[k + 1]
            factor = factors[k]
            for lane in range(_LANES):
                product[lane] = parent[lane] * row[lane] * factor
        # Feature by feature the sixteen rows would fight for the same sets of the cache: a tile is turned around.
        for start in range(0, len(features), _TILE):
            count = min(_TILE, len(features) - start)
            for f in range(count):
                product, function = products[features[start + f, 0]], weight[features[start + f, 1]]
                for lane in range(_LANES):
                    tile[f, lane] = product[lane] * function[lane]
            for lane in range(lanes):
                written = out[first + lane]
                for f in range(count):
                    written[start + f] = tile[f, lane]


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def write_polynomial(coefficients, values):
    """Replace values by sum_k coefficients_k values^k, by Horner's rule."""
    flat = values.reshape(-1)
    highest = len(coefficients) - 1
    for i in range(len(flat)):
        x, total = flat[i], coefficients[highest]
        for k in range(highest - 1, -1, -1):
            total = total * x + coefficients[k]
        flat[i] = total
