"""Files of training runs: foreign, corrupt, of another run."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from widenet.errors import FingerprintMismatch, InvalidFile, InvalidInput
from widenet.networks.checkpoints import Checkpoint, run_identity
from widenet.networks.descent import GradientDescent
from widenet.networks.training import train

X = np.random.default_rng(0).normal(size=(6, 3))
Y = X[:, :2]


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Linear(3, 2).double()


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run")
    train(network(), X, Y, GradientDescent(0.01, 3), checkpoint=checkpoint)
    for module, rows, descent in (
        (network(1), X, GradientDescent(0.01, 3)),
        (network(), X + 1, GradientDescent(0.01, 3)),
        (network(), X, GradientDescent(0.02, 3)),
    ):
        with pytest.raises(FingerprintMismatch):
            train(module, rows, Y, descent, checkpoint=checkpoint)


def test_a_file_cut_short_or_foreign_is_refused(tmp_path):
    path = tmp_path / "run"
    train(network(), X, Y, GradientDescent(0.01, 3), checkpoint=Checkpoint(path))
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"garbage" * 50):
        path.write_bytes(content)
        with pytest.raises(InvalidFile):
            train(network(), X, Y, GradientDescent(0.01, 3), checkpoint=Checkpoint(path))
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(InvalidFile, match="foreign"):
        train(network(), X, Y, GradientDescent(0.01, 3), checkpoint=Checkpoint(path))


def test_a_folder_that_is_missing_is_told(tmp_path):
    with pytest.raises(InvalidFile, match="written"):
        train(network(), X, Y, GradientDescent(0.01, 3), checkpoint=Checkpoint(tmp_path / "missing" / "run"))


def test_tied_parameters_are_saved_and_read(tmp_path):
    def tied():
        module = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)).double()
        nn.init.eye_(module[0].weight)
        module[1].weight = module[0].weight
        return module

    checkpoint, resumed, whole = Checkpoint(tmp_path / "run"), tied(), tied()
    train(tied(), X, X, GradientDescent(0.01, 3), checkpoint=checkpoint)
    train(resumed, X, X, GradientDescent(0.01, 6), checkpoint=checkpoint)
    train(whole, X, X, GradientDescent(0.01, 6))
    assert torch.equal(resumed[1].weight, whole[1].weight)
    assert resumed[1].weight is resumed[0].weight


def test_the_identity_leaves_the_number_of_steps_open():
    data, state = (torch.zeros(2, 1), torch.zeros(2, 1)), {"a": torch.ones(2)}
    first = run_identity(GradientDescent({"a": 0.1}, 3), state, data)
    assert run_identity(GradientDescent({"a": np.float64(0.1)}, 9, target_loss=0.1), state, data) == first
    assert run_identity(GradientDescent({"a": 0.1}, 3), {"a": torch.zeros(2)}, data) != first
    assert run_identity(GradientDescent({"a": 0.1}, 3, seed=1), state, data) != first


def test_a_checkpoint_is_written_every_few_steps():
    with pytest.raises(InvalidInput):
        Checkpoint("run", every=0)
