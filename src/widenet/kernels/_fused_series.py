"""Numba loop of power series in the correlation, each coefficient a number of the row times one of the column."""

from numba import njit


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def product_series(of_x, of_y, rho, out):
    """Write sum_l of_x[l, i] of_y[l, j] rho[i, j]^l to out[i, j], by Horner's scheme.

    Args:
        of_x: (terms, n); the number of terms is a multiple of 4.
        of_y: (terms, m).
        rho: (n, m).
        out: (n, m).
    """
    terms = of_x.shape[0]
    for i in range(rho.shape[0]):
        t, v = rho[i], out[i]
        for j in range(t.shape[0]):
            v[j] = 0.0
        for k in range(terms - 4, -1, -4):
            a0, a1, a2, a3 = of_x[k, i], of_x[k + 1, i], of_x[k + 2, i], of_x[k + 3, i]
            b0, b1, b2, b3 = of_y[k], of_y[k + 1], of_y[k + 2], of_y[k + 3]
            for j in range(t.shape[0]):
                x = t[j]
                w = v[j] * x + a3 * b3[j]
                w = w * x + a2 * b2[j]
                w = w * x + a1 * b1[j]
                v[j] = w * x + a0 * b0[j]
