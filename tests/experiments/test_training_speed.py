"""Steps to an accuracy: the loop against plain ones, the published comparison on small networks, tables."""

from math import inf

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from widenet.errors import InvalidInput
from widenet.experiments.training_speed import (
    Classes,
    Race,
    Result,
    deep_tanh,
    race_shapes,
    speed_figure,
    speed_table,
    standardized_digits,
)

DIGITS = standardized_digits()


def test_digits_are_standardised_pixel_by_pixel():
    X, labels = load_digits(return_X_y=True)
    assert DIGITS.X.shape == (1797, 64)
    assert DIGITS.labels.tolist() == labels.tolist()
    assert DIGITS.count == 10
    varies = X.std(axis=0) > 0
    np.testing.assert_allclose(DIGITS.X.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(DIGITS.X.std(0, correction=0)[varies], 1, atol=1e-4)
    np.testing.assert_allclose(DIGITS.X.std(0)[~varies], 0, atol=1e-6)


def test_orthogonal_weights_train_deep_networks_faster_at_large_steps():
    # Specification: 50 layers of width 64, rate 0.01, 8 to 17 steps against 43 to 141; the ratio of medians is above 3.
    (result,) = race_shapes([(50, 64, 1e-2)], DIGITS, range(3), Race(most_steps=160))
    assert result.ratio > 3
    assert 6 <= np.median(result.orthogonal) <= 20
    assert 35 <= np.median(result.gaussian) <= 140


def _toy() -> tuple[nn.Module, Classes]:
    X = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.8]])
    module = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[-0.3, 0.5], [0.4, -0.2]]))
    return module, Classes(X, torch.tensor([0, 0, 1, 1]))


def test_steps_are_those_of_a_plain_loop():
    module, data = _toy()
    reference, _ = _toy()
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.3)
    expected = 0
    while float((reference(data.X).argmax(1) == data.labels).float().mean()) <= 0.9:
        optimizer.zero_grad()
        nn.functional.cross_entropy(reference(data.X), data.labels).backward()
        optimizer.step()
        expected += 1
    assert expected > 2
    assert Race(0.9, batch_size=4, most_steps=100).steps(module, data, 0.3, 0) == expected
    torch.testing.assert_close(module.weight, reference.weight)


def test_the_rest_that_makes_no_whole_batch_is_left_out():
    # The fifth point alone would be a batch that is right by chance.
    module, data = _toy()
    more = Classes(torch.cat([data.X, torch.tensor([[-1.0, -1.0]])]), torch.cat([data.labels, torch.tensor([0])]))
    assert int(module(more.X)[4].argmax()) == 0
    assert Race(0.5, batch_size=4, most_steps=60).steps(module, more, 0.0, 0) == inf


def test_a_race_ends_at_once_or_never():
    module, data = _toy()
    assert Race(0.9, most_steps=5).steps(module, data, 0.0, 0) == inf
    solved = Classes(data.X, torch.tensor([1, 1, 0, 0]))
    assert Race(0.9, most_steps=5).steps(module, solved, 0.3, 0) == 0
    with torch.no_grad():
        module.weight.fill_(torch.inf)
    assert Race(0.9, most_steps=5).steps(module, data, 0.3, 0) == inf


def test_networks_are_in_the_standard_parameterisation_of_their_ensemble():
    weights = {}
    for init in ("gaussian", "orthogonal"):
        net = deep_tanh(2, 32, DIGITS, init, 0)
        weights[init] = [p for p in net.parameters() if p.ndim == 2][1].detach()
    for weight in weights.values():
        assert float(weight.square().mean() * 32) == pytest.approx(1.05, rel=0.1)
    product = weights["orthogonal"] @ weights["orthogonal"].T
    torch.testing.assert_close(product, 1.05 * torch.eye(32), atol=1e-5, rtol=0)


def test_what_was_not_reached_is_said():
    results = [
        Result(50, 64, 0.1, (inf, inf, 200.0), (3.0, 4.0, 5.0)),
        Result(50, 64, 0.01, (90.0, 80.0, 70.0), (8.0,) * 3),
    ]
    table = speed_table(results, Race())
    assert table.rows[0][3:] == ("> 300 (200 to > 300)", "4 (3 to 5)", "> 75")
    assert table.rows[1][3:] == ("80 (70 to 90)", "8 (8 to 8)", "10.0")
    assert len(speed_figure(results, Race()).axes[0].lines) == 2 * (1 + 3) + 1


@pytest.mark.parametrize("values", [{"accuracy": 1.0}, {"batch_size": 0}, {"most_steps": 0}], ids=repr)
def test_races_that_cannot_be_are_refused(values):
    with pytest.raises(InvalidInput, match="race"):
        Race(**values)
