"""The experiment from end to end on small settings, and its table of variances."""

import csv

import pytest

from widenet.errors import InvalidInput
from widenet.experiments import sketching as experiment
from widenet.experiments.sketching import CLAIMS, Settings, run, variance_table
from widenet.experiments.sketching_maps import methods

SMALL = Settings(depth=1, sizes=(48, 96), seeds=2, rows=40, accuracy_sizes=(48,), draws=2, units=(64,))


def test_the_experiment_writes_every_table_and_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "methods", lambda *given: methods(*given)[:5])
    calls = []
    outcome = run(tmp_path / "new", None, SMALL, lambda *call: calls.append(call))
    stems = {f"digits_{stem}" for stem in ("frobenius", "spectral", "times", "beside_published", "accuracy")}
    files = {f"{stem}.{kind}" for stem in stems | {"activations", "variances"} for kind in ("md", "csv")}
    assert {path.name for path in outcome.files} == files | {"digits_errors.png", "digits_errors.svg", "sketching.md"}
    assert all(path.is_file() and path.stat().st_size > 100 for path in outcome.files)
    assert [call[1:] for call in calls] == [(i, 3) for i in range(3)]
    report = (tmp_path / "new" / "sketching.md").read_text(encoding="utf-8")
    assert CLAIMS in report
    assert all(table.markdown() in report for table in outcome.tables)
    rows = list(csv.DictReader((tmp_path / "new" / "digits_beside_published.csv").open(encoding="utf-8")))
    assert [row["size"] for row in rows] == ["48", "96"]


def test_variances_are_below_those_of_the_specification():
    # m Var at q = 2, 4, 8, 16 for x in 32 dimensions and m = 512: complex tree 5.2, 17, 39, 99; CountSketch tree 9.1,
    # 24, 53, 117. Pairs without repetition take half of the former.
    rows = {row[0]: row[1:] for row in variance_table(25).rows}
    for name, limits in (
        ("tree, Hadamard", (5.2, 17, 39, 99)),
        ("tree, Fourier", (5.2, 17, 39, 99)),
        ("tree, CountSketch", (18, 48, 106, 240)),
    ):
        assert all(variance < limit for variance, limit in zip(rows[name][::2], limits, strict=True))
    assert rows["flat TensorSketch"][5] == pytest.approx(3**8 - 1)


@pytest.mark.parametrize("fields", [{"sizes": ()}, {"sizes": (1,)}, {"seeds": 0}, {"rows": 10}, {"draws": 1}])
def test_bad_settings_are_refused(fields):
    with pytest.raises(InvalidInput):
        Settings(**fields)
