"""Matrices by blocks: layouts, products and SciPy's linear operator, with a kernel-free block source."""

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import cg, eigsh

from widenet.errors import InvalidInput
from widenet.linalg import BlockLayout, BlockMatrix


class Held(BlockMatrix):
    """A matrix in memory that counts the blocks it hands out."""

    def __init__(self, values: np.ndarray, size: int, *, symmetric: bool = False) -> None:
        self.values, self.asked = torch.from_numpy(values), []
        self.layout = BlockLayout(*values.shape, size, symmetric)
        self.progress, self._numpy = None, True
        self._torch_dtype, self._device = self.values.dtype, torch.device("cpu")

    def block(self, i: int, j: int) -> torch.Tensor:
        self.asked.append((i, j))
        return self.values[self.layout.slices(i, j)]

    def rows(self, indices):
        return self.values[self._indices(indices)].numpy()

    def diagonal(self):
        return self.values.diagonal().numpy()


def values(n: int, m: int, dtype=np.float64) -> np.ndarray:
    return np.random.default_rng(n + m).normal(size=(n, m)).astype(dtype)


def symmetric(n: int) -> np.ndarray:
    root = values(n, n)
    return root @ root.T


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize(("rows", "size"), [(1, 1), (10, 3), (10, 5), (10, 10), (10, 64)])
def test_a_layout_covers_every_entry_once(rows, size, half):
    layout = BlockLayout(rows, rows, size, half)
    seen = np.zeros((rows, rows), int)
    for i, j in layout.corners():
        block = layout.slices(i, j)
        seen[block] += 1
        if half and i != j:
            seen[block[1], block[0]] += 1
    assert (seen == 1).all()
    assert layout.count() == len(list(layout.corners()))


@pytest.mark.parametrize("size", [1, 3, 7, 700])
@pytest.mark.parametrize("columns", [None, 1, 4])
def test_products_are_those_of_the_dense_matrix(size, columns):
    A, S = values(13, 9), symmetric(13)
    v, u = (values(k, columns or 1) if columns else values(k, 1)[:, 0] for k in (9, 13))
    np.testing.assert_allclose(Held(A, size) @ v, A @ v, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(Held(A, size).T @ u, A.T @ u, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(Held(S, size, symmetric=True) @ u, S @ u, rtol=1e-11, atol=1e-12)


def test_a_block_larger_than_a_tile_is_used_whole():
    S = symmetric(1200)
    v = values(1200, 2)
    np.testing.assert_allclose(Held(S, 1100, symmetric=True) @ v, S @ v, rtol=1e-10, atol=1e-8)
    np.testing.assert_allclose(Held(S, 1100).T @ v, S @ v, rtol=1e-10, atol=1e-8)


def test_the_symmetric_product_asks_each_block_above_the_diagonal_once():
    matrix = Held(symmetric(10), 4, symmetric=True)
    assert (matrix @ np.ones(10)).shape == (10,)
    assert sorted(matrix.asked) == [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]


def test_sums_of_float32_are_in_float64():
    A = np.ones((1, 5000), np.float32)
    A[0, 0] = 2.0**25
    v = np.ones(5000, np.float64)
    v[-1] = -(2.0**25)
    assert (Held(A, 1000) @ v)[0] == 4998.0
    assert (Held(A, 1000) @ v.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize(
    ("matrix", "vector", "expected"),
    [
        (np.float32, np.float32, np.float32),
        (np.float32, np.float64, np.float64),
        (np.float64, np.float32, np.float64),
        (np.float32, np.int64, np.float32),
    ],
)
def test_the_product_has_the_wider_dtype_and_the_kind_of_the_vector(matrix, vector, expected):
    A = Held(values(4, 3, matrix), 2)
    v = np.ones(3, vector)
    assert (A @ v).dtype == expected
    found = A @ torch.from_numpy(v)
    assert isinstance(found, torch.Tensor)
    np.testing.assert_array_equal(found, A @ v)


@pytest.mark.parametrize("v", [np.ones(4), np.ones((4, 1)), np.float64(1.0), np.ones((3, 1, 1)), np.ones(3, complex)])
def test_a_vector_that_does_not_fit_is_refused(v):
    with pytest.raises(InvalidInput, match="multiplies real"):
        _ = Held(values(5, 3), 2) @ v


@pytest.mark.parametrize("indices", [[5], [-6], [0.5], [[1]], [True, False]])
def test_indices_that_do_not_fit_are_refused(indices):
    with pytest.raises(InvalidInput, match="row indices must"):
        Held(values(5, 3), 2).rows(indices)


def test_a_mask_and_negative_indices_name_rows():
    A = values(5, 3)
    np.testing.assert_array_equal(Held(A, 2).rows(np.array([True, False, False, True, False])), A[[0, 3]])
    np.testing.assert_array_equal(Held(A, 2).rows([-1, 0]), A[[4, 0]])


def test_transpose_of_the_transpose_and_its_rows():
    A = Held(values(5, 3), 2)
    assert A.T.T is A
    assert A.T.shape == (3, 5)
    np.testing.assert_array_equal(A.T.rows([2, 0, 2]), A.values.numpy().T[[2, 0, 2]])
    np.testing.assert_array_equal(A.T.dense(), A.values.numpy().T)
    np.testing.assert_array_equal(A.T.diagonal(), A.diagonal())


def test_scipy_solves_and_decomposes_through_the_linear_operator():
    S = symmetric(30) + np.eye(30)
    operator = Held(S, 7, symmetric=True).as_linear_operator()
    y = values(30, 1)[:, 0]
    a, failed = cg(operator, y, rtol=1e-12, maxiter=1000)
    assert failed == 0
    np.testing.assert_allclose(a, np.linalg.solve(S, y), rtol=1e-7)
    largest = eigsh(operator, k=2, return_eigenvectors=False)
    np.testing.assert_allclose(np.sort(largest), np.linalg.eigvalsh(S)[-2:], rtol=1e-10)
    A = values(6, 4)
    rectangle = Held(A, 3).as_linear_operator()
    np.testing.assert_allclose(rectangle.rmatvec(np.ones(6)), A.T @ np.ones(6), rtol=1e-12)
    np.testing.assert_allclose(rectangle.H.matmat(A), A.T @ A, rtol=1e-12)
    np.testing.assert_allclose(rectangle @ A.T, A @ A.T, rtol=1e-12)


def test_progress_is_told_after_every_block():
    matrix, told = Held(values(5, 5), 2), []
    matrix.progress = lambda done, total: told.append((done, total))
    assert (matrix @ np.ones(5)).shape == (5,)
    assert told == [(k, 9) for k in range(1, 10)]
