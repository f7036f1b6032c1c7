"""Numba loops of products: one tile of a matrix times a few vectors in double precision, for both halves at once.

A tile is the part A[:rows, first:last] of a C-ordered array, `extent` being (rows, first, last). It stays in float32
where it is so: every number of it is read once, widened in a register, and used twice.
The loops hold no lock and start no thread.
"""

from numba import njit

# Sums may be taken in any order, so that they vectorise.
_sum = njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "nsz", "contract"})


@_sum
def add_rows(A, extent, right, result):
    """Add A right to result: right is (k, columns), result (k, rows)."""
    for i in range(extent[0]):
        row = A[i, extent[1] : extent[2]]
        for c in range(right.shape[0]):
            v, total = right[c], 0.0
            for j in range(row.shape[0]):
                total += row[j] * v[j]
            result[c, i] += total


@_sum
def add_columns(A, extent, left, result):
    """Add A^T left to result: left is (k, rows), result (k, columns)."""
    for i in range(extent[0]):
        row = A[i, extent[1] : extent[2]]
        for c in range(left.shape[0]):
            w, u = result[c], left[c, i]
            for j in range(row.shape[0]):
                w[j] += u * row[j]


@_sum
def add_both(A, extent, factors, results):
    """`add_rows` and `add_columns` in one pass: factors are (right, left), results those of rows and of columns."""
    right, left = factors
    by_rows, by_columns = results
    for i in range(extent[0]):
        row = A[i, extent[1] : extent[2]]
        for c in range(right.shape[0]):
            v, w, u, total = right[c], by_columns[c], left[c, i], 0.0
            for j in range(row.shape[0]):
                a = row[j]
                total += a * v[j]
                w[j] += u * a
            by_rows[c, i] += total
