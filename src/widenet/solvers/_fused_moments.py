"""Numba loops of first and second moments: rows are widened, centred and weighed in one pass over them."""

import math

from numba import njit

# Sums may be taken in any order, so that they vectorise.
_sum = njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "nsz", "contract"})


@_sum
def write_mean(Z, weight, mean):
    """Write sum_i w_i z_i / sum_i w_i to mean (s,), in its precision, by sums of differences to the first row."""
    mean[:], total = 0.0, 0.0
    first = Z[0].astype(mean.dtype)
    for i in range(Z.shape[0]):
        row, w = Z[i], weight[i]
        total += w
        for j in range(row.shape[0]):
            mean[j] += w * (row[j] - first[j])
    for j in range(mean.shape[0]):
        mean[j] = first[j] + mean[j] / total


@_sum
def write_centred(Z, weight, mean, out):
    """Write sqrt(w_i) (z_i - z') to out (n, s), in its precision."""
    for i in range(Z.shape[0]):
        row, root, target = Z[i], math.sqrt(weight[i]), out[i]
        for j in range(row.shape[0]):
            target[j] = root * (row[j] - mean[j])
