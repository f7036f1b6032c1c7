"""Classification on features: one-hot ridge written out, classes that join late, probabilities, streams and files."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss

from widenet.errors import InvalidInput
from widenet.estimators.feature_classifier import FeatureClassifier
from widenet.estimators.persistence import load
from widenet.estimators.row_sources import ArrayRows
from widenet.estimators.table_sources import open_rows
from widenet.features.fourier import FourierFeatures
from widenet.kernels import Laplace

X, LABELS = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[LABELS]
KERNEL = Laplace(4.0)
MIXED = np.random.default_rng(0).permutation(150)


def test_scores_are_ridge_on_one_hot_targets():
    features = FourierFeatures(KERNEL, 20, seed=1)
    model = FeatureClassifier(features, ridge=0.5, ridge_scale="absolute").fit(X, NAMES)
    Z = features((X - X.mean(axis=0)) / X.std(axis=0))
    expected = Ridge(alpha=0.5).fit(Z, np.eye(3)[LABELS]).predict(Z)
    np.testing.assert_allclose(model.decision_function(X), expected, rtol=1e-7, atol=1e-9)
    assert np.array_equal(model.predict(X), np.unique(NAMES)[expected.argmax(axis=1)])


def test_classes_join_in_any_batch():
    whole = FeatureClassifier(KERNEL, size=60).fit(X, NAMES)
    first = FeatureClassifier(KERNEL, size=60)
    for part in (slice(100, 150), slice(0, 30), slice(30, 100)):  # virginica first
        first.partial_fit(X[part], NAMES[part])
    told = FeatureClassifier(KERNEL, size=60).partial_fit(X[:30], NAMES[:30], classes=np.unique(NAMES))
    told.partial_fit(X[30:], NAMES[30:])
    for model in (first, told):
        assert model.classes_.tolist() == whole.classes_.tolist()
        np.testing.assert_allclose(model.predict_proba(X), whole.predict_proba(X), atol=1e-6)


def test_classes_join_after_the_features_are_fixed():
    features = FourierFeatures(KERNEL, 40)
    model = FeatureClassifier(features, ridge=0.1, standardize=False).fit(X[:100], NAMES[:100])
    model.partial_fit(X[100:], NAMES[100:])
    whole = FeatureClassifier(features, ridge=0.1, standardize=False).fit(X, NAMES)
    np.testing.assert_allclose(model.decision_function(X), whole.decision_function(X), rtol=1e-7, atol=1e-9)
    assert model.predict_proba(X).shape == (150, 3)


def test_probabilities_are_calibrated_on_rows_that_were_left_out():
    digits = load_digits()
    rows, labels = digits.data / 16.0, digits.target
    model = FeatureClassifier(KERNEL, size=200).fit(rows[:900], labels[:900])
    shares = model.predict_proba(rows[900:])
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert model.score(rows[900:], labels[900:]) > 0.85
    # No other temperature is much better on new rows.
    scores = model._predictions(rows[900:])
    losses = []
    for factor in model.inverse_temperature_ * np.array([0.4, 2.5]):
        powers = np.exp(factor * scores)
        losses.append(log_loss(labels[900:], powers / powers.sum(axis=1, keepdims=True)))
    assert log_loss(labels[900:], shares) < min(losses)


def test_the_default_learns():
    model = FeatureClassifier(size=100).fit(X[MIXED[:100]], NAMES[MIXED[:100]])
    assert model.score(X[MIXED[100:]], NAMES[MIXED[100:]]) > 0.9


def test_a_stream_is_the_fit_of_its_rows():
    features = FourierFeatures(KERNEL, 40)
    whole = FeatureClassifier(features).fit(X, NAMES)
    blocks = [(X[a : a + 40], NAMES[a : a + 40]) for a in range(0, 150, 40)]
    for source in (ArrayRows(X, NAMES), blocks):
        stream = FeatureClassifier(features).fit_stream(source)
        np.testing.assert_allclose(stream.predict_proba(X), whole.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("labels", [NAMES, LABELS, LABELS > 0])
def test_a_table_of_classes(kind, labels, tmp_path):
    frame = pd.DataFrame(X, columns=list("abcd")).assign(kind=labels)
    path = tmp_path / f"table.{kind}"
    frame.to_parquet(path) if kind == "parquet" else frame.to_csv(path, index=False)
    model = FeatureClassifier(KERNEL, size=60).fit_stream(open_rows(path, "kind"), checkpoint=tmp_path / "c")
    assert model.score(frame[list("abcd")], labels) > 0.9
    again = FeatureClassifier(KERNEL, size=60).fit_stream(open_rows(path, "kind"), checkpoint=tmp_path / "c")
    assert np.array_equal(again.predict_proba(frame[list("abcd")]), model.predict_proba(frame[list("abcd")]))
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert np.array_equal(loaded.predict_proba(frame), model.predict_proba(frame))
    assert np.array_equal(loaded.predict(frame), model.predict(frame))


def test_what_cannot_be_learned_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="two or more classes"):
        FeatureClassifier(KERNEL, size=10).fit(X[:40], NAMES[:40])
    frame = pd.DataFrame(X, columns=list("abcd")).assign(kind=NAMES)
    frame.loc[70, "kind"] = None
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InvalidInput, match="row 71"):
        FeatureClassifier(KERNEL, size=10).fit_stream(open_rows(tmp_path / "t.csv", "kind"))
    with pytest.raises(ValueError, match="continuous"):
        FeatureClassifier(KERNEL, size=10).fit(X, X[:, 0] + 0.05)
