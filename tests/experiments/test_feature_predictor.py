"""Tables that are streamed into a model, and its file."""

import numpy as np
import pandas as pd
import pytest

from widenet.errors import InvalidFile
from widenet.estimators import FeatureRegressor
from widenet.experiments import feature_predictor
from widenet.experiments.feature_predictor import fit_features, is_feature_model, is_long, predict_features
from widenet.kernels import Laplace

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"a": RNG.normal(size=300), "b": np.array(["x", "y"])[np.arange(300) % 2]})
FRAME = FRAME.assign(y=np.sin(FRAME["a"]) + (FRAME["b"] == "x"))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_quantity_and_classes_are_learned(kind, tmp_path):
    for task, target in (("regression", FRAME["y"]), ("classification", np.where(FRAME["y"] > 0.5, "high", "low"))):
        path, frame = tmp_path / f"t.{kind}", FRAME.assign(y=target)
        frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
        seen = []
        fitted = fit_features(path, "y", None, Laplace(2.0), "auto", lambda done, total, seen=seen: seen.append(done))
        assert (fitted.task, fitted.rows, seen[-1]) == (task, 300, 300)
        fitted.model.save(tmp_path / "m")
        assert is_feature_model(tmp_path / "m")
        found, predictions = predict_features(tmp_path / "m", frame)
        assert found == task
        if task == "regression":
            assert np.abs(np.asarray(predictions["prediction"]) - np.asarray(frame["y"])).mean() < 0.1
        else:
            assert np.mean(np.asarray(predictions["prediction"]) == np.asarray(frame["y"])) > 0.95
            assert list(predictions.columns) == ["prediction", "probability of high", "probability of low"]


def test_long_tables_are_recognised(tmp_path, monkeypatch):
    FRAME.to_parquet(tmp_path / "t.parquet")
    FRAME.to_csv(tmp_path / "t.csv")
    assert not is_long(tmp_path / "t.parquet", "y")
    assert not is_long(tmp_path / "t.csv", "y")
    monkeypatch.setattr(feature_predictor, "LONG_ROWS", 299)
    monkeypatch.setattr(feature_predictor, "LONG_BYTES", 100)
    assert is_long(tmp_path / "t.parquet", "y")
    assert is_long(tmp_path / "t.csv", "y")


def test_other_files_are_none(tmp_path):
    assert not is_feature_model(tmp_path / "none")
    (tmp_path / "text").write_text("x")
    assert not is_feature_model(tmp_path / "text")
    X = RNG.normal(size=(40, 2))
    FeatureRegressor(Laplace(1.0), size=5).fit(X, X[:, 0]).save(tmp_path / "m")
    with pytest.raises(InvalidFile, match="model of a table"):
        predict_features(tmp_path / "m", FRAME)
