"""Training against plain loops and closed forms; runs that are killed and go on."""

import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from widenet import fully_connected
from widenet import network as finite
from widenet.errors import InvalidInput
from widenet.kernels.progress import progress
from widenet.networks.checkpoints import Checkpoint
from widenet.networks.descent import GradientDescent, group_numbers
from widenet.networks.parameterization import layerwise_weight_decay
from widenet.networks.training import Recorder, predict, train

rng = np.random.default_rng(0)
X = rng.normal(size=(12, 3))
Y = rng.normal(size=(12, 2))


def network(seed=0, width=8, outputs=2):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, outputs)).double()


def state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def plain_loop(module, steps, rate, *, momentum=0.0, decay=0.0, to_start=False, mean=False):
    """Gradient descent written out; the sum over rows and outputs of squares / 2."""
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    start = [p.detach().clone() for p in module.parameters()]
    velocity = [torch.zeros_like(p) for p in module.parameters()]
    losses = []
    for _ in range(steps):
        module.zero_grad()
        loss = ((module(x) - y) ** 2).sum() / 2 / (len(x) if mean else 1)
        losses.append(float(loss.detach()))
        loss.backward()
        with torch.no_grad():
            for p, v, c in zip(module.parameters(), velocity, start, strict=True):
                v.copy_(momentum * v + p.grad + decay * (p - c if to_start else p))
                p.copy_(p - rate * v)
    return losses


@pytest.mark.parametrize(
    ("options", "plain"),
    [
        ({}, {}),
        ({"momentum": 0.9}, {"momentum": 0.9}),
        ({"weight_decay": 0.3}, {"decay": 0.3}),
        ({"weight_decay": 0.3, "decay_to": "start"}, {"decay": 0.3, "to_start": True}),
        ({"reduction": "mean", "momentum": 0.5, "weight_decay": 0.1}, {"mean": True, "momentum": 0.5, "decay": 0.1}),
    ],
    ids=repr,
)
def test_steps_are_those_of_a_plain_loop(options, plain):
    module, other = network(), network()
    history = train(module, X, Y, GradientDescent(0.02, 20, **options))
    losses = plain_loop(other, 20, 0.02, **plain)
    np.testing.assert_allclose(history.losses, losses, rtol=1e-12)
    for name, tensor in other.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], tensor, rtol=1e-12, atol=1e-14)
    assert history.steps == 20
    assert history.ending == "finished"
    scale = len(X) if plain.get("mean") else 1
    expected = float(((other(torch.from_numpy(X)) - torch.from_numpy(Y)) ** 2).sum().detach()) / 2 / scale
    assert float(history.final_loss) == pytest.approx(expected, rel=1e-12)


def test_each_parameter_can_have_a_rate_and_a_decay_of_its_own():
    module, other = network(), network()
    rates = {"0.weight": 0.01, "0.bias": 0.0, "2.weight": 0.03, "2.bias": 0.02}
    decays = {"0.weight": 0.1, "0.bias": 0.2, "2.weight": 0.0, "2.bias": 0.5}
    train(module, X, Y, GradientDescent(rates, 7, weight_decay=decays))
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    for _ in range(7):
        other.zero_grad()
        (((other(x) - y) ** 2).sum() / 2).backward()
        with torch.no_grad():
            for name, p in other.named_parameters():
                p.copy_(p - rates[name] * (p.grad + decays[name] * p))
    for name, tensor in other.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], tensor, rtol=1e-12, atol=1e-14)
    with pytest.raises(InvalidInput, match=r"2\.bias"):
        train(module, X, Y, GradientDescent(dict.fromkeys(list(rates)[:3], 0.1), 1))


def test_the_gradients_of_the_batches_of_an_epoch_average_to_that_of_all_rows():
    # A module that is linear in its parameters; rates so small that the steps of an epoch add up.
    for reduction in ("sum", "mean"):
        moved = []
        for batch, steps in ((None, 1), (4, 3)):
            module = nn.Linear(3, 2, bias=False, dtype=torch.float64)
            nn.init.zeros_(module.weight)
            train(module, X, Y, GradientDescent(1e-9, steps, batch_size=batch, reduction=reduction))
            moved.append(module.weight.detach().numpy() / steps)
        np.testing.assert_allclose(moved[1], moved[0], rtol=1e-6)


