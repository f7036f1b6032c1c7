"""The experiment from end to end on small settings: every file, what it says, and how it fails."""

import csv

import numpy as np
import pytest

from widenet.errors import InvalidFile, InvalidInput
from widenet.experiments import laplace
from widenet.experiments.kernel_grids import ExponentialFamily
from widenet.experiments.laplace import Settings, run
from widenet.experiments.learners import LeastSquares, SupportVectors
from widenet.experiments.metrics import mean_ranks

SMALL = Settings(
    dimensions=(3,),
    k_max=16,
    depths=(6,),
    families=(ExponentialFamily(1.0, octaves=1), ExponentialFamily(2.0, homogeneous=True, octaves=1)),
    learners=(SupportVectors((1.0, 100.0)), LeastSquares((0.1, 0.01))),
)
SPECTRAL = {"slopes.md", "slopes.csv", "eigenvalues.csv", "spectra.png", "spectra.svg"}
MATCHED = {f"matched_kernels.{kind}" for kind in ("md", "csv", "png", "svg")}
SMALL_DATA = {"small_data.md", "small_data.csv", "small_data.png", "small_data.svg", "small_data_choices.csv"}


def test_without_data_the_spectral_parts_run_and_say_what_is_missing(tmp_path):
    outcome = run(tmp_path / "new" / "folder", settings=SMALL)
    assert SPECTRAL | MATCHED | {"laplace.md"} <= {path.name for path in outcome.files}
    assert not SMALL_DATA & {path.name for path in outcome.files}
    assert all(path.is_file() for path in outcome.files)
    assert "Pass a folder of classification sets" in outcome.message
    report = (tmp_path / "new" / "folder" / "laplace.md").read_text(encoding="utf-8")
    assert outcome.message in report
    assert all(table.markdown() in report for table in outcome.tables)


def test_with_data_both_layouts_are_run(tmp_path, iris_set, arrays_of, write_original):
    data, output = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    np.savez(data / "first.npz", **arrays_of(iris_set(40, "first")))
    write_original(data, iris_set(48, "second"))
    calls = []
    outcome = run(output, data, SMALL, lambda *call: calls.append(call))
    assert {path.name for path in outcome.files} >= SPECTRAL | MATCHED | SMALL_DATA
    assert outcome.message == "2 data sets run, none left out."
    assert calls[0] == ("spectra, d = 3", 0, 1)
    assert calls[-1][1:] == (4, 4)
    report = (output / "laplace.md").read_text(encoding="utf-8")
    assert "this library's choice" in report
    assert "published (arXiv 1910.01663): C in" in report
    rows = list(csv.DictReader((output / "small_data.csv").open(encoding="utf-8")))
    by_set = list(csv.reader((output / "small_data_sets_first.csv").open(encoding="utf-8")))
    assert [row[0] for row in by_set[1:]] == ["first", "second"]
    accuracies = np.array([row[2:] for row in by_set[1:]], dtype=float)
    assert [float(row["mean accuracy"]) for row in rows] == pytest.approx(accuracies.mean(0), rel=1e-14)
    assert [float(row["mean rank"]) for row in rows] == pytest.approx(mean_ranks(accuracies), rel=1e-14)
    # Irises are easy: chance is 33, and a table of errors would be below it.
    assert accuracies.min() > 70
    choices = list(csv.DictReader((output / "small_data_choices.csv").open(encoding="utf-8")))
    assert len(choices) == 2 * 4 * 2


def test_a_second_run_reads_the_stored_results(tmp_path, monkeypatch, iris_set, arrays_of):
    data = tmp_path / "data"
    data.mkdir()
    np.savez(data / "first.npz", **arrays_of(iris_set(40, "first")))
    run(tmp_path / "out", data, SMALL)
    first = (tmp_path / "out" / "small_data.csv").read_text(encoding="utf-8")
    monkeypatch.setattr(SupportVectors, "predict", None)
    run(tmp_path / "out", data, SMALL)
    assert (tmp_path / "out" / "small_data.csv").read_text(encoding="utf-8") == first


def test_bad_folders_are_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(laplace, "spectral_curves", None)
    with pytest.raises(InvalidFile, match="must hold data sets"):
        run(tmp_path / "out", tmp_path, SMALL)
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidFile, match="one to write to"):
        run(tmp_path / "file", None, SMALL)
    with pytest.raises(InvalidFile, match="one to write to"):
        run(tmp_path / "file" / "below", None, SMALL)


@pytest.mark.parametrize(
    "settings", [{"k_max": 4}, {"jobs": 0}, {"dimensions": ()}, {"families": ()}, {"learners": ()}]
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(InvalidInput):
        Settings(**settings)
