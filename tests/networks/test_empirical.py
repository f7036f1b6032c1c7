"""Tangent kernels of given modules: against hand-derived ones, reverse mode point by point, and the infinite limit."""

import pickle

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tangent_reference import MODULES, full_kernel, module_and_points
from widenet.architectures import Conv, GlobalAveragePool, ReLU, fully_connected
from widenet.architectures import Dense as DenseLayer
from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.kernels import NTK
from widenet.linalg import KernelMatrix
from widenet.networks.empirical import EmpiricalNTK
from widenet.networks.finite_network import network

METHODS = ("structured", "jacobian", "products")


def test_a_hidden_layer_by_hand():
    # f(x) = sum_r v_r relu(w_r . x): the sum over r of relu relu', and of v_r^2 x . y where both units are active.
    W, v = np.array([[1.0, 2.0], [-1.0, 0.5], [0.3, -1.0]]), np.array([2.0, -1.0, 0.5])
    module = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 1, bias=False)).double()
    with torch.no_grad():
        module[0].weight.copy_(torch.from_numpy(W))
        module[2].weight.copy_(torch.from_numpy(v)[None])
    X = np.array([[1.0, 1.0], [2.0, -1.0], [-1.0, 3.0]])
    U = np.array([[sum(W[r, k] * x[k] for k in range(2)) for r in range(3)] for x in X])
    expected = [
        [
            sum(
                max(U[i, r], 0) * max(U[j, r], 0) + v[r] ** 2 * (U[i, r] > 0) * (U[j, r] > 0) * float(X[i] @ X[j])
                for r in range(3)
            )
            for j in range(3)
        ]
        for i in range(3)
    ]
    for method in METHODS:
        np.testing.assert_allclose(EmpiricalNTK(module, method=method)(X), expected, rtol=1e-14)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("method", METHODS)
def test_all_forms_are_those_of_reverse_mode(name, method):
    module, X, Y = module_and_points(name, (3, 2))
    cross, own = full_kernel(module, X, Y), full_kernel(module, X, X)
    kernel = EmpiricalNTK(module, method=method)
    close = {"rtol": 1e-11, "atol": 1e-12 * float(own.abs().max())}
    np.testing.assert_allclose(kernel.full(X, Y), cross, **close)
    np.testing.assert_allclose(kernel.full(X), own, **close)
    np.testing.assert_array_equal(kernel.full(X), kernel.full(X).permute(1, 0, 3, 2))
    np.testing.assert_allclose(kernel.per_output(X, Y), cross.diagonal(dim1=2, dim2=3), **close)
    np.testing.assert_allclose(kernel.per_output(X), own.diagonal(dim1=2, dim2=3), **close)
    mean = own.diagonal(dim1=2, dim2=3).mean(2)
    np.testing.assert_allclose(kernel(X, Y), cross.diagonal(dim1=2, dim2=3).mean(2), **close)
    np.testing.assert_allclose(kernel(X), mean, **close)
    np.testing.assert_allclose(kernel.diagonal(X), mean.diagonal(), **close)