def test_cross_entropy_is_that_of_torch():
    labels = np.arange(12) % 2
    module, other = network(), network()
    history = train(module, X, labels, GradientDescent(0.05, 5, loss="cross_entropy", reduction="mean"))
    optimizer = torch.optim.SGD(other.parameters(), lr=0.05)
    for step in range(5):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(other(torch.from_numpy(X)), torch.from_numpy(labels))
        assert history.losses[step] == pytest.approx(float(loss.detach()), rel=1e-12)
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose(predict(module, X), predict(other, X), rtol=1e-12)


def test_training_ends_at_the_target_and_where_it_diverges():
    history = train(network(), X, Y, GradientDescent(0.02, 500, target_loss=2.0))
    assert history.ending == "reached"
    assert history.losses[-1] <= 2.0 < history.losses[-2]
    assert history.steps == len(history.losses) - 1
    assert train(network(), X, Y, GradientDescent(1e200, 50)).ending == "diverged"


def test_the_recorder_sees_the_start_every_few_steps_and_the_end():
    seen = Recorder(lambda step, module: float(module[0].weight[0, 0].detach()), every=4)
    module = network()
    first = float(module[0].weight[0, 0].detach())
    history = train(module, X, Y, GradientDescent(0.02, 10), seen)
    assert [step for step, _ in history.records] == [0, 4, 8, 10]
    assert history.records[0][1] == first
    assert history.records[-1][1] == float(module[0].weight[0, 0].detach())


@pytest.mark.parametrize("decay", [0.0, 0.02])
def test_both_parameterisations_are_one_with_rates_and_penalties_for_each_layer(decay):
    """One rate and penalty for omega, beta; eta s^2 and decay / s^2 for W, b, with s = weight_std / sqrt(n)."""
    arch = fully_connected(2, weight_std=1.3, bias_std=0.4)
    ntk, standard, plain = (
        finite(arch, 3, width=16, outputs=2, parameterization=kind, dtype=torch.float64)
        for kind in ("ntk", "standard", "standard")
    )
    groups = layerwise_weight_decay(standard, decay, learning_rate=0.02)
    rates, decays = (group_numbers(standard, groups, key) for key in ("lr", "weight_decay"))
    first = train(ntk, X, Y, GradientDescent(0.02, 50, weight_decay=decay))
    second = train(standard, X, Y, GradientDescent(rates, 50, weight_decay=decays))
    np.testing.assert_allclose(first.losses, second.losses, rtol=1e-12)
    np.testing.assert_allclose(predict(ntk, X), predict(standard, X), rtol=0, atol=1e-12)
    train(plain, X, Y, GradientDescent(0.02, 50, weight_decay=decay))
    assert np.abs(predict(plain, X) - predict(ntk, X)).max() > 1e-3
    scales = {"0.weight": 1.3**2 / 3, "2.weight": 1.3**2 / 16, "4.weight": 1.3**2 / 16}
    assert {name: rates[name] for name in scales} == pytest.approx({n: 0.02 * s for n, s in scales.items()})
    assert rates["0.bias"] == pytest.approx(0.02 * 0.4**2)


def with_dropout():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 2)).double()


@pytest.mark.parametrize("make", [network, with_dropout])
def test_equal_seeds_give_equal_bits_and_a_resumed_run_those_of_a_whole_one(make, tmp_path):
    def settings(steps):
        return GradientDescent(0.01, steps, batch_size=5, momentum=0.9, weight_decay=0.1, decay_to="start", seed=7)

    def norm(step, module):
        return {"norm": float(sum(p.detach().square().sum() for p in module.parameters()))}

    noted = Recorder(norm, 3)
    whole = make()
    expected = train(whole, X, Y, settings(20), noted)
    torch.manual_seed(99)  # the caller's own random numbers play no part
    stopped, checkpoint = make(), Checkpoint(tmp_path / "run", every=4)
    train(stopped, X, Y, settings(11), noted, checkpoint)
    torch.manual_seed(5)
    again = make()
    history = train(again, X, Y, settings(20), noted, checkpoint)
    assert_same(state(again), state(whole))
    assert np.array_equal(history.losses, expected.losses)
    assert history.records == expected.records
    third = make()  # of a finished run nothing is left to do
    assert np.array_equal(train(third, X, Y, settings(20), noted, checkpoint).losses, expected.losses)
    assert_same(state(third), state(whole))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def script(path):
    """What a process of its own runs: slow beyond step 20, so that it can be killed there."""
    return f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_training import KILLED, X, Y, Checkpoint, Recorder, network, train

