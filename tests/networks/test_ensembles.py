"""Members of an ensemble against the same networks trained one by one."""

import numpy as np
import pytest
import torch
from torch import nn

from widenet.errors import InvalidInput
from widenet.networks.checkpoints import Checkpoint
from widenet.networks.descent import GradientDescent
from widenet.networks.ensembles import Centred, Ensemble
from widenet.networks.training import predict, train

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(9, 3)), rng.normal(size=(9, 2))
SEEDS = [3, 1, 4]


def network(seed):
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    module[0].bias.requires_grad_(False)
    return module


def test_members_train_as_they_would_alone():
    descent = GradientDescent(0.02, 25, batch_size=4, momentum=0.5, weight_decay=0.1, seed=2)
    ensemble = Ensemble.of(network, SEEDS)
    history = train(ensemble, X, Y, descent)
    together, members = predict(ensemble, X), ensemble.members()
    for index, seed in enumerate(SEEDS):
        alone = network(seed)
        expected = train(alone, X, Y, descent)
        np.testing.assert_allclose(history.losses[:, index], expected.losses, rtol=1e-11)
        np.testing.assert_allclose(together[index], predict(alone, X), rtol=0, atol=1e-12)
        np.testing.assert_allclose(predict(members[index], X), together[index], rtol=0, atol=1e-14)
        assert history.final_loss[index] == pytest.approx(float(expected.final_loss), rel=1e-11)
    assert not np.allclose(together[0], together[1])


def test_parameters_keep_their_names_and_whether_they_are_trained():
    ensemble = Ensemble.of(network, SEEDS)
    alone = dict(network(0).named_parameters())
    found = dict(ensemble.named_parameters())
    assert found.keys() == alone.keys()
    assert {name: p.requires_grad for name, p in found.items()} == {n: p.requires_grad for n, p in alone.items()}
    rates = {name: 0.01 for name, p in alone.items() if p.requires_grad}
    assert train(ensemble, X, Y, GradientDescent(rates, 2)).ending == "finished"


def test_an_ensemble_goes_on_from_its_checkpoint(tmp_path):
    resumed, whole = Ensemble.of(network, SEEDS), Ensemble.of(network, SEEDS)
    train(Ensemble.of(network, SEEDS), X, Y, GradientDescent(0.02, 4), checkpoint=Checkpoint(tmp_path / "run"))
    train(resumed, X, Y, GradientDescent(0.02, 9), checkpoint=Checkpoint(tmp_path / "run"))
    train(whole, X, Y, GradientDescent(0.02, 9))
    assert np.array_equal(predict(resumed, X), predict(whole, X))


def test_a_module_without_an_axis_of_outputs_gets_one():
    ensemble = Ensemble([nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)) for _ in range(2)])
    assert ensemble(torch.ones(4, 3)).shape == (2, 4, 1)


def test_an_ensemble_needs_members():
    with pytest.raises(InvalidInput, match="members"):
        Ensemble([])


def test_a_centred_network_starts_at_zero_and_moves_as_the_difference_does():
    module = network(0)
    centred = Centred(module)
    assert np.array_equal(predict(centred, X), np.zeros((9, 2)))
    before = predict(module, X)
    train(centred, X, Y, GradientDescent(0.02, 30))
    # Training f - f_0 on y is training f on y + f_0.
    other = network(0)
    train(other, X, Y + before, GradientDescent(0.02, 30))
    np.testing.assert_allclose(predict(centred, X), predict(other, X) - before, rtol=0, atol=1e-12)
    np.testing.assert_allclose(predict(centred.start, X), before)


def test_centred_networks_form_ensembles():
    ensemble = Ensemble.of(lambda seed: Centred(network(seed)), SEEDS)
    train(ensemble, X, Y, GradientDescent(0.02, 5))
    alone = Centred(network(SEEDS[1]))
    train(alone, X, Y, GradientDescent(0.02, 5))
    np.testing.assert_allclose(predict(ensemble, X)[1], predict(alone, X), rtol=0, atol=1e-12)
