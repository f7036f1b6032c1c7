"""Which pairs (p, q) of numbers of two spectra a sketch of their product keeps."""

import numpy as np
from numpy.random import Generator


def draw_cells(left: int, right: int, count: int, draws: Generator) -> np.ndarray:
    """Pairs (p, q) of p < left and q < right without repetition, each number in turn: int32 (2, count).

    Pair a L + b, for L the larger of the two lengths, is number b of a random order of the longer spectrum with number
    a + b of a random order of the shorter one. Where L divides the count, every number of the longer one is taken
    equally often, so that its mean is exact and the variance of a product loses all but its smallest term; with all
    left x right pairs the product itself is exact.

    Args:
        left: Numbers of the first spectrum.
        right: Numbers of the second spectrum.
        count: Pairs, at most left x right.
        draws: Source of the orders.
    """
    long, short = draws.permutation(max(left, right)), draws.permutation(min(left, right))
    number = np.arange(count)
    turn, place = number // len(long), number % len(long)
    pairs = long[place], short[(place + turn) % len(short)]
    return np.stack(pairs if left >= right else pairs[::-1]).astype(np.int32)


def sampling_factors(cells: np.ndarray, left: int, right: int) -> tuple[float, float, float]:
    """Factors of the variance of the mean of alpha_p beta_q over some pairs, for randomly ordered alpha and beta.

    For n_pq = 1 where the pair is taken and 0 elsewhere, m pairs, rows p of L and columns q of L':

        pairs   L L' / ((L - 1) (L' - 1)) |n - row means - column means + mean|^2 / m^2, of what both vary together;
        margins L / (L - 1) sum_p (n_p - m / L)^2 / m^2, of what alpha varies alone, and the same for beta.

    Args:
        cells: The pairs, (2, m), without repetition.
        left: L.
        right: L'.

    Returns:
        The factor of pairs, and the margins of the first and of the second spectrum.
    """
    m = cells.shape[1]
    rows, columns = np.bincount(cells[0], minlength=left), np.bincount(cells[1], minlength=right)
    both = m - (rows**2).sum() / right - (columns**2).sum() / left + m**2 / (left * right)
    first, second = left / max(left - 1, 1), right / max(right - 1, 1)
    pairs = first * second * both
    margins = first * ((rows - m / left) ** 2).sum(), second * ((columns - m / right) ** 2).sum()
    return float(max(pairs, 0) / m**2), float(margins[0] / m**2), float(margins[1] / m**2)
