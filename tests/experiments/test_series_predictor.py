import numpy as np
import pytest

from widenet.errors import InvalidFile, InvalidInput
from widenet.estimators import KernelRegressor
from widenet.experiments.series_files import SeriesTable
from widenet.experiments.series_predictor import SeriesPredictor, is_series_model
from widenet.kernels import Laplace


def table(labels, kind, seed=0):
    rng = np.random.default_rng(seed)
    return SeriesTable("waves.tsv", [rng.normal(size=(6 + i % 3, 1)) + i % 2 for i in range(16)], labels, kind)


def test_classes_have_probabilities_and_a_file(tmp_path):
    names = np.array(["down", "up"] * 8, dtype=object)
    data = table(names, "text")
    predictor = SeriesPredictor.fit(data)
    predicted = predictor.predict(data)
    assert list(predicted.columns) == ["prediction", "probability of down", "probability of up"]
    share = float((predicted["prediction"] == names).mean())
    assert predictor.agreement(data) == f"accuracy {share:.4f} on the labels of 16 series"
    predictor.save(tmp_path / "m")
    assert is_series_model(tmp_path / "m")
    assert SeriesPredictor.load(tmp_path / "m").predict(data).equals(predicted)
    assert predictor.task == "classification"


def test_files_of_series_of_one_length_are_compared_step_by_step():
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(30, 2)) + np.eye(2)[i % 2] * np.sin(np.arange(30))[:, None] for i in range(20)]
    data = SeriesTable("equal.ts", values, np.arange(20) % 2, "integer")
    predictor = SeriesPredictor.fit(data)
    assert predictor.model.fixed_length_ == 30
    assert any("StepwiseAverage" in repr(row.kernel) for row in predictor.model.selection_)
    assert SeriesPredictor.fit(table(np.arange(16) % 2, "integer")).model.fixed_length_ is None


def test_quantities_are_regression_and_files_without_labels_have_no_agreement():
    data = table(np.linspace(0.0, 1.0, 16), "number")
    predictor = SeriesPredictor.fit(data, ridge=0.1)
    assert predictor.task == "regression"
    assert list(predictor.predict(data).columns) == ["prediction"]
    assert predictor.agreement(data).startswith("R2 ")
    assert predictor.agreement(table(None, "none")) == ""
    assert "another kind" in predictor.agreement(table(np.array(["a", "b"] * 8, dtype=object), "text"))


def test_what_cannot_be_learned_or_is_another_model_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="a label for each series"):
        SeriesPredictor.fit(table(None, "none"))
    X = np.arange(6.0)[:, None]
    KernelRegressor(Laplace(1.0), ridge=0.1).fit(X, X[:, 0]).save(tmp_path / "rows")
    with pytest.raises(InvalidFile, match="KernelRegressor"):
        SeriesPredictor.load(tmp_path / "rows")
    assert not is_series_model(tmp_path / "absent")
