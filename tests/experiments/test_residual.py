"""The experiment from end to end on small settings, and exact kernels against reference values."""

import csv

import pytest

from widenet.errors import InvalidFile, InvalidInput
from widenet.experiments import residual as experiment
from widenet.experiments.finite_residual import DenselyConnectedNetwork, ResidualNetwork, VanillaNetwork
from widenet.experiments.gradient_features import designs, diabetes
from widenet.experiments.residual import CLAIMS, Settings, exact_table, run

SMALL = Settings(
    depths=(1,),
    cases=(ResidualNetwork(20, 2, 0.5), VanillaNetwork(20, 2), DenselyConnectedNetwork(10, 2)),
    nets=100,
    curve_width=10,
    curve_depths=(1, 2),
    regression_depth=2,
    regression_widths=(4,),
    regression_nets=2,
)
FILES = {f"{stem}.{kind}" for stem in ("exact_kernels", "fluctuations", "forward_moments") for kind in ("md", "csv")}
FILES |= {f"{stem}.{kind}" for stem in ("depth", "regression") for kind in ("md", "csv", "png", "svg")}


@pytest.fixture(autouse=True)
def few_patients(monkeypatch):
    X, y = diabetes()
    monkeypatch.setattr(experiment, "diabetes", lambda: (X[:60], y[:60]))
    monkeypatch.setattr(experiment, "designs", lambda depth: designs(depth)[:2])


def test_the_experiment_writes_every_table_and_figure(tmp_path):
    calls = []
    outcome = run(tmp_path / "new", SMALL, lambda *call: calls.append(call))
    assert {path.name for path in outcome.files} == FILES | {"residual.md"}
    assert all(path.is_file() and path.stat().st_size > 100 for path in outcome.files)
    assert [call[1:] for call in calls] == [(i, 4) for i in range(4)]
    report = (tmp_path / "new" / "residual.md").read_text(encoding="utf-8")
    assert CLAIMS in report
    assert outcome.message == CLAIMS
    assert len(outcome.tables) == 5
    assert all(table.markdown() in report for table in outcome.tables)
    rows = list(csv.DictReader((tmp_path / "new" / "fluctuations.csv").open(encoding="utf-8")))
    assert [row["network"] for row in rows] == ["ResNet", "vanilla", "DenseNet"]


def test_the_seed_reaches_every_part_and_equal_seeds_give_equal_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "save_figure", lambda *arguments: ())
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / name, Settings(**{**vars(SMALL), "seed": seed}))
    for stem in ("fluctuations", "depth", "regression"):
        first, again, other = ((tmp_path / name / f"{stem}.csv").read_text() for name in "abc")
        assert first == again
        assert first != other


def test_exact_kernels_agree_with_reference_values():
    # A recursion written apart from this library, in double precision.
    table = {(row[0], row[1]): row for row in exact_table((3, 10)).rows}
    assert table["ResNet, alpha = 1/L", 10][2:4] == pytest.approx((1.75476997, 4.90217325), abs=5e-9)
    assert table["DenseNet, alpha = 1", 3][2:4] == pytest.approx((0.6789945514, 1.8975), abs=5e-11)
    for row in table.values():
        assert row[3] == pytest.approx(row[4], rel=1e-12)
        assert min(row[6:]) > 0


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidFile, match="one to write to"):
        run(tmp_path / "file", SMALL)


@pytest.mark.parametrize(
    "settings", [{"depths": ()}, {"cases": ()}, {"nets": 99}, {"regression_nets": 1}, {"seed": -1}], ids=repr
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(InvalidInput):
        Settings(**settings)


def test_quick_settings_keep_the_asked_numbers():
    settings = Settings.quick(nets=300, seed=4)
    assert (settings.nets, settings.seed) == (300, 4)
    assert len(settings.cases) == 3 < len(Settings().cases)
