"""Laws that every kernel keeps. A kernel class that is not in the registry fails the suite."""

import importlib
import inspect
import pickle
import pkgutil
from importlib.util import find_spec

import numpy as np
import pytest
import torch

import widenet
from widenet import architectures, kernels
from widenet.architectures import (
    GELU,
    AvgPool,
    Conv,
    Dense,
    Erf,
    Flatten,
    GlobalAveragePool,
    Identity,
    Recurrent,
    ReLU,
    densenet,
    fully_connected,
    recurrent,
    residual,
    sparse_network,
)
from widenet.errors import InvalidInput
from widenet.kernels import (
    NNGP,
    NTK,
    ArcCosine,
    Bidirectional,
    GammaExponential,
    Gaussian,
    Homogeneous,
    Kernel,
    Laplace,
    Linear,
    Matern,
    Normalized,
    Product,
    Scaled,
    Sum,
    TruncatedDual,
    Zonal,
    ZonalAngle,
)
from widenet.networks import EmpiricalNTK

# Points of four channels, as those below.
MODULE = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)).double()
with torch.no_grad():
    for number, parameter in enumerate(MODULE.parameters()):
        parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))

RESIDUAL = Dense() >> (Identity() + (ReLU() >> Dense(1.1, 0.2))) ** 2 >> ReLU() >> Dense()
REGISTRY: list[Kernel] = [
    NTK(fully_connected(1)),
    NTK(fully_connected(3, bias_std=0.3)),
    NTK(fully_connected(2, bias_std=0.5, scaling="geifman")),
    NTK(RESIDUAL),
    NTK(fully_connected(1, Erf(), bias_std=0.2)),
    NTK(Conv(2, bias_std=0.2) >> ReLU() >> Conv(2, padding="circular") >> ReLU() >> Flatten() >> Dense(), (2, 2, 1)),
    NTK(Conv(2, bias_std=0.2) >> ReLU() >> AvgPool((1, 2)) >> Conv(2) >> ReLU() >> GlobalAveragePool(), (2, 2, 1)),
    NNGP(Conv(3) >> Erf() >> GlobalAveragePool() >> Dense(), (4, 1)),
    NTK(Recurrent(hidden_std=1.4, bias_std=0.1) >> Dense()),
    NTK(recurrent(1, Recurrent(Erf(), 1.2, bias_std=0.2, initial_std=0.5, initial_state="shared"), readout="mean")),
    NNGP(recurrent(1, Recurrent(GELU(), 0.9, bias_std=0.2), readout="stepwise"), input_shape=(-1, 1)),
    Normalized(NTK(recurrent(2, Recurrent(bias_std=0.3), frozen_layers=1))),
    Bidirectional(NTK(recurrent(1, Recurrent(hidden_std=1.3, bias_std=0.2)))),
    NTK(residual(3, alpha=(0.5, 0.0, 2.0))),
    NTK(densenet(3)),
    NTK(sparse_network(0.8)),
    NTK(sparse_network(1.1, depth=3, trained="all")),
    NNGP(fully_connected(2)),
    NNGP(fully_connected(2, GELU(), bias_std=0.1)),
    EmpiricalNTK(MODULE),
    Laplace(1.5),
    GammaExponential(1.5, 0.5),
    GammaExponential(1.5, 1.5),
    Gaussian(1.5),
    Matern(1.5, 0.5),
    Matern(1.5, 2.5),
    Linear(),
    Linear(0.7),
    ArcCosine(0),
    ArcCosine(1),
    ArcCosine(4),
    TruncatedDual(ReLU(), 4),
    TruncatedDual(GELU(), 7),
    Zonal(torch.exp),
    ZonalAngle(torch.cos),
    Homogeneous(Laplace(0.8)),
    Homogeneous(GammaExponential(0.8, 1.5)),
    Normalized(NTK(fully_connected(2, bias_std=0.3))),
    Normalized(Linear(0.5)),
    Sum(Laplace(1.0), NTK(fully_connected(1))),
    Sum(ArcCosine(1), Sum(Linear(0.5), Gaussian(2.0))),
    Product(Linear(1.0), ArcCosine(1)),
    Product(Laplace(1.0), Product(Gaussian(1.0), Linear(0.3))),
    Scaled(0.5, Scaled(2.0, Laplace(1.0))),
    Scaled(0.5, Sum(NNGP(fully_connected(1)), Linear(1.0))),
]
UNDEFINED_AT_ZERO = (ArcCosine(0), Zonal, ZonalAngle, Homogeneous)
JUMPS_AT_ZERO = NTK(fully_connected(2, bias_std=0.5, scaling="geifman"))
UNREAD = ("widenet.cli", "widenet.experiments")
IDS = [repr(kernel) for kernel in REGISTRY]
every_kernel = pytest.mark.parametrize("kernel", REGISTRY, ids=IDS)

