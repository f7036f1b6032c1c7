"""Regression on features against scikit-learn's Ridge on the same features and exact kernel ridge."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from widenet.architectures import fully_connected
from widenet.errors import FingerprintMismatch, InvalidFile, InvalidInput, MemoryLimitExceeded
from widenet.estimators import feature_base, ridge_stream
from widenet.estimators.feature_regressor import FeatureRegressor
from widenet.estimators.persistence import load
from widenet.estimators.row_sources import ArrayRows, IterableRows
from widenet.estimators.table_sources import open_rows
from widenet.features.fourier import FourierFeatures
from widenet.features.nystrom import Nystroem
from widenet.kernels import NTK, Laplace

RNG = np.random.default_rng(0)
X = RNG.normal(size=(700, 3)) * [1.0, 5.0, 0.2] + [0.0, 100.0, 3.0]
Y = np.sin(X[:, 0]) + 0.2 * X[:, 1] + 0.1 * RNG.normal(size=700)
KERNEL = Laplace(3.0)


def same(first, second, rtol=1e-7):
    np.testing.assert_allclose(first.predict(X), second.predict(X), rtol=rtol, atol=1e-9)


def test_it_is_ridge_on_the_features():
    features = FourierFeatures(KERNEL, 50, seed=3)
    model = FeatureRegressor(features, ridge=2.0, ridge_scale="absolute").fit(X, Y)
    Z = features((X - X.mean(axis=0)) / X.std(axis=0))
    np.testing.assert_allclose(model.predict(X), Ridge(alpha=2.0).fit(Z, Y).predict(Z), rtol=1e-7)
    assert model.ridge_ == pytest.approx(2.0 / np.square(Z).sum(axis=1).mean(), rel=1e-9)


def test_landmarks_at_all_rows_are_kernel_ridge_with_an_intercept():
    rows, y = (X[:60] - X[:60].mean(axis=0)) / X[:60].std(axis=0), Y[:60]
    K = KERNEL(rows)
    # Centring targets and kernel removes the free intercept.
    centre = np.eye(60) - 1 / 60
    dual = np.linalg.solve(centre @ K @ centre + 0.3 * np.eye(60), y - y.mean())
    model = FeatureRegressor(KERNEL, size=60, ridge=0.3, ridge_scale="absolute").fit(X[:60], y)
    np.testing.assert_allclose(model.predict(X[:60]), centre @ K @ centre @ dual + y.mean(), rtol=1e-6)


@pytest.mark.parametrize("batch", [1, 64, 333])
def test_batches_give_the_fit_of_all_rows(batch):
    rows = slice(0, 700 if batch > 1 else 40)
    model = FeatureRegressor(KERNEL, size=50)
    for start in range(0, rows.stop, batch):
        model.partial_fit(X[rows][start : start + batch], Y[rows][start : start + batch])
    same(model, FeatureRegressor(KERNEL, size=50).fit(X[rows], Y[rows]))


def test_features_are_fixed_when_enough_rows_have_come(monkeypatch):
    monkeypatch.setattr(ridge_stream, "START_ROWS", 200)
    model = FeatureRegressor(FourierFeatures(KERNEL, 50), standardize=False)
    model.partial_fit(X[:150], Y[:150])
    early = model.predict(X)
    model.partial_fit(X[150:300], Y[150:300]).partial_fit(X[300:], Y[300:])
    assert model.stream_.equations.rows == 700
    same(model, FeatureRegressor(FourierFeatures(KERNEL, 50), standardize=False).fit(X, Y), rtol=1e-3)
    assert np.abs(model.predict(X) - early).max() > 1e-3


def test_the_ridge_with_the_least_score_is_taken():
    model = FeatureRegressor(KERNEL, size=100).fit(X, Y)
    assert model.ridge_ == min(model.gcv_, key=model.gcv_.get)
    noise = FeatureRegressor(KERNEL, size=100).fit(X, RNG.normal(size=700))
    assert noise.ridge_ > 10 * model.ridge_
    assert min(noise.gcv_.values()) > 0.9


def test_the_default_learns():
    model = FeatureRegressor(size=200).fit(X[:500], Y[:500])
    assert model.score(X[500:], Y[500:]) > 0.97
    assert model.selection_[0].chosen
    assert model.features == "auto"


def test_targets_are_solved_together_and_in_their_own_units():
    both = np.c_[Y, 1e6 * np.cos(X[:, 0])]
    model = FeatureRegressor(KERNEL, size=100, ridge=1e-3).fit(X, both)
    for column in range(2):
        single = FeatureRegressor(KERNEL, size=100, ridge=1e-3).fit(X, both[:, column])
        np.testing.assert_allclose(model.predict(X)[:, column], single.predict(X), rtol=1e-8, atol=1e-6)


@pytest.mark.parametrize("features", ["auto", NTK(fully_connected(2)), Laplace(2.0)])
def test_sparse_rows(features):
    rows = scipy.sparse.random_array((300, 40), density=0.2, rng=np.random.default_rng(0), format="csr")
    y = np.asarray(rows[:, :5].sum(axis=1)).ravel()
    model = FeatureRegressor(features, size=100).fit(rows[:200], y[:200])
    assert model.score(rows[200:], y[200:]) > 0.3
    stream = FeatureRegressor(features, size=100).fit_stream(ArrayRows(rows[:200], y[:200]))
    np.testing.assert_allclose(stream.predict(rows), model.predict(rows), rtol=1e-6)


@pytest.mark.parametrize("make", [Nystroem, FourierFeatures])
def test_a_stream_is_the_fit_of_its_rows(make):
    model = FeatureRegressor(make(KERNEL, 50)).fit(X, Y)
    blocks = [(X[a : a + 90], Y[a : a + 90]) for a in range(0, 700, 90)]
    seen = []
    for source in (ArrayRows(X, Y), blocks, lambda: iter(blocks), iter(blocks)):
        stream = FeatureRegressor(make(KERNEL, 50)).fit_stream(source, progress=lambda done, total: seen.append(done))
        # Rows of unknown number are mapped in single precision.
        same(stream, model, rtol=2e-4)
    assert seen[-1] == 700


def table(n=400):
    colour = np.array(["red", "green", "blue"])[RNG.integers(0, 3, n)]
    size = RNG.normal(size=n)
    price = np.sin(size) + (colour == "red") + 0.05 * RNG.normal(size=n)
    size = np.where(np.arange(n) % 40 == 7, np.nan, size)
    return pd.DataFrame({"size": size, "colour": colour, "price": price})


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_table_is_streamed_with_its_categories_and_gaps(kind, tmp_path):
    frame = table()
    path = tmp_path / f"table.{kind}"
    frame.to_parquet(path) if kind == "parquet" else frame.to_csv(path, index=False)
    model = FeatureRegressor(KERNEL, size=100).fit_stream(open_rows(path, "price"))
    rows = frame.drop(columns="price")
    assert model.score(rows, frame["price"]) > 0.9
    assert model.n_features_in_ == 2
    model.save(tmp_path / "model")
    assert np.array_equal(load(tmp_path / "model").predict(rows), model.predict(rows))
    with pytest.raises(InvalidInput, match="colour"):
        model.predict(rows[["size"]])


def test_a_cell_that_does_not_fit_is_named_with_its_row(tmp_path):
    frame = table(20_000)
    frame["size"] = frame["size"].astype(object)
    frame.loc[19_990, "size"] = "huge"
    frame.to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(InvalidInput, match=r"table.csv.*'size'.*'huge' in row 19991"):
        FeatureRegressor(KERNEL, size=20).fit_stream(open_rows(tmp_path / "table.csv", "price"))
    frame = table()
    frame.loc[123, "price"] = np.nan
    frame.to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(InvalidInput, match="row 124"):
        FeatureRegressor(KERNEL, size=20).fit_stream(open_rows(tmp_path / "table.csv", "price"))


@pytest.mark.parametrize("features", [FourierFeatures(KERNEL, 30), Nystroem(KERNEL, 30)])
def test_a_run_that_was_stopped_goes_on_to_the_same_result(features, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_base, "CHECKPOINT_SECONDS", 0.0)
    source, reads = ArrayRows(X, Y), []

    class Stopped(Exception):
        pass

    def stop(done, total):
        reads.append(done)
        if len(reads) == 2:
            raise Stopped

    model = FeatureRegressor(features)
    limit = 190_000  # bytes: blocks of 258 rows
    with pytest.raises(Stopped):
        model.fit_stream(source, checkpoint=tmp_path / "c", progress=stop, memory_limit=limit)
    assert 0 < reads[-1] < 700
    resumed = []
    model.fit_stream(
        source, checkpoint=tmp_path / "c", progress=lambda done, total: resumed.append(done), memory_limit=limit
    )
    assert min(resumed) > reads[-1]
    whole = clone(model).fit_stream(source, memory_limit=limit)
    assert np.array_equal(model.predict(X), whole.predict(X))
    with pytest.raises(FingerprintMismatch):
        FeatureRegressor(features, ridge=1.0).fit_stream(source, checkpoint=tmp_path / "c")
    (tmp_path / "c").write_bytes(b"no")
    with pytest.raises(InvalidFile):
        model.fit_stream(source, checkpoint=tmp_path / "c")


@pytest.mark.parametrize("features", ["auto", KERNEL, FourierFeatures(KERNEL, 30), NTK(fully_connected(2))])
def test_a_saved_model_predicts_the_same_and_takes_no_more_rows(features, tmp_path):
    model = FeatureRegressor(features, size=60).fit(X, Y)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert type(again) is FeatureRegressor
    assert np.array_equal(again.predict(X), model.predict(X))
    assert repr(again.get_params()) == repr(model.get_params())
    assert (again.ridge_, again.gcv_, again.selection_) == (model.ridge_, model.gcv_, model.selection_)
    again.save(tmp_path / "again")
    assert np.array_equal(load(tmp_path / "again").predict(X), model.predict(X))
    with pytest.raises(InvalidInput, match="can only predict"):
        again.partial_fit(X, Y)


def test_grid_search_over_sizes():
    search = GridSearchCV(FeatureRegressor(KERNEL, ridge=1e-4), {"size": [2, 80]}, cv=3).fit(X, Y)
    assert search.best_params_ == {"size": 80}


@pytest.mark.parametrize(
    "options",
    [
        {"features": "rbf"},
        {"features": 3},
        {"size": 0},
        {"ridge": -1.0},
        {"ridge": "x"},
        {"ridge_scale": "x"},
        {"standardize": "no"},
    ],
)
def test_bad_arguments_are_refused(options):
    with pytest.raises(InvalidInput):
        FeatureRegressor(**options).fit(X, Y)


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(InvalidInput, match="vary"):
        FeatureRegressor(KERNEL, size=10).fit(X, np.ones(700))
    with pytest.raises(InvalidInput, match="finite numbers"):
        FeatureRegressor(KERNEL, size=10).fit_stream(ArrayRows(np.where(X > 105, np.nan, X), Y))
    with pytest.raises(InvalidInput, match="must have 3 columns"):
        FeatureRegressor(KERNEL, size=10).fit_stream(IterableRows([(X, Y), (X[:, :2], Y)]))
    with pytest.raises(InvalidInput, match="source"):
        FeatureRegressor(KERNEL).fit_stream(3)
    with pytest.raises(MemoryLimitExceeded, match="features take"):
        FeatureRegressor(KERNEL).fit_stream(ArrayRows(X, Y), memory_limit="1 MB")
