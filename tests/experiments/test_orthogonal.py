"""The experiment from end to end on small settings."""

import csv

import numpy as np
import pytest

from widenet.architectures import Erf, fully_connected
from widenet.errors import InvalidFile, InvalidInput
from widenet.experiments import orthogonal as experiment
from widenet.experiments.orthogonal import CLAIMS, Settings, kernel_table, run
from widenet.experiments.training_speed import Race
from widenet.kernels import NTK
from widenet.networks import monte_carlo_ntk

SMALL = Settings(
    layers=(2,),
    draws=20,
    ensemble=(6, 3),
    deep=(4, 5),
    kernel_draws=2,
    drift_widths=(4, 8, 16),
    drift_points=8,
    drift_steps=2,
    lazy_shape=(1, 8),
    lazy_points=8,
    rates=(0.1, 0.01),
    race_shape=(2, 8),
    race_shapes=((1, 8),),
    race=Race(most_steps=4),
    seeds=2,
)
TABLES = (
    "tensors",
    "tensors_measured",
    "tensors_deep",
    "monte_carlo_kernels",
    "drift",
    "lazy",
    "speed",
    "speed_shapes",
)
FILES = {f"{stem}.{kind}" for stem in TABLES for kind in ("md", "csv")}
FILES |= {f"{stem}.{kind}" for stem in ("tensors", "drift", "speed") for kind in ("png", "svg")}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run with all figures: its outcome, its folder, the calls of its progress."""
    folder, calls = tmp_path_factory.mktemp("orthogonal") / "new", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "kernel_table", _small_kernel_table)
        return run(folder, SMALL, lambda *call: calls.append(call)), folder, calls


def _small_kernel_table(width: int, draws: int, seed: int):
    assert (width, draws) == (128, SMALL.kernel_draws)
    return kernel_table(8, draws, seed)


def test_the_experiment_writes_every_table_and_figure(first):
    outcome, folder, calls = first
    assert {path.name for path in outcome.files} == FILES | {"orthogonal.md"}
    assert all(path.is_file() and path.stat().st_size > 60 for path in outcome.files)
    assert [call[1:] for call in calls] == [(i, 5) for i in range(5)]
    report = (folder / "orthogonal.md").read_text(encoding="utf-8")
    assert CLAIMS in report
    assert outcome.message == CLAIMS
    assert len(outcome.tables) == len(TABLES)
    assert all(table.markdown() in report for table in outcome.tables)
    rows = list(csv.DictReader((folder / "tensors_measured.csv").open(encoding="utf-8")))
    assert {row["layer"] for row in rows} == {"1", "2", "3"}


def test_the_seed_reaches_every_part_and_equal_seeds_give_equal_numbers(first, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "kernel_table", _small_kernel_table)
    for name in ("tensor_figure", "drift_figure", "speed_figure", "save_figure"):
        monkeypatch.setattr(experiment, name, lambda *arguments: ())
    for name, seed in (("again", 0), ("other", 7)):
        run(tmp_path / name, Settings(**{**vars(SMALL), "seed": seed}))
    for stem in ("tensors_measured", "tensors_deep", "monte_carlo_kernels", "drift", "lazy"):
        folders = (first[1], tmp_path / "again", tmp_path / "other")
        texts = [(folder / f"{stem}.csv").read_text() for folder in folders]
        assert texts[0] == texts[1]
        assert texts[0] != texts[2]


def test_kernels_of_both_ensembles_are_compared_with_the_exact_one():
    points = np.random.default_rng(0).standard_normal((20, 128))
    arch = fully_connected(3, Erf(), weight_std=1.5, bias_std=0.1)
    limit, name = NTK(arch)(points), "erf, 3 layers"
    row = {row[0]: row for row in kernel_table(16, 3, 0).rows}[name]
    found = [monte_carlo_ntk(arch, points, width=16, draws=3, init=init) for init in ("gaussian", "orthogonal")]
    errors = [np.linalg.norm(estimate.mean - limit) / np.linalg.norm(limit) for estimate in found]
    gaussian, orthogonal = (estimate.spread for estimate in found)
    assert row[1:] == pytest.approx((gaussian, orthogonal, (gaussian / orthogonal) ** 2, *errors))


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidFile, match="one to write to"):
        run(tmp_path / "file", SMALL)


@pytest.mark.parametrize(
    "settings",
    [{"draws": 1}, {"kernel_draws": 1}, {"seeds": 1}, {"layers": ()}, {"drift_widths": (4, 8)}, {"seed": -1}],
    ids=repr,
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(InvalidInput):
        Settings(**settings)


def test_quick_settings_keep_the_asked_numbers():
    settings = Settings.quick(draws=50, seed=4)
    assert (settings.draws, settings.seed, list(settings.all_seeds)) == (50, 4, [4, 5])
    assert list(settings.lazy_seeds) == [4, 5, 6, 7]
    assert settings.deep is None