@pytest.mark.parametrize("method", METHODS)
def test_small_memory_makes_batches_and_the_same_numbers(method):
    module, X, Y = module_and_points("dense", (8, 5))
    free = EmpiricalNTK(module, method=method)
    for others in (None, Y):
        refused = EmpiricalNTK(module, method=method, memory_limit=100)
        with pytest.raises(MemoryLimitExceeded, match="needs at least") as caught:
            refused.full(X, others)
        needed = float(caught.value.asked.split("at least ")[1].split(" KiB")[0]) * 1024
        # Between what one pair needs and what all need.
        tight = EmpiricalNTK(module, method=method, memory_limit=1.02 * needed)
        plan = tight.plan(X, others, "full")
        assert plan.memory <= 1.02 * needed
        assert plan.layout.batch < len(X)
        np.testing.assert_allclose(tight.full(X, others), free.full(X, others), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(tight.diagonal(X), free.diagonal(X), rtol=1e-12)


def test_the_precision_is_that_of_the_points():
    module, X, Y = module_and_points("convolutions")
    expected = EmpiricalNTK(module)(X, Y)
    single = module.float()
    exact = EmpiricalNTK(single.double())(X, Y)
    single.float()
    np.testing.assert_allclose(EmpiricalNTK(single)(X, Y), exact, rtol=1e-12)
    assert EmpiricalNTK(single)(X, Y).dtype == torch.float64
    np.testing.assert_allclose(exact, expected, rtol=1e-5)
    found = EmpiricalNTK(single)(X.float().numpy(), Y.float().numpy())
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_the_module_is_left_as_it_was(method):
    module, X, Y = module_and_points("convolutions")
    module[4].weight.requires_grad_(False)
    module[0].train()
    module(X).sum().backward()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    grads = {name: None if p.grad is None else p.grad.clone() for name, p in module.named_parameters()}
    objects = {name: id(p) for name, p in module.named_parameters()}
    flags = [(layer.training, len(layer._forward_hooks), len(layer._backward_hooks)) for layer in module.modules()]
    kernel = EmpiricalNTK(module, method=method)
    kernel(X, Y)
    kernel.full(X)
    assert objects == {name: id(p) for name, p in module.named_parameters()}
    assert flags == [(m.training, len(m._forward_hooks), len(m._backward_hooks)) for m in module.modules()]
    for name, value in module.state_dict().items():
        assert torch.equal(value, state[name])
    for name, parameter in module.named_parameters():
        before = grads[name]
        assert parameter.requires_grad == (name != "4.weight")
        assert (parameter.grad is None) if before is None else torch.equal(parameter.grad, before)


def test_kernels_of_some_parameters_add_up():
    module, X, _ = module_and_points("dense")
    whole = EmpiricalNTK(module).full(X)
    parts = [EmpiricalNTK(module, parameters=names).full(X) for names in (("0",), ("2.weight", "2.bias"), ("4",))]
    np.testing.assert_allclose(sum(parts), whole, rtol=1e-12)
    for parameter in module[:3].parameters():
        parameter.requires_grad_(False)
    np.testing.assert_allclose(EmpiricalNTK(module).full(X), parts[2], rtol=1e-12)
    np.testing.assert_allclose(EmpiricalNTK(module, parameters=("0",)).full(X), parts[0], rtol=1e-12)


def test_products_with_a_vector():
    module, X, Y = module_and_points("convolutions")
    kernel, v = EmpiricalNTK(module), torch.randn(4, 3, dtype=torch.float64)
    expected = torch.einsum("ijab,jb->ia", full_kernel(module, X, Y), v)
    np.testing.assert_allclose(kernel.vector_product(X, v, Y), expected, rtol=1e-11)
    with pytest.raises(InvalidInput, match=r"\(6, 3\)"):
        kernel.vector_product(X, v)


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [
        (fully_connected(2, bias_std=0.3), (3,)),
        (Conv(3, bias_std=0.2) >> ReLU() >> Conv(3) >> ReLU() >> GlobalAveragePool() >> DenseLayer(), (5, 2)),
    ],
    ids=["dense", "convolution"],
)
def test_it_tends_to_the_kernel_of_infinite_width(architecture, shape):
    X = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    limit = NTK(architecture)(X)
    distances = []
    for width in (32, 512):
        fan_in = shape if len(shape) > 1 else 3
        nets = [network(architecture, fan_in, width=width, seed=seed, dtype=torch.float64) for seed in range(6)]
        gaps = [float(torch.linalg.norm(EmpiricalNTK(net)(X) - limit) / torch.linalg.norm(limit)) for net in nets]
        distances.append((sum(gap**2 for gap in gaps) / len(gaps)) ** 0.5)
    # 16 times the width: a quarter of the distance, each known to 30 % from six draws.
    assert distances[1] < 0.15
    assert 1.7 < distances[0] / distances[1] < 9.2


class Chance(nn.Linear):
    """Dropout that no module shows."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(super().forward(x), 0.5, training=True)


class Standardised(nn.Linear):
    """Outputs minus their mean over the batch."""

    def forward(self, x: Tensor) -> Tensor:
        z = super().forward(x)
        return z - z.mean(0)


class Pair(nn.Linear):
    """Two outputs, not as one tensor."""

    def forward(self, x: Tensor):
        return super().forward(x), x


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), r"training mode.*'1'.*eval\(\)"),
        (nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)).eval(), "running statistics"),
        (nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)), r"Dropout '1' in training mode"),
        (nn.LSTM(4, 2), "LSTM"),
        (nn.LazyLinear(2), "shape"),
        (Chance(4, 60), "chance"),
        (Standardised(4, 2), "own point alone"),
        (Pair(4, 2), "one tensor"),
        (nn.ReLU(), "trainable parameters"),
        (nn.Flatten(0), "trainable"),
    ],
)
def test_what_has_no_tangent_kernel_is_refused(module, words):
    X = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    with pytest.raises(InvalidInput, match=words):
        EmpiricalNTK(module)(X)


def test_bad_arguments_are_refused():
    module = nn.Linear(2, 1)
    for arguments, words in [
        ({"method": "quick"}, "method must be one of auto, structured"),
        ({"parameters": ("weights",)}, "There are weight, bias"),
        ({"memory_limit": "much"}, "memory limit"),
    ]:
        with pytest.raises(InvalidInput, match=words):
            EmpiricalNTK(module, **arguments)
    dropped = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).eval()
    kernel = EmpiricalNTK(dropped)
    dropped.train()
    with pytest.raises(InvalidInput, match="training mode"):
        kernel(np.ones((2, 2)))


def test_it_works_in_a_kernel_matrix_and_in_sums():
    module, X, Y = module_and_points("dense", (40, 9))
    kernel, v = EmpiricalNTK(module), np.random.default_rng(0).normal(size=40)
    K = KernelMatrix(kernel, X.numpy(), memory_limit="1 MiB")
    np.testing.assert_allclose(K @ v, kernel(X).numpy() @ v, rtol=1e-12)
    np.testing.assert_allclose(K.rows([3, 5]), kernel(X)[[3, 5]], rtol=1e-12)
    np.testing.assert_allclose((kernel + 2.0 * kernel)(X, Y), 3 * kernel(X, Y), rtol=1e-12)


def test_it_is_known_by_its_weights():
    module, X, _ = module_and_points("dense")
    kernel = EmpiricalNTK(module)
    again = pickle.loads(pickle.dumps(kernel))
    assert again == kernel
    assert hash(again) == hash(kernel)
    name = repr(kernel)
    with torch.no_grad():
        module[0].weight[0, 0] += 1
    assert again != kernel
    assert repr(kernel) != name
    assert not np.allclose(kernel(X), again(X))