generator = np.random.default_rng(11)
X, Y = generator.standard_normal((23, 4)), generator.standard_normal((17, 4))
X[20:] = X[:3]  # duplicates


def concrete_kernels() -> set[type[Kernel]]:
    """Every class of kernel in the package, found by importing all of it but the commands and experiments."""
    for module in pkgutil.walk_packages(widenet.__path__, "widenet."):
        needs_triton = module.name == "widenet.kernels._fused_triton" and find_spec("triton") is None
        if not module.name.startswith(UNREAD) and not needs_triton:
            importlib.import_module(module.name)
    found, queue = set(), [Kernel]
    while queue:
        for kind in queue.pop().__subclasses__():
            queue.append(kind)
            ours = kind.__module__.startswith("widenet.") and not kind.__module__.startswith(UNREAD)
            if ours and not inspect.isabstract(kind) and not kind.__name__.startswith("_"):
                found.add(kind)
    return found


def test_the_registry_holds_every_kernel():
    assert concrete_kernels() == {type(kernel) for kernel in REGISTRY}


@every_kernel
def test_it_is_symmetric(kernel):
    K = kernel(X)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_allclose(kernel(X, Y), kernel(Y, X).T, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(kernel(X, X.copy()), K, rtol=1e-12, atol=1e-12)


@every_kernel
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_it_is_positive_semi_definite(kernel, dtype, tolerance):
    values = np.linalg.eigvalsh(kernel(X.astype(dtype)).astype(np.float64))
    assert values[0] >= -tolerance * values[-1]
    assert values[-1] > 0


@every_kernel
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 2e-6)])
def test_its_diagonal_is_that_of_the_matrix(kernel, dtype, tolerance):
    points = X.astype(dtype)
    found = kernel.diagonal(points)
    assert found.shape == (23,)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.diagonal(kernel(points)), rtol=tolerance)
    # Equal rows have equal rows of the matrix, whether the pair is on the diagonal or not.
    np.testing.assert_allclose(np.diagonal(kernel(points, points.copy())), found, rtol=10 * tolerance)