def look(step, module):
    if step > 20:
        print("beyond", flush=True)
        time.sleep(0.05)
    return step

train(network(), X, Y, KILLED, Recorder(look), Checkpoint({str(path)!r}, every=3))
"""


KILLED = GradientDescent(0.01, 60, batch_size=5, momentum=0.9)


def test_a_killed_process_goes_on_bit_for_bit(tmp_path):
    path = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", script(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "beyond\n"
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    asked = []
    seen = Recorder(lambda step, module: asked.append(step) or step)
    resumed, whole = network(), network()
    history = train(resumed, X, Y, KILLED, seen, Checkpoint(path))
    assert 18 <= asked[0] < 60  # it went on from the middle
    expected = train(whole, X, Y, KILLED)
    assert_same(state(resumed), state(whole))
    assert np.array_equal(history.losses, expected.losses)
    assert [step for step, _ in history.records] == list(range(61))


def test_ctrl_c_leaves_whole_steps_and_the_handler_that_was_there(tmp_path):
    before, checkpoint = signal.getsignal(signal.SIGINT), Checkpoint(tmp_path / "run", every=1000)

    def press(step, module):
        if step == 5:
            signal.raise_signal(signal.SIGINT)
        return step

    module, other = network(), network()
    with pytest.raises(KeyboardInterrupt):
        train(module, X, Y, GradientDescent(0.01, 50), Recorder(press), checkpoint)
    assert signal.getsignal(signal.SIGINT) is before
    train(other, X, Y, GradientDescent(0.01, 6))
    assert_same(state(module), state(other))
    resumed, whole = network(), network()
    train(resumed, X, Y, GradientDescent(0.01, 50), checkpoint=checkpoint)
    train(whole, X, Y, GradientDescent(0.01, 50))
    assert_same(state(resumed), state(whole))


def test_predictions_are_in_evaluation_mode_and_in_blocks():
    module = with_dropout()
    whole = predict(module, X)
    np.testing.assert_allclose(predict(module, X, batch_size=5), whole, rtol=1e-12)
    assert np.array_equal(whole, predict(module, X))
    assert module.training


def test_rows_that_do_not_fit_are_refused_before_the_first_step(tmp_path):
    descent = GradientDescent(0.1, 3)
    module = network()
    before = state(module)
    bad = X.copy()
    bad[3, 1] = np.nan
    for rows, targets, settings in (
        (bad, Y, descent),
        (X, Y[:5], descent),
        (X, np.where(Y > 2, np.inf, np.nan), descent),
        (X, Y[:, :1], descent),
        (X, np.arange(12), GradientDescent(0.1, 3, loss="cross_entropy")),
        (X, Y, GradientDescent(0.1, 3, loss="cross_entropy")),
        ([["a"]], Y, descent),
    ):
        with pytest.raises(InvalidInput):
            train(module, rows, targets, settings)
    with pytest.raises(InvalidInput, match="require gradients"):
        train(network().requires_grad_(False), X, Y, descent)
    with pytest.raises(InvalidInput, match="JSON"):
        train(module, X, Y, descent, Recorder(lambda step, module: module), Checkpoint(tmp_path / "run"))
    assert before.keys() == state(module).keys()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_long_run_tells_how_far_it_is():
    shown = Terminal()
    with progress(shown):
        train(network(), X, Y, GradientDescent(0.001, 2), Recorder(lambda step, module: time.sleep(0.25)))
    assert "of 2 blocks" in shown.getvalue()
