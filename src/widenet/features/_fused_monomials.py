"""Numba loop of products of coordinates: each is an earlier one times one coordinate.

The loop holds no lock and starts no thread.
"""

import numpy as np
from numba import njit


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
    products = np.empty(len(monomials) + 1, out.dtype)
    products[0] = 1
    for i in range(len(out)):
        row, weight, written = coordinates[i], weights[i], out[i]
        for k in range(len(monomials)):
            products[k + 1] = products[monomials[k, 0]] * row[monomials[k, 1]] * factors[k]
        for f in range(len(features)):
            written[f] = products[features[f, 0]] * weight[features[f, 1]]
