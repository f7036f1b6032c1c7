"""A small set of time series for the tests of the recurrent-kernel experiment."""

import numpy as np

from widenet.experiments.series_data import SeriesSet


def waves(name="Waves", train=20, test=12, channels=1, ragged=False):
    """Noisy slow and fast waves of 14 steps, the last ones cut in a ragged set."""
    rng = np.random.default_rng(len(name))
    series, labels = [], np.arange(train + test) % 2
    for i in range(train + test):
        t = np.arange(14 - (i % 3 if ragged else 0)) + rng.uniform(0, 6)
        series.append(np.sin((1 + labels[i]) * t / 3)[:, None] + 0.4 * rng.normal(size=(len(t), channels)))
    return SeriesSet(name, series[:train], labels[:train], series[train:], labels[train:], ("1", "2"))


def save(folder, data):
    """The set as an .npz file of a folder."""
    arrays = {"X_train": np.stack(data.train), "X_test": np.stack(data.test)}
    np.savez(folder / f"{data.name}.npz", y_train=data.y_train, y_test=data.y_test, **arrays)
