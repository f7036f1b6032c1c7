"""Rows at the border: dense and sparse forms, precisions, norms, blocks, and what is refused."""

import numpy as np
import pytest
import torch
from scipy import sparse

from widenet.errors import InvalidInput
from widenet.features.rows import BLOCK_NUMBERS, read_rows


@pytest.mark.parametrize("form", [np.asarray, torch.as_tensor, sparse.csr_array, sparse.csr_matrix, sparse.coo_array])
def test_norms_are_those_of_the_rows(form):
    X = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0], [1.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
    rows = read_rows(form(X), "Sketch", 3)
    assert rows.shape == (4, 3)
    np.testing.assert_allclose(rows.norms().numpy(), [5, 0, 3, 0], rtol=1e-15)
    assert rows.dtype == torch.float64


def test_precisions_are_kept_and_whole_numbers_become_float64():
    assert read_rows(sparse.csr_array(np.eye(2, dtype=np.float32)), "Sketch").dtype == torch.float32
    assert read_rows(sparse.csr_array(np.eye(2, dtype=np.int8)), "Sketch").dtype == torch.float64
    assert read_rows(np.eye(2, dtype=bool), "Sketch").dtype == torch.float64


def test_entries_that_stand_twice_are_added_and_the_callers_rows_stay():
    X = sparse.csr_array((np.array([1.0, 2.0]), np.array([1, 1]), np.array([0, 2])), shape=(1, 3))
    np.testing.assert_allclose(read_rows(X, "Sketch").norms().numpy(), [3.0])
    assert X.nnz == 2


def test_blocks_cover_all_rows_in_order():
    X = np.arange(12.0).reshape(6, 2)
    for form in (X, sparse.csr_array(X)):
        found = list(read_rows(form, "Sketch").blocks(BLOCK_NUMBERS // 4))
        assert [place for place, _ in found] == [slice(0, 4), slice(4, 6)]
        np.testing.assert_array_equal(torch.cat([block.norms() for _, block in found]), np.linalg.norm(X, axis=1))


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.ones((2, 3, 1)), "rows of numbers"),
        (np.ones((2, 4)), "rows of 3 numbers"),
        (sparse.csr_array((0, 3)), "at least one"),
        (sparse.csr_array(np.ones((2, 3), complex)), "float32 or float64"),
        (sparse.csr_array(np.array([[np.inf, 0, 0]])), "finite"),
        (sparse.csr_array(np.ones((2, 4))), "rows of 3 numbers"),
    ],
)
def test_other_points_are_refused(X, words):
    with pytest.raises(InvalidInput, match=words):
        read_rows(X, "Sketch", 3)
