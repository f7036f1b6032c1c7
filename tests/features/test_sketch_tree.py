"""Plans of products, and second moments of products."""

import numpy as np
import pytest

from widenet.features.sketch_cells import draw_cells, sampling_factors
from widenet.features.sketch_tree import SecondMoments, kept_nodes, plan_nodes, product_moments


def _leaves(nodes, operand):
    if operand is None:
        return []
    if operand < 0:
        return [-1 - operand]
    return _leaves(nodes, nodes[operand].left) + _leaves(nodes, nodes[operand].right)


@pytest.mark.parametrize("shape", ["tree", "chain"])
def test_every_power_has_each_of_its_leaves_once(shape):
    nodes = plan_nodes(range(1, 17), shape)
    for number, node in enumerate(nodes):
        assert _leaves(nodes, number) == list(range(node.start, node.stop))
        assert all(operand is None or operand < number for operand in (node.left, node.right))
    assert [node.degree for node in nodes if node.start == 0] == list(range(1, 17))


def test_a_chain_has_one_product_a_power_and_a_tree_is_balanced():
    assert len(plan_nodes(range(2, 17), "chain")) == 15
    assert len(plan_nodes([16], "tree")) == 15
    tree = plan_nodes([7], "tree")
    assert {(node.start, node.stop) for node in tree} == {(0, 7), (0, 4), (0, 2), (2, 4), (4, 7), (4, 6)}
    assert kept_nodes(tree) == set(range(5))


def test_second_moments_of_a_sampled_product_are_those_of_a_plain_loop():
    # Real spectra A, B of Gaussian matrices have E A = a, E A^2 = 1 + 2 a^2 for unit rows: the factors are exact.
    left, right, count = 8, 4, 6
    cells = draw_cells(left, right, count, np.random.default_rng(0))
    factors = sampling_factors(cells, left, right)
    draws, found = np.random.default_rng(1), []
    alpha, beta = draws.normal(size=left), draws.normal(size=right)
    alpha, beta = (v - v.mean() for v in (alpha, beta))
    alpha, beta = (v / np.sqrt((v**2).mean()) for v in (alpha, beta))
    for _ in range(20_000):
        A, B = 0.5 + draws.permutation(alpha), 0.3 + draws.permutation(beta)
        found.append(np.mean(A[cells[0]] * B[cells[1]]))
    expected = factors[0] + factors[1] * 0.3**2 + factors[2] * 0.5**2
    assert np.mean(found) == pytest.approx(0.15, abs=4 * np.std(found) / 141)
    assert np.var(found) == pytest.approx(expected, rel=0.06)
    leaf = SecondMoments(0.5, 0.25, 0.75), SecondMoments(0.3, 0.09, 0.91)  # spreads of 1
    assert product_moments(*leaf, factors).cross - 0.15**2 == pytest.approx(expected, rel=1e-12)


def test_products_of_all_pairs_have_no_variance():
    cells = draw_cells(8, 4, 32, np.random.default_rng(0))
    one = SecondMoments(1.0, 1.0, 1.0)
    assert sampling_factors(cells, 8, 4) == (0.0, 0.0, 0.0)
    assert product_moments(one, one, (0.0, 0.0, 0.0)) == one
    assert product_moments(one, one, (0.1, 0.0, 0.0)).own == pytest.approx(1.4)
    assert product_moments(one, one, (0.1, 0.0, 0.0), real=False).own == pytest.approx(1.1)
