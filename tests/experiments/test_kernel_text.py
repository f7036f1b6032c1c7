import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from widenet.architectures import fully_connected
from widenet.errors import WidenetError
from widenet.experiments.kernel_text import KERNELS, read_kernel
from widenet.kernels import NNGP, NTK, GammaExponential, Gaussian, Homogeneous, Kernel, Laplace, Linear, Matern


@pytest.mark.parametrize(
    ("text", "kernel"),
    [
        ("laplace", Laplace(1.0)),
        ("Laplace(scale=2)", Laplace(2)),
        ("Gaussian(0.5)", Gaussian(0.5)),
        ("gamma_exponential(scale=2, gamma=0.5)", GammaExponential(2, 0.5)),
        ("NTK(depth=2, bias_std=0.1)", NTK(fully_connected(2, bias_std=0.1, scaling="he"))),
        ("nngp(4)", NNGP(fully_connected(4, scaling="he"))),
        ("NTK(depth=2, weight_std=1)", NTK(fully_connected(2, weight_std=1.0))),
        (" Matern(1, 2.5) ", Matern(1, 2.5)),
        ("homogeneous(laplace)", Homogeneous(Laplace(1.0))),
        ("0.5 * laplace + gaussian * linear(1)", 0.5 * Laplace(1.0) + Gaussian(1.0) * Linear(1)),
        ("(laplace + gaussian) * 2", (Laplace(1.0) + Gaussian(1.0)) * 2),
    ],
)
def test_kernels_are_read(text, kernel):
    assert read_kernel(text) == kernel


@pytest.mark.parametrize("name", [name for name in KERNELS if name not in ("homogeneous", "normalized")])
def test_every_name_is_a_kernel_by_itself(name):
    assert isinstance(read_kernel(name), Kernel)


def test_the_deepest_networks_neither_vanish_nor_explode():
    x = np.array([[3.0, 4.0]])
    # He et al.: E relu(u)^2 = q / 2 for u ~ N(0, q), which weights of variance 2 undo; the NTK sums the layers.
    np.testing.assert_allclose(read_kernel("NNGP(depth=1000)").diagonal(x), [12.5], rtol=1e-9)
    np.testing.assert_allclose(read_kernel("NTK(depth=1000)").diagonal(x), [1001 * 12.5], rtol=1e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a kernel must read like"),
        ("3", "a kernel must read like"),
        ("NKT(depth=3)", "no such kernel; got 'NKT'"),
        ("NTK(depths=3)", "written as NTK\\(depth=3"),
        ("laplace(scale=-1)", "scale"),
        ("NTK(depth=1000000)", "depth must be at most 1000"),
        ("nngp(1000000000)", "depth must be at most 1000"),
        ("laplace - gaussian", "a kernel must read like"),
        ("-1 * laplace", "at least 0"),
        ("__import__('os').system('true')", "a kernel must read like"),
        ("laplace(scale=(lambda: 1)())", "a kernel must read like"),
        ("laplace(**{'scale': 1})", "a kernel must read like"),
        ("NTK(depth=laplace)", "NTK|depth"),
        ("(" * 500 + "laplace" + ")" * 500, "a kernel must read like"),
    ],
)
def test_other_text_is_refused_in_one_line(text, message):
    with pytest.raises(WidenetError, match=message) as caught:
        read_kernel(text)
    assert "\n" not in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("laplcegusin()*+.,=0123 \0\n"), max_size=30))
@example("laplace(1e999)")
@example("laplace(scale=1, scale=2)")
def test_random_text_gives_a_kernel_or_an_error_of_ours(text):
    try:
        outcome = isinstance(read_kernel(text), Kernel)
    except WidenetError:  # any other exception fails the test
        outcome = True
    assert outcome
