"""Parts of tangent kernels from their factors, against sums over positions in plain loops."""

import numpy as np
import pytest
import torch

from widenet.networks.kernel_factors import (
    Factor,
    Form,
    GradientFactor,
    OuterFactor,
    PositionsFactor,
    SlicedFactor,
    form_shape,
    inner_products,
    sliced,
)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def by_loops(first: Factor, second: Factor) -> np.ndarray:
    """sum over t, t' of (scale a_t . a'_t' + constant) d_at . d'_bt', (n, m, outputs, outputs)."""
    (a, d), (b, e) = first.tensors, second.tensors
    if isinstance(first, OuterFactor):
        a, d, b, e = a[:, None], d[:, None], b[:, None], e[:, None]
    result = np.zeros((len(a), len(b), d.shape[2], d.shape[2]))
    for i, j, r, s in np.ndindex(*result.shape):
        for t in range(a.shape[1]):
            for u in range(b.shape[1]):
                similarity = first.scale * float(a[i, t] @ b[j, u]) + first.constant
                result[i, j, r, s] += similarity * float(d[i, t, r] @ e[j, u, s])
    return result


OUTER = [OuterFactor(draw(n, 4), draw(n, 3, 5), 0.7, 0.2) for n in (3, 2)]
POSITIONS = [PositionsFactor(draw(n, T, 2), draw(n, T, 3, 4), 0.7, 0.2) for n, T in ((3, 4), (2, 4))]


@pytest.mark.parametrize("pair", [OUTER, POSITIONS], ids=["one position", "positions"])
def test_forms_are_sums_over_positions(pair):
    first, second = pair
    expected = by_loops(first, second)
    full = first.between(second, "full")
    np.testing.assert_allclose(full[0].permute(0, 2, 1, 3), expected, rtol=1e-12)
    diagonal = np.einsum("ijaa->aij", expected)
    np.testing.assert_allclose(first.between(second, "per_output")[:, :, 0, :, 0], diagonal, rtol=1e-12)
    np.testing.assert_allclose(first.between(second, "trace")[0, :, 0, :, 0], diagonal.sum(0), rtol=1e-12)
    np.testing.assert_allclose(first.squares(), np.einsum("iiaa->ia", by_loops(first, first)), rtol=1e-12)


def test_tiles_of_positions_do_not_matter(monkeypatch):
    first, second = POSITIONS
    whole = {form: first.between(second, form) for form in ("trace", "per_output", "full")}
    monkeypatch.setattr("widenet.networks.kernel_factors._CELLS", 1)
    for form, expected in whole.items():
        torch.testing.assert_close(first.between(second, form), expected, rtol=1e-13, atol=1e-13)


SLICED = [SlicedFactor(f.inputs, f.cotangents.permute(0, 2, 3, 1), f.scale, f.constant) for f in POSITIONS]


@pytest.mark.parametrize("size", [1, 3 * 3 * 2 * 8 * 3, 2**20], ids=["one channel", "three of four", "all"])
def test_slices_of_gradients_add_up(size, monkeypatch):
    monkeypatch.setattr("widenet.networks.kernel_factors.SLICE", size)
    for first, second in (SLICED, SLICED[:1] * 2):
        expected = by_loops(*(POSITIONS[SLICED.index(factor)] for factor in (first, second)))
        full = first.between(second, "full")
        np.testing.assert_allclose(full[0].permute(0, 2, 1, 3), expected, rtol=1e-11, atol=1e-13)
        trace = first.between(second, "trace")[0, :, 0, :, 0]
        np.testing.assert_allclose(trace, np.einsum("ijaa->ij", expected), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(first.squares(), np.einsum("iiaa->ia", expected), rtol=1e-11)
    bias = SlicedFactor(first.inputs[..., :0], first.cotangents, 0.0, 0.5)
    np.testing.assert_allclose(bias.squares(), 0.5 * first.cotangents.sum(3).square().sum(2), rtol=1e-12)


def test_whole_factors_come_before_slices():
    left, right = [SLICED[0], OUTER[0], POSITIONS[0]], [SLICED[1], OUTER[1], POSITIONS[1]]
    first, *others = sliced(left, right)
    assert (first[0], first[1]) == (left[1:], right[1:])
    assert [[type(part) for side in pair for part in side] for pair in others] == [[GradientFactor] * 2] * 2


def test_gradients_are_their_own_features():
    first, second = GradientFactor(draw(3, 2, 7)), GradientFactor(draw(4, 2, 7))
    expected = torch.einsum("iap,jbp->ijab", first.gradients, second.gradients)
    torch.testing.assert_close(first.between(second, "full")[0].permute(0, 2, 1, 3), expected)
    torch.testing.assert_close(first.squares(), first.gradients.square().sum(2))
    torch.testing.assert_close(inner_products(*first.tensors, *second.tensors, "trace")[0, :, 0, :, 0],
                               expected.diagonal(dim1=2, dim2=3).sum(2))  # fmt: skip


@pytest.mark.parametrize(
    "factor", [OUTER[0], POSITIONS[0], SLICED[0], GradientFactor(draw(3, 2, 7))], ids=lambda f: type(f).__name__
)
def test_rows_are_those_of_the_points(factor):
    some = factor.rows(slice(1, 3))
    whole = factor.between(factor, "trace")
    torch.testing.assert_close(some.between(factor, "trace"), whole[:, 1:3])
    assert [len(tensor) for tensor in some.tensors] == [2] * len(factor.tensors)


@pytest.mark.parametrize(("form", "expected"), [("trace", (1, 1)), ("per_output", (5, 1)), ("full", (1, 5))])
def test_sizes_of_the_forms(form: Form, expected):
    assert form_shape(form, 5) == expected
