"""The experiment from end to end on small settings."""

import csv

import pytest

from widenet.errors import InvalidFile, InvalidInput
from widenet.experiments import bias_sparsity
from widenet.experiments.bias_sparsity import CLAIMS, Settings, run
from widenet.experiments.threshold_accuracy import wine
from widenet.experiments.threshold_spectra import threshold_spectra

SMALL = Settings(
    thresholds=(1.0,),
    points=10,
    dimension=5,
    width=200,
    target=0.1,
    bound_thresholds=(1.0,),
    spectrum_thresholds=(1.0,),
    k_max=10,
    accuracy_thresholds=(0.0, 2.0),
    most_rows=40,
)
FILES = {f"{stem}.{kind}" for stem in ("training", "spectra") for kind in ("md", "csv", "png", "svg")}
FILES |= {f"{stem}.{kind}" for stem in ("eigenvalue_bounds", "accuracy") for kind in ("md", "csv")}


def test_the_experiment_writes_every_table_and_figure(tmp_path):
    calls = []
    outcome = run(tmp_path / "new", SMALL, lambda *call: calls.append(call))
    assert {path.name for path in outcome.files} == FILES | {"bias_sparsity.md"}
    assert all(path.is_file() and path.stat().st_size > 100 for path in outcome.files)
    assert [call[1:] for call in calls] == [(i, 4) for i in range(4)]
    report = (tmp_path / "new" / "bias_sparsity.md").read_text(encoding="utf-8")
    assert CLAIMS in report
    assert outcome.message == CLAIMS
    assert len(outcome.tables) == 4
    assert all(table.markdown() in report for table in outcome.tables)
    rows = list(csv.DictReader((tmp_path / "new" / "accuracy.csv").open(encoding="utf-8")))
    assert [(row["data"], row["B"], row["rows"]) for row in rows] == [
        ("wine", "0.0", "178"),
        ("wine", "2.0", "178"),
        ("digits", "0.0", "40"),
        ("digits", "2.0", "40"),
    ]


def test_the_seed_reaches_the_random_parts(tmp_path, monkeypatch):
    (X, labels), curves = wine(), threshold_spectra((1.0,), (3,), 10)
    monkeypatch.setattr(bias_sparsity, "wine", lambda: (X[::9], labels[::9]))
    monkeypatch.setattr(bias_sparsity, "save_figure", lambda *arguments: ())
    monkeypatch.setattr(bias_sparsity, "threshold_spectra", lambda *arguments: curves)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / name, Settings(**{**vars(SMALL), "seed": seed}))
    first, again, other = ((tmp_path / name / "eigenvalue_bounds.csv").read_text() for name in "abc")
    assert first == again
    assert first != other
    # All of the row of training but the time.
    first, again, other = ((tmp_path / name / "training.csv").read_text().rsplit(",", 1)[0] for name in "abc")
    assert first == again
    assert first != other


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidFile, match="one to write to"):
        run(tmp_path / "file", SMALL)


@pytest.mark.parametrize(
    "settings",
    [{"thresholds": ()}, {"points": 1}, {"width": 7}, {"k_max": 5}, {"most_rows": 3}, {"seed": -1}],
    ids=repr,
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(InvalidInput):
        Settings(**settings)


def test_quick_settings_keep_the_asked_numbers():
    settings = Settings.quick(width=300, seed=4)
    assert (settings.width, settings.seed) == (300, 4)
    assert settings.most_rows < Settings().most_rows
