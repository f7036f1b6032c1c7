"""The experiment from end to end on small settings."""

import csv

import pytest

from widenet.errors import InvalidFile, InvalidInput
from widenet.experiments.efficient_ntk import CLAIMS, Settings, run, step_times
from widenet.experiments.efficient_training import random_set

SMALL = Settings(
    width=256,
    points=24,
    random_target=0.1,
    rows=60,
    real_target=0.2,
    step_sizes=((256, 16),),
    ranks=(16,),
    draws=12,
    monte_carlo_width=128,
)
TABLES = ("training_random", "training_real", "step_times", "concentration", "spectra", "block")


def test_the_experiment_writes_every_table_and_figure(tmp_path):
    calls = []
    outcome = run(tmp_path / "new", SMALL, lambda *call: calls.append(call))
    names = {f"{stem}.{kind}" for stem in TABLES for kind in ("md", "csv")}
    names |= {"training.png", "training.svg", "efficient_ntk.md"}
    assert {path.name for path in outcome.files} == names
    assert all(path.is_file() and path.stat().st_size > 100 for path in outcome.files)
    assert [call[1:] for call in calls] == [(i, 3) for i in range(3)]
    report = (tmp_path / "new" / "efficient_ntk.md").read_text(encoding="utf-8")
    assert CLAIMS in report
    assert outcome.message == CLAIMS
    assert all(table.markdown() in report for table in outcome.tables)
    rows = list(csv.DictReader((tmp_path / "new" / "training_real.csv").open(encoding="utf-8")))
    assert rows[0]["hidden layer"] == "dense"
    assert int(rows[0]["trained"]) == 256 * 64
    assert 0 <= float(rows[0]["test error"]) < 0.5  # one in ten is right by chance


def test_steps_are_timed():
    times = step_times(256, 16, random_set(20, 16, 0).X, rounds=1)
    assert set(times) == {"dense", "gaussian", "hadamard"}
    assert all(0 < value < 10 for value in times.values())


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidFile, match="one to write to"):
        run(tmp_path / "file", SMALL)


@pytest.mark.parametrize(
    "settings", [{"width": 3}, {"points": 4}, {"rows": 5}, {"draws": 2}, {"ranks": ()}, {"seed": -1}], ids=repr
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(InvalidInput):
        Settings(**settings)


def test_quick_settings_keep_the_asked_numbers(tmp_path):
    settings = Settings.quick(width=300, data=tmp_path, seed=4)
    assert (settings.width, settings.data, settings.seed) == (300, tmp_path, 4)
    assert settings.draws < Settings().draws
