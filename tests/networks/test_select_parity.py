"""The model that selects coordinates: its two regimes, what one step does to it, and its smoothness between."""

import numpy as np
import pytest
import torch

from widenet.errors import InvalidInput
from widenet.networks.approximate_descent import ApproximateDescent
from widenet.networks.select_parity import SelectThenParity
from widenet.theory.parity import BiasedParity, LeakyParity
from widenet.theory.parity_problem import cube


def _model(weights, start=0.0):
    model = SelectThenParity(len(weights), start=start, dtype=torch.float64)
    model.weight.data = torch.tensor(weights, dtype=torch.float64)
    return model


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_small_weights_make_it_linear_and_large_ones_a_parity(start):
    X = cube(5)
    small = np.array([0.3, -0.1, 0.0, 0.39, 0.2])
    values = _model(small.tolist(), start)(torch.from_numpy(X)).detach().numpy()[:, 0]
    np.testing.assert_allclose(values, start + X @ small, atol=1e-15)
    large = _model([0.7, 0.1, -0.9, 0.39, 2.0], start)
    parity = large(torch.from_numpy(X)).detach().numpy()[:, 0]
    np.testing.assert_allclose(parity, X[:, 0] * X[:, 2] * X[:, 4], atol=1e-14)
    assert large.selected == (0, 2, 4)


def test_the_gradient_is_right_and_continuous_everywhere():
    X = torch.from_numpy(cube(3))
    weights = torch.tensor([0.45, 0.2, -0.52], dtype=torch.float64)

    def outputs(w):
        model = SelectThenParity(3, start=1.0, dtype=torch.float64)
        return torch.func.functional_call(model, {"weight": w}, (X,))

    assert torch.autograd.gradcheck(outputs, weights.requires_grad_())
    for edge in (0.4, 0.6):  # where the step begins and ends
        slopes = [
            torch.autograd.functional.jacobian(outputs, torch.tensor([edge + e, 0.1, 0.5], dtype=torch.float64))
            for e in (-1e-5, 1e-5)
        ]
        torch.testing.assert_close(*slopes, rtol=0, atol=1e-2)


def test_one_step_of_approximate_descent_learns_a_biased_parity():
    problem = BiasedParity(10, 4, 0.5)
    law, model = problem.enumerate(), SelectThenParity(10, dtype=torch.float64)
    step = 0.5 / problem.recovery_threshold
    run = ApproximateDescent(step, steps=1, tau=0.005).run(model, law.X, law.label_mean, law.probability)
    assert run.losses[0] == pytest.approx(0.5)
    assert run.losses[1] == pytest.approx(0.0, abs=1e-25)
    assert model.selected == problem.support
    blind = ApproximateDescent(step, steps=3, tau=0.2)  # more than the norm of the first gradient
    assert not blind.run(SelectThenParity(10, dtype=torch.float64), law.X, law.label_mean, law.probability).left_start


@pytest.mark.parametrize(("start", "learns"), [(1.0, True), (0.0, False)])
def test_a_leaky_parity_is_learnt_from_a_biased_start_alone(start, learns):
    problem = LeakyParity(9, 4, 0.3)
    law, model = problem.enumerate(), SelectThenParity(9, start=start, dtype=torch.float64)
    descent = ApproximateDescent(1 / problem.means[0], steps=2, tau=1e-9)
    run = descent.run(model, law.X, law.label_mean, law.probability)
    parity = model(torch.from_numpy(law.X)).detach().numpy()[:, 0]
    assert run.left_start == learns
    if learns:
        assert model.selected == problem.support
        assert law.probability @ (1 - parity * law.label_mean) / 2 == pytest.approx(problem.bayes_error, rel=1e-12)
    else:
        assert run.gradient_norms.max() < 1e-15
        assert not parity.any()


def test_models_that_cannot_be_are_refused():
    with pytest.raises(InvalidInput, match="1 or more"):
        SelectThenParity(0)
    with pytest.raises(InvalidInput, match="finite"):
        SelectThenParity(3, start=float("nan"))
