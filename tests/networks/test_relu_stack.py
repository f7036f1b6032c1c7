"""Plain stacks: their shapes, scales and what is refused."""

import pytest
import torch
from torch import nn

from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.networks.relu_stack import relu_stack, stack_of, stack_weights


def test_a_stack_is_plain_and_computes_what_its_matrices_say():
    stack = relu_stack((3, 5, 4, 2), seed=1)
    assert [type(module) for module in stack] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    A, W, B = (weight.detach() for weight in stack_weights(stack))
    X = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = [[float(v) for v in B @ (W @ (A @ x).clamp_min(0)).clamp_min(0)] for x in X]
    torch.testing.assert_close(stack(X).detach(), torch.tensor(expected, dtype=torch.float64), rtol=1e-13, atol=1e-13)


def test_entries_have_the_variances_of_the_docstring():
    first, hidden, last = (weight.detach() for weight in relu_stack((30, 500, 400, 300), output_scale=0.5).parameters())
    for weight, variance in ((first, 2 / 500), (hidden, 2 / 400), (last, 0.25)):
        # The standard error of a variance of k Gaussian numbers is sqrt(2 / k) of it.
        assert abs(float(weight.var()) / variance - 1) < 4 * (2 / weight.numel()) ** 0.5
        assert abs(float(weight.mean())) < 4 * (variance / weight.numel()) ** 0.5


def test_seeds_repeat_precision_only_rounds_and_global_numbers_stay():
    state = torch.get_rng_state()
    double, again, single = relu_stack((3, 4, 1)), relu_stack((3, 4, 1)), relu_stack((3, 4, 1), dtype=torch.float32)
    assert torch.equal(torch.get_rng_state(), state)
    for a, b, c in zip(double.parameters(), again.parameters(), single.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a.float(), c)
    assert not torch.equal(relu_stack((3, 4, 1), seed=1)[0].weight, double[0].weight)


def test_matrices_are_copied():
    weight = torch.ones(2, 2)
    stack = stack_of([weight, weight])
    weight += 1
    assert float(stack[0].weight.detach().sum()) == 4
    assert stack[0].weight.requires_grad


@pytest.mark.parametrize("widths", [(3, 4), (3, 0, 1), (3, True, 1), ()], ids=repr)
def test_widths_that_cannot_be_are_refused(widths):
    with pytest.raises(InvalidInput, match="widths"):
        relu_stack(widths)


@pytest.mark.parametrize("values", [{"output_scale": 0.0}, {"output_scale": float("nan")}, {"dtype": torch.float16}])
def test_scales_and_dtypes_that_cannot_be_are_refused(values):
    with pytest.raises(InvalidInput):
        relu_stack((2, 3, 1), **values)


@pytest.mark.parametrize(
    "modules",
    [
        (nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1, bias=False)),
        (nn.Linear(2, 3, bias=False), nn.Tanh(), nn.Linear(3, 1, bias=False)),
        (nn.ReLU(), nn.Linear(2, 1, bias=False)),
        (nn.Linear(2, 3, bias=False), nn.ReLU()),
        (),
    ],
    ids=["bias", "tanh", "first", "last", "empty"],
)
def test_other_modules_are_refused(modules):
    with pytest.raises(InvalidArchitecture, match="stack"):
        stack_weights(nn.Sequential(*modules))