@every_kernel
def test_blocks_do_not_depend_on_how_they_are_cut(kernel):
    whole, cross = kernel(X), kernel(X, Y)
    np.testing.assert_allclose(kernel(X[3:9], X[5:]), whole[3:9, 5:], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(kernel(X[7:8], Y[2:3]), cross[7:8, 2:3], rtol=1e-12, atol=1e-13)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(kernel(X[order]), whole[np.ix_(order, order)], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", [Laplace(2.0), NTK(fully_connected(2, bias_std=0.3)), ArcCosine(1)], ids=repr)
def test_matrices_of_several_blocks(kernel):
    points = np.random.default_rng(3).standard_normal((1100, 3))
    whole = kernel(points)
    np.testing.assert_allclose(whole[500:530, 1000:], kernel(points[500:530], points[1000:]), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(whole, whole.T)


@every_kernel
def test_sums_products_and_scalings(kernel):
    other, base = Scaled(1.1, kernel) if kernel._packs else Laplace(1.1), kernel(X, Y)
    np.testing.assert_allclose((kernel + other)(X, Y), base + other(X, Y), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose((kernel * other)(X, Y), base * other(X, Y), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose((1.75 * kernel)(X, Y), 1.75 * base, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose((kernel * kernel).diagonal(X), kernel.diagonal(X) ** 2, rtol=1e-13)


@every_kernel
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_type_and_array_kind_are_kept(kernel, dtype):
    points, others = X.astype(dtype), Y.astype(dtype)
    K = kernel(points, others)
    assert isinstance(K, np.ndarray)
    assert (K.dtype, K.shape) == (dtype, (23, 17))
    tensor = kernel(torch.from_numpy(points), torch.from_numpy(others))
    assert isinstance(tensor, torch.Tensor)
    assert not tensor.requires_grad
    np.testing.assert_array_equal(tensor.numpy(), K)
    scale = np.max(np.abs(kernel(X)))
    assert np.max(np.abs(K - kernel(points.astype(np.float64), others.astype(np.float64)))) <= 1e-6 * scale


@every_kernel
def test_its_gradient_is_that_of_finite_differences(kernel):
    points = torch.from_numpy(X[:4].copy()).requires_grad_()
    others = torch.from_numpy(Y[:3].copy()).requires_grad_()
    assert torch.autograd.gradcheck(kernel, (points, others), atol=1e-6, rtol=1e-4, fast_mode=True)
    assert torch.autograd.gradcheck(kernel, (points,), atol=1e-6, rtol=1e-4, fast_mode=True)


@every_kernel
def test_its_gradient_is_finite_at_duplicates(kernel):
    points = torch.from_numpy(X.copy()).requires_grad_()
    kernel(points).sum().backward()
    assert points.grad is not None
    assert torch.isfinite(points.grad).all()


@every_kernel
def test_its_expression_evaluates_to_an_equal_value(kernel):
    names = {**vars(kernels), **vars(architectures), "torch": torch}
    if isinstance(kernel, EmpiricalNTK):  # a module has no expression: only a digest of its weights
        with pytest.raises(SyntaxError):
            eval(repr(kernel), names)
        return
    again = eval(repr(kernel), names)
    assert again == kernel
    assert type(again) is type(kernel)
    assert repr(again) == repr(kernel)


@every_kernel
def test_it_can_be_pickled_hashed_and_compared(kernel):
    again = pickle.loads(pickle.dumps(kernel))
    assert again == kernel
    assert hash(again) == hash(kernel)
    assert sum(kernel == other for other in REGISTRY) == 1
    np.testing.assert_array_equal(again(X), kernel(X))


@every_kernel
def test_one_row(kernel):
    K = kernel(X[:1])
    assert K.shape == (1, 1)
    np.testing.assert_allclose(K[0], kernel.diagonal(X[:1]), rtol=1e-14)


@every_kernel
def test_a_zero_row_gives_finite_values_or_is_named(kernel):
    points = np.vstack([X[:3], np.zeros((1, 4))])
    if type(kernel) in UNDEFINED_AT_ZERO or kernel in UNDEFINED_AT_ZERO:
        for call in (kernel, kernel.diagonal):
            with pytest.raises(InvalidInput, match="row 3"):
                call(points)
        return
    K = kernel(points)
    assert np.isfinite(K).all()
    np.testing.assert_allclose(np.diagonal(K), kernel.diagonal(points), rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(K, kernel(points, points.copy()), rtol=1e-11, atol=1e-12)
    if kernel == JUMPS_AT_ZERO:
        # Its bias part depends on the angle alone; at 0, where relu' is taken as 0, the last bias is left.
        np.testing.assert_allclose(K[3], 0.25, rtol=1e-14)
        return
    # The limit of small points is the value at 0.
    near = kernel(np.vstack([X[:3], 1e-9 * X[3:4]]))
    np.testing.assert_allclose(K[3], near[3], atol=1e-7)


@every_kernel
def test_bad_points_are_refused(kernel):
    for bad, words in [
        (np.zeros((0, 3)), "at least one"),
        (np.array([[1.0, np.nan]]), "row 0"),
        (np.array([["a", "b"]]), "numbers"),
        (X[0], "shape"),
    ]:
        with pytest.raises(InvalidInput, match=words):
            kernel(bad)
    with pytest.raises(InvalidInput, match="one dtype"):
        kernel(X, Y.astype(np.float32))
    if kernel._packs:
        with pytest.raises(InvalidInput, match="channels"):
            kernel(X, Y[:, :, None].repeat(2, axis=2))
        return
    with pytest.raises(InvalidInput, match="one shape"):
        kernel(X, Y[:, :3])
