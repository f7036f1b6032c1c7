"""Haar matrices against their exact moments."""

import torch

from widenet.networks import haar_orthogonal


def test_columns_or_rows_are_orthonormal():
    generator = torch.Generator().manual_seed(0)
    for rows, columns in ((5, 5), (7, 3), (2, 6), (1, 4)):
        Q = haar_orthogonal(rows, columns, generator, torch.float64)
        assert Q.shape == (rows, columns)
        gram = Q.T @ Q if rows >= columns else Q @ Q.T
        torch.testing.assert_close(gram, torch.eye(min(rows, columns), dtype=torch.float64), rtol=0, atol=1e-14)
