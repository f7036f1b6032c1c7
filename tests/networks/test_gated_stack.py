"""Networks with given gates against plain loops and autograd."""

import pytest
import torch

from widenet.networks.gated_stack import GatedStack

GENERATOR = torch.Generator().manual_seed(0)


def random(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=GENERATOR)


BASE, OUTPUT = random(6, 4), random(2, 3)
WEIGHTS = [random(5, 4), random(3, 5)]
GATES = tuple(random(6, units) > 0 for units in (5, 3))


def prediction(stack: GatedStack, first, second):
    return stack.forward([first, second]).prediction


def jacobian(stack: GatedStack, weights):
    parts = torch.autograd.functional.jacobian(lambda *w: prediction(stack, *w), tuple(weights))
    return torch.cat([part.reshape(12, -1) for part in parts], 1)


def test_values_are_those_of_a_plain_loop():
    found = GatedStack(BASE, GATES, OUTPUT).forward(WEIGHTS)
    own = GatedStack(BASE, None, OUTPUT).forward(WEIGHTS)
    for i in range(6):
        gated, relu = BASE[i], BASE[i]
        for W, gate in zip(WEIGHTS, GATES, strict=True):
            gated = torch.stack([W[r] @ gated if gate[i, r] else torch.tensor(0.0).double() for r in range(len(W))])
            relu = torch.stack([max(W[r] @ relu, torch.tensor(0.0).double()) for r in range(len(W))])
        torch.testing.assert_close(found.prediction[i], OUTPUT @ gated)
        torch.testing.assert_close(own.prediction[i], OUTPUT @ relu)


@pytest.mark.parametrize("gates", [GATES, None], ids=["given", "own"])
def test_derivatives_are_those_of_autograd(gates):
    stack = GatedStack(BASE, gates, OUTPUT)
    passed, J = stack.forward(WEIGHTS), jacobian(stack, WEIGHTS)
    residuals, directions = random(6, 2), [random(5, 4), random(3, 5)]
    gradients = torch.cat([part.flatten() for part in stack.gradients(WEIGHTS, passed, residuals)])
    torch.testing.assert_close(gradients, J.T @ residuals.flatten())
    for moved, weight, gradient in zip(
        stack.descended(WEIGHTS, passed, residuals, 0.3),
        WEIGHTS,
        stack.gradients(WEIGHTS, passed, residuals),
        strict=True,
    ):
        torch.testing.assert_close(moved, weight - 0.3 * gradient)
    changes = stack.change(WEIGHTS, passed, directions).flatten()
    torch.testing.assert_close(changes, J @ torch.cat([part.flatten() for part in directions]))
    torch.testing.assert_close(stack.tangent_kernel(WEIGHTS, passed), J @ J.T)


def test_the_kernel_between_two_sets():
    one, two = GatedStack(BASE, GATES, OUTPUT), GatedStack(BASE.flip(1), None, OUTPUT)
    found = one.tangent_kernel(WEIGHTS, one.forward(WEIGHTS), two.forward(WEIGHTS))
    torch.testing.assert_close(found, jacobian(one, WEIGHTS) @ jacobian(two, WEIGHTS).T)


def test_gradients_agree_with_differences():
    # Central differences in double precision, error of order (1e-5)^2.
    stack, residuals = GatedStack(BASE, GATES, OUTPUT), random(6, 2)
    gradients = stack.gradients(WEIGHTS, stack.forward(WEIGHTS), residuals)
    for number, gradient in enumerate(gradients):
        for place in ((0, 0), (2, 3)):
            values = []
            for sign in (1, -1):
                moved = [weight.clone() for weight in WEIGHTS]
                moved[number][place] += sign * 1e-5
                values.append(float((stack.forward(moved).prediction * residuals).sum()))
            assert float(gradient[place]) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-7, abs=1e-9)
