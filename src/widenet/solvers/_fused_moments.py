"""Numba loops of first and second moments: rows are widened, centred and weighed in one pass over them."""

import math

from numba import njit

# Sums may be taken in any order, so that they vectorise.
_sum = njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "nsz", "contract"})


@_sum
def write_mean(Z, share, mean):
    """Write sum_i p_i z_i for shares p_i of 1 to mean (s,), in its precision, by differences to the first row."""
    mean[:] = 0.0
    first = Z[0].astype(mean.dtype)
    for i in range(Z.shape[0]):
        row, p = Z[i], share[i]
        for j in range(row.shape[0]):
            mean[j] += p * (row[j] - first[j])
    for j in range(mean.shape[0]):
        mean[j] += first[j]


@_sum
def write_centred(Z, weight, mean, out):
    """Write sqrt(w_i) (z_i - z') to out (n, s), in its precision."""
    for i in range(Z.shape[0]):
        row, root, target = Z[i], math.sqrt(weight[i]), out[i]
        for j in range(row.shape[0]):
            target[j] = root * (row[j] - mean[j])
