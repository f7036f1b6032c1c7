import csv

import numpy as np
import pytest

from series_sets import save, waves
from widenet.errors import InvalidFile, InvalidInput
from widenet.estimators import RecurrentGrid, SupportVectorMachine
from widenet.experiments import rntk
from widenet.experiments.series_methods import DenseFamily, KernelMethod, NearestNeighbour, RecurrentFamily, Score
from widenet.experiments.series_protocol import SeriesRecord

MACHINE = SupportVectorMachine(C=(1.0, 100.0), folds=4)
METHODS = (
    KernelMethod(RecurrentFamily(RecurrentGrid((1.4,), (0.1, 1.0))), MACHINE),
    KernelMethod(DenseFamily((1,), (0.1,)), MACHINE),
    NearestNeighbour(),
)


def test_tables_and_figures_are_written_and_a_second_run_gives_the_same(tmp_path):
    for name in ("Long", "Waves", "Others"):
        save(tmp_path, waves(name))
    settings = rntk.Settings(METHODS, most_sets=2)
    outcome = rntk.run(tmp_path, tmp_path / "out", settings)
    names = {"rntk.md", "summary.md", "summary.csv", "sets.md", "sets.csv", "choices.csv"}
    names |= {f"{stem}.{kind}" for stem in ("means", "pairs") for kind in ("png", "svg")}
    assert {path.name for path in outcome.files} == names
    assert all(path.stat().st_size > 100 for path in outcome.files)
    assert outcome.message == "2 data sets, 5 classifiers."
    with (tmp_path / "out" / "sets.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["set"] for row in rows] == ["Long", "Others"]
    assert all(0 <= float(row["RNTK, SVM"]) <= 100 for row in rows)
    text = (tmp_path / "out" / "rntk.md").read_text()
    assert rntk.run(tmp_path, tmp_path / "out", settings).tables == outcome.tables
    assert (tmp_path / "out" / "rntk.md").read_text() == text


def board(accuracies, first):
    sets = [waves(name) for name in ("A", "B")]
    records = [
        SeriesRecord(data.name, Score(name, accuracy, 1.5, {"accuracy_of_first": other}))
        for data, row, others in zip(sets, accuracies, first, strict=True)
        for name, accuracy, other in zip(("RNTK, SVM", "NTK, SVM"), row, others, strict=True)
    ]
    return rntk.scoreboard(sets, records)


def test_the_summary_is_that_of_its_columns():
    table = rntk.summary_table(board([[90.0, 80.0], [60.0, 60.0]], [[88.0, 80.0], [60.0, 40.0]]), METHODS[:2])
    head = [column.name for column in table.columns]
    first, second = (dict(zip(head, row, strict=True)) for row in table.rows)
    assert (first["mean accuracy"], second["mean accuracy"]) == (75.0, 70.0)
    assert (first["mean rank"], second["mean rank"]) == (1.25, 1.75)
    assert (first["P90"], second["P90"]) == (100.0, 50.0)
    assert second["PMA"] == pytest.approx(100 * (80 / 90 + 1) / 2)
    assert (first["mean, first of ties"], second["mean, first of ties"]) == (74.0, 60.0)
    assert first["seconds"] == 3.0
    assert sum("RNTK, SVM and RNTK, ridge" in note for note in table.notes) == 1


def test_grids_have_their_sizes_and_lie_in_the_published_range():
    sizes = {name: len(grid.kernels()) for name, grid in rntk.GRIDS.items()}
    assert sizes == {"quick": 12, "reduced": 60, "published": 900}
    reduced, published = rntk.GRIDS["reduced"], rntk.GRIDS["published"]
    assert (min(reduced.hidden_std), max(reduced.hidden_std)) == (1.34, 1.47)
    assert set(reduced.bias_std) <= set(published.bias_std)
    assert set(reduced.initial_std) <= set(published.initial_std)
    large = rntk.Settings.of("reduced").methods[1]
    assert large.classifiers == ("RNTK, large bias, SVM", "RNTK, large bias, ridge")
    assert large.grid.endswith("C in {1, 100, 10000, 1e+06}")
    assert rntk.Settings.of("quick").most_sets == rntk.QUICK_SETS
    assert rntk.Settings.of("quick", "A, B").sets == ("A", "B")
    assert rntk.Settings.of("quick", "A, B").most_sets is None


def test_wrong_settings_and_folders_are_refused(tmp_path):
    with pytest.raises(InvalidInput):
        rntk.Settings.of("large")
    with pytest.raises(InvalidInput):
        rntk.Settings(())
    with pytest.raises(InvalidInput):
        rntk.Settings(METHODS, most_sets=0)
    with pytest.raises(InvalidFile, match="must hold data sets"):
        rntk.run(tmp_path, tmp_path / "out", rntk.Settings(METHODS))
    assert not (tmp_path / "out").exists()


def test_figures_show_every_classifier():
    figure = rntk.mean_figure(board([[90.0, 80.0], [60.0, 60.0]], [[88.0, 80.0], [60.0, 40.0]]))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["NTK, SVM", "RNTK, SVM"]
    axes = rntk.pair_figure(board([[90.0, 80.0], [60.0, 60.0]], [[0.0, 0.0]] * 2)).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[80.0, 90.0], [60.0, 60.0]])
