"""Gram matrices by the angle: truth at near duplicates and antipodes, invariances, gradients, memory."""

import subprocess
import sys

import mpmath
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from relu_ntk import relu_ntk
from widenet.kernels import angle
from widenet.kernels.angle import AngularTerm, angular_gram, common_norm


def truth(depth, x, y):
    """|x||y| k(theta) of the ReLU NTK in 60-digit arithmetic, from the rows themselves."""
    with mpmath.workdps(60):
        x, y = ([mpmath.mpf(float(v)) for v in row] for row in (x, y))
        norms = mpmath.sqrt(mpmath.fdot(x, x) * mpmath.fdot(y, y))
        cosine = min(max(mpmath.fdot(x, y) / norms, -1), 1)
        tangent = cosine
        for _ in range(depth):
            t = mpmath.acos(cosine)
            cosine, share = (mpmath.sin(t) + (mpmath.pi - t) * cosine) / mpmath.pi, 1 - t / mpmath.pi
            tangent = tangent * share + cosine
        return float(norms * tangent)


TERMS = {depth: (AngularTerm(1, relu_ntk(depth)),) for depth in (1, 3, 10, 30)}
PRECISE = {torch.float32: 6e-7, torch.float64: 4e-14}


def hard_pairs(dtype):
    """Rows, and partners at distances from 0 to 1 and at the antipodes."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(28, 6)) * rng.uniform(0.1, 10, (28, 1))
    Y = X.copy()
    for i, distance in enumerate([0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0]):
        shift = rng.normal(size=6)
        shift *= distance * np.linalg.norm(X[i]) / np.linalg.norm(shift)
        Y[i] += shift
        Y[14 + i] = -X[14 + i] + shift
    Y[13], Y[27] = 3 * X[13], -X[27] / 3
    return torch.from_numpy(X).to(dtype), torch.from_numpy(Y).to(dtype)


@pytest.mark.parametrize("depth", [1, 3, 10, 30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_hard_pairs_match_60_digits(depth, dtype):
    X, Y = hard_pairs(dtype)
    K = angular_gram(TERMS[depth], X, Y)
    norms = X.double().norm(dim=1)[:, None] * Y.double().norm(dim=1)
    for i in range(len(X)):
        for j in {i, (i + 1) % len(X)}:
            error = abs(float(K[i, j]) - truth(depth, X[i], Y[j])) / float(norms[i, j]) / (depth + 1)
            assert error <= PRECISE[dtype], (i, j, error)


@pytest.mark.parametrize("depth", [1, 3, 10, 30])
def test_float32_on_real_data_with_duplicates(depth):
    digits = load_digits(return_X_y=True)[0][:1000]
    rng = np.random.default_rng(0)
    digits[100:200] = digits[:100]
    for i, distance in enumerate(np.geomspace(1e-3, 1e-7, 100)):
        shift = rng.normal(size=64)
        digits[300 + i] = digits[200 + i] + distance * np.linalg.norm(digits[200 + i]) / np.linalg.norm(shift) * shift
    X = torch.from_numpy(digits.astype(np.float32))
    single, double = angular_gram(TERMS[depth], X, None), angular_gram(TERMS[depth], X.double(), None)
    assert float((single.double() - double).abs().max() / double.diagonal().max()) <= 1e-6
    spectrum = torch.linalg.eigvalsh(single.double())
    assert float(spectrum[0]) >= -1e-5 * float(spectrum[-1])
    duplicates = range(100)
    assert torch.equal(single[duplicates, range(100, 200)], single.diagonal()[:100])
    assert torch.equal(double[duplicates, range(100, 200)], double.diagonal()[:100])
    for i in range(205, 300, 10):
        near = abs(float(double[i, i + 100]) - truth(depth, X[i], X[i + 100]))
        assert near <= 2e-14 * float(double[i, i])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_data_all_in_one_direction(dtype):
    # Raw tables: every pair is near, so whole tiles take the double-precision product.
    rng = np.random.default_rng(1)
    X = torch.from_numpy(1000 * rng.uniform(size=8) + rng.normal(size=(40, 8))).to(dtype)
    K = angular_gram(TERMS[10], X, None)
    for i in range(0, 40, 7):
        for j in range(0, 40, 3):
            assert float(K[i, j]) == pytest.approx(truth(10, X[i], X[j]), rel=3e-7 if dtype == torch.float32 else 4e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [1, 3, 17, 70])
def test_symmetric_and_rectangular_agree(monkeypatch, dtype, rows):
    monkeypatch.setattr(angle, "_TILE", 16)
    X = torch.randn(rows, 5, dtype=dtype)
    K = angular_gram(TERMS[3], X, None)
    assert K.dtype == dtype
    assert torch.equal(K, K.T)
    torch.testing.assert_close(
        K, angular_gram(TERMS[3], X, X.clone()), rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-13
    )
    torch.testing.assert_close(
        K.diagonal().double(), 4 * X.double().square().sum(1), rtol=4 * torch.finfo(dtype).eps, atol=0
    )


@pytest.mark.parametrize("size", [16, 48, 512])
def test_tiles_do_not_change_the_result(monkeypatch, size):
    X = torch.randn(90, 7, dtype=torch.float64)
    whole = angular_gram(TERMS[3], X, None)
    monkeypatch.setattr(angle, "_TILE", size)
    torch.testing.assert_close(angular_gram(TERMS[3], X, None), whole, rtol=0, atol=1e-13)


def test_threads_do_not_change_a_bit(monkeypatch):
    monkeypatch.setattr(angle, "_TILE", 32)
    X, before = torch.randn(300, 9), torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(angular_gram(TERMS[10], X, None))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("scale", [1e-18, 1e18])
def test_extreme_norms_in_float32(scale):
    X = torch.randn(20, 4, dtype=torch.float64)
    K = angular_gram(TERMS[3], (scale * X).float(), None)
    torch.testing.assert_close(K.double() / scale**2, angular_gram(TERMS[3], X, None), rtol=0, atol=1e-5)


def test_strided_input_is_read_as_it_is():
    X = torch.randn(40, 12, dtype=torch.float64)
    torch.testing.assert_close(
        angular_gram(TERMS[3], X[::2, ::3], None), angular_gram(TERMS[3], X[::2, ::3].clone(), None)
    )
    torch.testing.assert_close(angular_gram(TERMS[3], X.T, None), angular_gram(TERMS[3], X.T.contiguous(), None))


def test_one_dimension_has_two_directions():
    X = torch.tensor([[2.0], [-3.0], [1e-3]], dtype=torch.float64)
    k0, k_pi = 2.0, 0.0  # of depth 1: K(0) = 2 and K(pi) = 0
    signs = torch.sign(X @ X.T)
    expected = (X @ X.T).abs() * torch.where(signs > 0, k0, k_pi)
    torch.testing.assert_close(angular_gram(TERMS[1], X, None), expected, rtol=1e-14, atol=1e-14)


def test_terms_of_several_degrees_are_added():
    terms = (
        AngularTerm(1, relu_ntk(3)),
        AngularTerm(0, torch.cos),
        AngularTerm(0, torch.exp),
        AngularTerm(2, torch.sin),
    )
    X, Y = torch.randn(30, 5, dtype=torch.float64), torch.randn(20, 5, dtype=torch.float64)
    parts = sum(angular_gram((term,), X, Y) for term in terms)
    torch.testing.assert_close(angular_gram(terms, X, Y), parts, rtol=1e-13, atol=1e-12)
    theta = torch.arccos((X[0] @ Y[0]) / X[0].norm() / Y[0].norm())
    norms = X[0].norm() * Y[0].norm()
    expected = norms * relu_ntk(3)(theta) + theta.cos() + theta.exp() + norms**2 * theta.sin()
    torch.testing.assert_close(angular_gram(terms, X, Y)[0, 0], expected)


def test_a_sum_of_terms_is_compiled_once():
    # Equal sums of two terms, as two equal kernels give: the second finds the profile of the first.
    first, second = ((AngularTerm(degree, torch.cos), AngularTerm(degree, torch.exp)) for degree in (0, 1))
    profiles = [angle.compiled_terms(terms, torch.float64).profiles[0] for terms in (first, second)]
    assert profiles[0] is profiles[1]


def test_zero_rows_give_zero():
    X = torch.randn(6, 3)
    X[2] = 0
    terms = (AngularTerm(1, relu_ntk(1)), AngularTerm(0, torch.cos))
    K = angular_gram(terms, X, None)
    assert (K[2] == 0).all()
    assert (K[:, 2] == 0).all()
    assert torch.isfinite(K).all()
    assert (angular_gram(terms[:1], X, torch.randn(4, 3))[2] == 0).all()


def test_rough_functions_are_evaluated_themselves():
    def jump(theta):
        return (theta < 1.0).double()

    X, Y = torch.randn(40, 3), torch.randn(30, 3)
    K = angular_gram((AngularTerm(0, jump),), X, Y)
    theta = torch.arccos(torch.nn.functional.normalize(X.double()) @ torch.nn.functional.normalize(Y.double()).T)
    assert torch.equal(K, (theta < 1.0).float())
    assert 0 < K.mean() < 1


def smooth_but_long(theta):
    """Needs more coefficients than are tried, so that the plain path is taken."""
    return 1.5 + torch.sin(150 * theta)


@pytest.mark.parametrize(
    "terms",
    [TERMS[1], TERMS[10], (AngularTerm(0, torch.cos), AngularTerm(2, relu_ntk(3))), (AngularTerm(1, smooth_but_long),)],
)
def test_gradients_match_finite_differences(terms):
    X = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    Y = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: angular_gram(terms, a, b), (X, Y), eps=1e-6, atol=2e-5)
    assert torch.autograd.gradcheck(lambda a: angular_gram(terms, a, None), (X,), eps=1e-6, atol=2e-5)


def test_gradients_at_duplicates_and_zeros_are_finite():
    X = torch.randn(6, 3)
    X[1], X[2], X[3] = X[0], -X[0], 0
    X.requires_grad_()
    angular_gram(TERMS[10], X, None).sum().backward()
    assert torch.isfinite(X.grad).all()
    single = X.grad.clone()
    X64 = X.detach().double().requires_grad_()
    angular_gram(TERMS[10], X64, None).sum().backward()
    torch.testing.assert_close(single.double(), X64.grad, rtol=1e-5, atol=1e-4)


def test_gradient_of_the_diagonal_alone_is_that_of_the_norm():
    X = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    angular_gram(TERMS[3], X, None).diagonal().sum().backward()
    torch.testing.assert_close(X.grad, 8 * X.detach())  # K(x, x) = 4 |x|^2


def test_common_norm_is_that_of_the_sphere_only():
    X = torch.nn.functional.normalize(torch.randn(50, 9)) * 3
    assert common_norm(X, None) == pytest.approx(3, rel=1e-6)
    assert common_norm(X, 1.001 * X) is None
    assert common_norm(torch.zeros(3, 2), None) is None
    assert common_norm(torch.randn(10, 4), None) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("radius", [1.0, 2.5])
def test_blocks_of_one_sphere_have_one_norm(dtype, radius):
    units = torch.nn.functional.normalize(torch.randn(400, 30, dtype=dtype, generator=torch.manual_seed(0)))
    found = {common_norm(radius * block, None) for block in units.split(20)}
    assert found == {radius}


def test_no_more_memory_than_the_matrix():
    script = """
import torch
from pathlib import Path
from widenet.kernels.angle import AngularTerm, angular_gram
def status(field):
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(field)) * 1024
terms, X = (AngularTerm(1, torch.cos),), torch.randn(6000, 30)
angular_gram(terms, X[:600], None)
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS:")
angular_gram(terms, X, None)
print((status("VmHWM:") - before) / (4 * 6000**2))
"""
    result = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert 0.9 < float(result.stdout) <= 1.25
