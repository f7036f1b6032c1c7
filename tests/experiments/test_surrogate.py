"""The experiment from end to end on small settings."""

import csv

import pytest

from widenet.errors import InvalidFile, InvalidInput
from widenet.experiments import surrogate as experiment
from widenet.experiments.surrogate import CLAIMS, Settings, run
from widenet.experiments.surrogate_runs import Case, side_by_side

SMALL = Settings(
    (1, 2), (16, 32), width=24, points=(5, 8), more_depths=(2,), starts=2, nets=4, ratio=1e-2, most_steps=200
)
FILES = {f"{stem}.{kind}" for stem in ("sizes", "new_inputs", "output_scale", "limits") for kind in ("md", "csv")}
FILES |= {f"widths.{kind}" for kind in ("md", "csv", "png", "svg")}


def test_the_experiment_writes_every_table_and_figure(tmp_path):
    calls = []
    outcome = run(tmp_path / "new", SMALL, lambda *call: calls.append(call))
    assert {path.name for path in outcome.files} == FILES | {"surrogate.md"}
    assert all(path.is_file() and path.stat().st_size > 100 for path in outcome.files)
    assert [call[1:] for call in calls] == [(i, 5) for i in range(5)]
    report = (tmp_path / "new" / "surrogate.md").read_text(encoding="utf-8")
    assert CLAIMS in report
    assert outcome.message == CLAIMS
    assert all(table.markdown() in report for table in outcome.tables)
    rows = list(csv.DictReader((tmp_path / "new" / "widths.csv").open(encoding="utf-8")))
    assert [(row["L"], row["m"]) for row in rows] == [("1", "16"), ("1", "32"), ("2", "16"), ("2", "32")]
    limits = list(csv.DictReader((tmp_path / "new" / "limits.csv").open(encoding="utf-8")))
    # spec convergence_theory (f): widths' limits at cosines 0.5, with one and three layers.
    assert [float(row["limit"]) for row in limits if row["cosine"] == "0.5"] == pytest.approx(
        [0.215715592856, 0.597355798122], abs=1e-11
    )
    exact = next(iter(csv.DictReader((tmp_path / "new" / "new_inputs.csv").open(encoding="utf-8"))))
    assert exact["smallest C"] == ""
    assert float(exact["largest, reference"]) < 1e-10


def test_the_table_holds_medians_of_the_runs():
    case = Case(1, 24, points=6)
    runs = [side_by_side(case, 1e-2, 2000, seed) for seed in range(3)]
    table = experiment.comparison_table("Sizes", {case: runs}, 1e-2)
    entry = dict(zip([column.name for column in table.columns], table.rows[0], strict=True))
    assert entry["surrogate steps"] == sorted(pair.surrogate.steps for pair in runs)[1]
    assert entry["ReLU steps"] == sorted(pair.relu.steps for pair in runs)[1]
    assert entry["surrogate drift"] == pytest.approx(0, abs=1e-14)
    assert entry["ReLU drift"] == sorted(pair.relu.records[-1].drift for pair in runs)[1]
    assert entry["conversion error"] == max(pair.certificate.largest_difference for pair in runs)
    assert entry["n² L"] == 36
    few = [side_by_side(case, 1e-6, 3, seed) for seed in range(3)]
    row = experiment.comparison_table("Sizes", {case: few}, 1e-6).rows[0]
    assert row[6:8] == (None, None)  # no run converged in three steps


def test_the_seed_reaches_every_part_and_equal_seeds_give_equal_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "save_figure", lambda *arguments: ())
    for name, seed in (("a", 0), ("b", 0), ("c", 7)):
        run(tmp_path / name, Settings(**{**vars(SMALL), "seed": seed}))
    for stem in ("widths", "sizes", "new_inputs", "output_scale", "limits"):
        first, again, other = ((tmp_path / name / f"{stem}.csv").read_text() for name in "abc")
        assert first == again
        assert first != other


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidFile, match="one to write to"):
        run(tmp_path / "file", SMALL)


@pytest.mark.parametrize(
    "settings", [{"depths": ()}, {"points": ()}, {"starts": 0}, {"nets": 1}, {"width": 0}, {"seed": -1}], ids=repr
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(InvalidInput):
        Settings(**settings)


def test_quick_settings_keep_the_asked_numbers():
    settings = Settings.quick(width=40, seed=4)
    assert (settings.width, settings.seed) == (40, 4)
    assert settings.starts == 1 < Settings().starts
