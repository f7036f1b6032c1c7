"""Settings of gradient descent: batches, losses, values out of range."""

import numpy as np
import pytest
import torch

from widenet.errors import InvalidInput
from widenet.networks.descent import GradientDescent, per_parameter


def test_an_epoch_takes_every_row_once_in_an_order_of_its_own():
    descent = GradientDescent(0.1, 10, batch_size=5, seed=3)
    epochs = [torch.cat([descent.rows(3 * e + b, 12) for b in range(3)]).tolist() for e in range(2)]
    assert [len(descent.rows(b, 12)) for b in range(3)] == [5, 5, 2]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert epochs[0] != torch.cat([GradientDescent(0.1, 1, 5, seed=4).rows(b, 12) for b in range(3)]).tolist()


def test_losses_of_an_ensemble_are_those_of_its_members():
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(3, 5, 2, generator=generator, dtype=torch.float64)
    targets = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    squared = GradientDescent(0.1, 1).losses(outputs, targets, 10)
    for member, loss in zip(outputs, squared, strict=True):
        # A batch of 5 rows counts twice for 10.
        assert float(loss) == pytest.approx(2 * float(((member - targets) ** 2).sum()) / 2, rel=1e-12)
    classes = torch.tensor([0, 1, 1, 0, 1])
    entropies = GradientDescent(0.1, 1, loss="cross_entropy", reduction="mean").losses(outputs, classes, 10)
    for member, loss in zip(outputs, entropies, strict=True):
        expected = torch.nn.functional.cross_entropy(member, classes)
        assert float(loss) == pytest.approx(float(expected), rel=1e-12)


def test_numbers_for_parameters_are_all_or_one():
    parameters = {"a": torch.zeros(1), "b": torch.zeros(1)}
    assert per_parameter("rate", 2, parameters) == {"a": 2.0, "b": 2.0}
    assert per_parameter("rate", {"b": 1, "a": np.float64(3)}, parameters) == {"a": 3.0, "b": 1.0}
    for value in ({"a": 1.0}, {"a": 1.0, "b": 1.0, "c": 1.0}):
        with pytest.raises(InvalidInput, match="every trained parameter"):
            per_parameter("rate", value, parameters)


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": -1.0},
        {"steps": 3, "batch_size": 0},
        {"steps": 3, "momentum": 1.0},
        {"steps": 3, "weight_decay": np.inf},
        {"steps": 3, "seed": -1},
    ],
    ids=repr,
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InvalidInput):
        GradientDescent(**{"learning_rate": 0.1, "steps": 1} | wrong)
