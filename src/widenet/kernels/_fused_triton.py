"""Triton kernel of the angle profile: on CUDA, from cosines of unit rows to kernel values in one pass, in place.

Triton comes with torch's CUDA builds for Linux; without it `angle` runs the same formulas as torch operations.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from widenet.kernels.angular_terms import CompiledTerms

# pyright: reportMissingImports=false, reportInvalidTypeForm=false, reportIndexIssue=false
_BLOCK = 1024


@triton.jit
def _evaluate(  # noqa: PLR0913, PLR0917 (a device function takes no objects)
    values, x_weights, y_weights, numbers, close, count, rows, columns, first, near, far,
    TERMS: tl.constexpr, LENGTH: tl.constexpr, ROOTS: tl.constexpr, SAME: tl.constexpr,
    CAPACITY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    # One row of cosines a program and block of columns. `numbers` holds, for every term, the ends, slopes and poles of
    # both halves, then the coefficients of both. Pairs that are too close are listed for a repair.
    i = tl.program_id(0).to(tl.int64)
    j = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = j < columns
    cosine = tl.load(values + i * columns + j, mask=inside, other=0.0)
    opposite = cosine < 0
    sine = tl.sqrt(tl.maximum((1 - tl.abs(cosine)) * 0.5, 0.0))
    total = tl.zeros_like(cosine)
    for term in tl.static_range(TERMS):
        at = numbers + term * (6 + 2 * LENGTH)
        v = sine
        if (ROOTS >> (4 * term)) & 15 >= 1:
            v = tl.sqrt(v)
        if (ROOTS >> (4 * term)) & 15 >= 2:
            v = tl.sqrt(v)
        slope = tl.where(opposite, tl.load(at + 3), tl.load(at + 2))
        pole = tl.where(opposite, tl.load(at + 5), tl.load(at + 4))
        t = (slope * v - 1) / (pole * v + 1)
        value = tl.zeros_like(cosine)
        for k in range(LENGTH):
            value = value * t + tl.where(opposite, tl.load(at + 6 + LENGTH + k), tl.load(at + 6 + k))
        value = tl.where(opposite, tl.load(at + 1), tl.load(at)) + v * value
        weight = tl.load(x_weights + term * rows + i)
        total += value * weight * tl.load(y_weights + term * columns + j, mask=inside, other=0.0)
    tl.store(values + i * columns + j, total, mask=inside)
    listed = inside & (sine < tl.where(opposite, far, near))
    if SAME:
        listed = listed & (j != i + first)
    if tl.max(listed.to(tl.int32)) > 0:
        place = tl.atomic_add(count + tl.zeros_like(j), 1, mask=listed)
        tl.store(close + place, i * columns + j, mask=listed & (place < CAPACITY))


def evaluate(
    values: Tensor, compiled: CompiledTerms, x_weights: Tensor, y_weights: Tensor, first: int | None, capacity: int
) -> Tensor | None:
    """Replace cosines by kernel values; return the flat indices of pairs that need a repair, None if too many.

    Args:
        values: Cosines of unit rows, (n, m), contiguous, on a CUDA device; kernel values afterwards.
        compiled: The terms in the precision of `values`.
        x_weights: Powers of the norms, (terms, n), in that precision.
        y_weights: (terms, m).
        first: For rows of a symmetric matrix the column of the diagonal in the first row, else None.
        capacity: Largest number of pairs to list.
    """
    rows, columns = values.shape
    parts = [
        torch.cat([torch.from_numpy(maps.reshape(-1)), torch.from_numpy(coefficients.reshape(-1))])
        for maps, coefficients in zip(compiled.maps, compiled.coefficients, strict=True)
    ]
    numbers = torch.cat(parts).to(values.device)
    close = torch.empty(capacity, dtype=torch.int64, device=values.device)
    count = torch.zeros(1, dtype=torch.int32, device=values.device)
    with torch.cuda.device(values.device):
        _evaluate[rows, triton.cdiv(columns, _BLOCK)](
            values, x_weights, y_weights, numbers, close, count, rows, columns, first or 0, compiled.near, compiled.far,
            TERMS=len(parts), LENGTH=compiled.coefficients.shape[2],
            ROOTS=sum(int(roots) << (4 * term) for term, roots in enumerate(compiled.roots)),
            SAME=first is not None, CAPACITY=capacity, BLOCK=_BLOCK,
        )  # fmt: skip
    found = int(count)
    return close[:found] if found <= capacity else None
