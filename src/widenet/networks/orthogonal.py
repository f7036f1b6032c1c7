"""Orthogonal weights: Haar matrices, and convolutions whose only taps that are not zero are orthogonal."""

from math import prod, sqrt

import torch
from torch import Generator, Tensor

from widenet.errors import InvalidInput


def haar_orthogonal(rows: int, columns: int, generator: Generator, dtype: torch.dtype = torch.float32) -> Tensor:
    """First rows and columns of a uniformly distributed orthogonal matrix of size max(rows, columns).

    Q of the QR decomposition of a Gaussian matrix is uniform only once its columns have the signs of the diagonal of R.
    Where rows >= columns the columns are orthonormal, else the rows.

    Args:
        rows: Number of rows.
        columns: Number of columns.
        generator: Source of the random numbers, on the CPU.
        dtype: Precision.

    Returns:
        The matrix, (rows, columns).

    Raises:
        InvalidInput: On a size below 1.

    Cost:
        O(max(rows, columns) min(rows, columns)^2).

    References: Mezzadri 2007, arXiv math-ph/0609050.

    Example:
        >>> Q = haar_orthogonal(5, 3, torch.Generator().manual_seed(0))
        >>> torch.allclose(Q.T @ Q, torch.eye(3), atol=1e-6)
        True
    """
    if min(rows, columns) < 1:
        raise InvalidInput("an orthogonal matrix needs at least one row and one column", f"{rows} x {columns}")
    long, short = max(rows, columns), min(rows, columns)
    gaussian = torch.randn(long, short, generator=generator, dtype=dtype)
    Q, R = torch.linalg.qr(gaussian)
    signs = torch.where(R.diagonal() < 0, -1.0, 1.0).to(dtype)
    Q = Q * signs
    return Q if rows >= columns else Q.T.contiguous()


def orthogonal_weights(rows: int, columns: int, generator: Generator, dtype: torch.dtype = torch.float32) -> Tensor:
    """Orthogonal weights whose entries have variance 1: sqrt(max(rows, columns)) times a Haar matrix.

    Divided by sqrt(columns), as in the NTK parameterisation, square ones keep every norm.

    Args:
        rows: Units that come out.
        columns: Units that go in.
        generator: Source of the random numbers, on the CPU.
        dtype: Precision.

    Returns:
        The weights, (rows, columns).

    References: Huang, Du and Xu 2021, arXiv 2004.05867; the scale of oblong matrices is chosen here.
    """
    return sqrt(max(rows, columns)) * haar_orthogonal(rows, columns, generator, dtype)


def delta_orthogonal_weights(
    outputs: int, inputs: int, window: tuple[int, ...], generator: Generator, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Weights of a convolution that are zero but at the window's centre, which holds orthogonal ones times sqrt(taps).

    Divided by sqrt(inputs taps), as in the NTK parameterisation, they keep the variance of the signal, and for as many
    outputs as inputs its norm. The centre of an even window is the position before its middle.

    Args:
        outputs: Channels that come out.
        inputs: Channels that go in.
        window: Positions of the filter along every axis.
        generator: Source of the random numbers, on the CPU.
        dtype: Precision.

    Returns:
        The weights, (outputs, inputs, *window).

    References: Xiao et al. 2018, arXiv 1806.05393; the scale of oblong matrices is chosen here.
    """
    weights = torch.zeros(outputs, inputs, *window, dtype=dtype)
    centre = tuple((size - 1) // 2 for size in window)
    weights[(slice(None), slice(None), *centre)] = sqrt(prod(window)) * orthogonal_weights(
        outputs, inputs, generator, dtype
    )
    return weights
