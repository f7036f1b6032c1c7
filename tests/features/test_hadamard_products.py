"""Programs of Hadamard products: the loop against torch's operations, and results that are exact."""

import numpy as np
import pytest
import torch
from scipy import sparse

from widenet.features import hadamard_products as products_module
from widenet.features.hadamard_products import hadamard_products, leaf_length
from widenet.features.rows import Rows, read_rows
from widenet.features.sketch_tree import Node, plan_nodes


def _write(products, rows, on_device, monkeypatch):
    out = rows[0].empty(sum(products.sizes) + 3).zero_()
    if on_device:  # the operations that serve an accelerator, run on the CPU
        monkeypatch.setattr(products_module, "_write_fused", products_module._write_on_device)
    products.write(rows, [2.0] * len(products.nodes), out, 2)
    monkeypatch.undo()
    return out.numpy()


@pytest.mark.parametrize("dimension", [6, 200, 5000])
@pytest.mark.parametrize("shape", ["tree", "chain"])
def test_the_loop_and_torch_agree(dimension, shape, monkeypatch):
    draws = np.random.default_rng(0)
    nodes = plan_nodes(range(1, 6), shape)
    sizes = [40 + node.degree if node.start == 0 else 0 for node in nodes]
    products = hadamard_products(nodes, sizes, dimension, (leaf_length(dimension, 64), 64), ("test", 3))
    X = draws.normal(size=(21, dimension)) / np.sqrt(dimension)
    rows = read_rows(X, "test"), None
    fused, operations = (_write(products, rows, on_device, monkeypatch) for on_device in (False, True))
    np.testing.assert_allclose(fused, operations, atol=1e-12 * np.abs(operations).max())
    assert np.all(fused[:, [0, 1, -1]] == 0)
    assert np.all(np.abs(fused[:, 2:-1]).max(0) > 0) == (dimension > 6)  # 40 pairs of 16 numbers: 16 for power 1


def test_a_pair_of_rows_agrees_too(monkeypatch):
    draws = np.random.default_rng(0)
    products = hadamard_products((Node(0, 2, -1, -2),), [70], 40, (64, 16), ("test", 3))
    rows = tuple(read_rows(draws.normal(size=(21, columns)), "test") for columns in (40, 9))
    fused, operations = (_write(products, rows, on_device, monkeypatch) for on_device in (False, True))
    np.testing.assert_allclose(fused, operations, atol=1e-12)


def test_all_pairs_give_powers_exactly():
    X = np.random.default_rng(1).normal(size=(9, 16))
    nodes = plan_nodes([1, 2, 3], "chain")
    products = hadamard_products(nodes, [20, 300, 5000], 16, (16, 256), ("test", 0))
    out = torch.empty(9, 5320, dtype=torch.float64)
    products.write((read_rows(X, "test"), None), [1.0] * 3, out)
    for power, Z in enumerate((out[:, :20], out[:, 20:320], out[:, 320:]), 1):
        np.testing.assert_allclose(Z @ Z.T, (X @ X.T) ** power, rtol=1e-10, atol=1e-11)
    assert [moments.cross for moments in products.moments(0.5)] == pytest.approx([0.25, 0.0625, 0.015625])


def test_leaves_are_exact_up_to_a_length_and_hashed_beyond():
    assert [leaf_length(d, 256) for d in (3, 784, 4096, 4097, 10**6)] == [16, 1024, 4096, 1024, 1024]
    assert leaf_length(10**6, 3000) == 4096


def test_threads_do_not_change_a_number():
    products = hadamard_products(plan_nodes([3], "tree"), [0, 100], 50, (64, 64), ("test", 0))
    X = sparse.random_array((200, 50), density=0.2, rng=np.random.default_rng(0), format="csr")
    rows, found = Rows(None, sparse.csr_array(X), True), []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        out = rows.empty(100)
        products.write((rows, None), [1.0, 1.0], out)
        found.append(out)
    torch.set_num_threads(before)
    assert torch.equal(*found)
