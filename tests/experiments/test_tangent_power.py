"""The experiment from end to end on small settings."""

import csv

import pytest

from widenet.errors import InvalidFile, InvalidInput
from widenet.experiments import tangent_power as experiment
from widenet.experiments.tangent_power import CLAIMS, Settings, run

SMALL = Settings(
    problems=((10, 3, 0.5, 20), (9, 2, 0.0, 10)),
    width=16,
    kernel_points=50,
    test_points=100,
    centre=(8, 3, 0.5, 10),
    alphas=(0.0, 0.5),
    degrees=(2, 3),
    widths=(8, 16),
    enumerated=5,
    counts=(500, 3000),
    runs=2,
    leak_steps=2,
)
FILES = {f"{stem}.{kind}" for stem in ("parities", "edges", "certificates", "leak") for kind in ("md", "csv")}
FILES |= {f"{stem}.{kind}" for stem in ("dimension_bound", "norm_bound") for kind in ("md", "csv")}
FILES |= {f"{stem}.{kind}" for stem in ("sweeps", "recovery") for kind in ("md", "csv", "png", "svg")}


def test_the_experiment_writes_every_table_and_figure(tmp_path):
    calls = []
    outcome = run(tmp_path / "new", SMALL, lambda *call: calls.append(call))
    assert {path.name for path in outcome.files} == FILES | {"tangent_power.md"}
    assert all(path.is_file() and path.stat().st_size > 100 for path in outcome.files)
    assert [call[1:] for call in calls] == [(i, 5) for i in range(5)]
    report = (tmp_path / "new" / "tangent_power.md").read_text(encoding="utf-8")
    assert CLAIMS in report
    assert outcome.message == CLAIMS
    assert len(outcome.tables) == 8
    assert all(table.markdown() in report for table in outcome.tables)
    rows = list(csv.DictReader((tmp_path / "new" / "parities.csv").open(encoding="utf-8")))
    assert [(row["n"], row["k"]) for row in rows] == [("10", "3"), ("9", "2")]


def test_the_seed_reaches_every_random_part_and_equal_seeds_give_equal_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "save_figure", lambda *arguments: ())
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / name, Settings(**{**vars(SMALL), "seed": seed}))
    for stem in ("parities", "sweeps", "certificates", "dimension_bound", "leak"):
        first, again, other = ((tmp_path / name / f"{stem}.csv").read_text() for name in "abc")
        assert first == again
        assert first != other


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidFile, match="one to write to"):
        run(tmp_path / "file", SMALL)


@pytest.mark.parametrize(
    "settings",
    [{"problems": ()}, {"width": 7}, {"widths": (8, 9)}, {"kernel_points": 1}, {"enumerated": 13}, {"seed": -1}],
    ids=repr,
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(InvalidInput):
        Settings(**settings)


def test_quick_settings_keep_the_asked_numbers():
    settings = Settings.quick(width=32, seed=4)
    assert (settings.width, settings.seed) == (32, 4)
    assert len(settings.problems) == 2 < len(Settings().problems)
