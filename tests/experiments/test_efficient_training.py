"""Sets to learn, the networks that are compared, and their tables."""

import gzip

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from widenet.errors import InvalidFile
from widenet.experiments.efficient_training import (
    layers_of,
    random_set,
    real_set,
    step_table,
    training_figure,
    training_table,
)
from widenet.networks import TrainingPlan, compare_training


def test_random_points_lie_on_the_sphere():
    learned = random_set(20, 12, seed=3)
    assert learned.X.shape == (20, 12)
    np.testing.assert_allclose(learned.X.norm(dim=1).numpy(), 1, rtol=1e-6)
    assert set(learned.Y[:, 0].tolist()) == {-1.0, 1.0}
    assert learned.test is None
    assert torch.equal(random_set(20, 12, seed=3).X, learned.X)
    assert not torch.equal(random_set(20, 12, seed=4).X, learned.X)


def test_digits_are_split_without_overlap():
    learned = real_set(None, 1297, seed=0)
    assert learned.test is not None
    test, targets = learned.test
    assert (learned.X.shape, test.shape) == ((1297, 64), (500, 64))
    rows = np.round(torch.cat([learned.X, test]).double().numpy(), 5)
    distinct = len(np.unique(load_digits().data, axis=0))
    assert len(np.unique(rows, axis=0)) == distinct  # every digit is on one side, once
    np.testing.assert_allclose(targets.sum(1).numpy(), 0, atol=1e-6)
    assert (targets.max(1).values == 0.9).all()


def test_sets_come_from_files(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "blobs.npz", X=rng.normal(size=(60, 5)), y=np.arange(60) % 3)
    learned = real_set(tmp_path / "blobs.npz", 40, seed=1)
    assert learned.name.startswith("blobs, 40 rows in 5")
    assert learned.test[0].shape == (20, 5)
    for part, count in (("train", 30), ("t10k", 10)):
        for kind, values in (
            ("images-idx3", rng.integers(0, 255, (count, 4, 4))),
            ("labels-idx1", np.arange(count) % 2),
        ):
            head = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
            content = gzip.compress(head + values.astype(np.uint8).tobytes())
            (tmp_path / f"{part}-{kind}-ubyte.gz").write_bytes(content)
    images = real_set(tmp_path, 20, seed=1)
    assert (images.X.shape, images.test[0].shape) == ((20, 16), (10, 16))
    for broken in (tmp_path / "absent.npz", tmp_path / "t10k-labels-idx1-ubyte.gz"):
        with pytest.raises(InvalidFile, match="npz"):
            real_set(broken, 20, seed=0)


def test_the_tables_say_what_the_runs_took():
    learned = random_set(20, 16, seed=0)
    layers = layers_of([8], [8, 16], [8], [])
    assert list(layers) == ["dense", "I, Gaussian, rank 8", "I, Hadamard, rank 8", "I, Hadamard, rank 16", "O, rank 8"]
    runs = compare_training(learned.X, learned.Y, layers, TrainingPlan(width=512, target=0.05, most_steps=60))
    table = training_table(learned, runs, 0.05)
    assert [row[0] for row in table.rows] == list(layers)
    assert table.rows[0][1] == 512 * 16
    assert table.rows[0][9] == 1.0
    assert table.rows[2][1] == 8 * 16
    assert table.rows[1][6] == (runs[1].steps if runs[1].reached else f"not in {runs[1].steps}")
    assert len(training_figure([(learned, runs)]).axes) == 1
    times = {"dense": 0.004, "gaussian": 0.002, "hadamard": 0.001}
    assert step_table([(512, 16, times)], 20, 16).rows == ((512, 16, 4.0, 2.0, 1.0, 2.0, 4.0),)
