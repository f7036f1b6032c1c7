"""Estimators on collections of Dask against the same estimators on the same rows in memory."""

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.estimators.distributed import Distributed
from widenet.estimators.distributed.sources import DaskRows
from widenet.estimators.feature_classifier import FeatureClassifier
from widenet.estimators.feature_regressor import FeatureRegressor
from widenet.estimators.features import NTKFeatures
from widenet.estimators.regressor import KernelRegressor
from widenet.kernels import Laplace

KERNEL = Laplace(2.0)
ROWS = 1500  # no more than the sample, which then is all rows, in any order of drawing


@pytest.fixture(autouse=True)
def _on_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS, 3))


def targets() -> np.ndarray:
    return np.sin(rows()[:, 0]) * rows()[:, 1]


def cut(array: np.ndarray) -> da.Array:
    """With a partition that has more rows than features, one without rows, and one of a few."""
    return da.from_array(array, chunks=((300, 0, 1150, 50), *array.shape[1:]))


@pytest.mark.parametrize("outputs", [None, 2])
def test_regression_is_that_of_the_rows_in_one_place(outputs):
    y = targets() if outputs is None else np.stack([targets(), rows()[:, 2]], axis=1)
    model = Distributed(FeatureRegressor(KERNEL, size=100)).fit(cut(rows()), da.from_array(y, chunks=400))
    expected = FeatureRegressor(KERNEL, size=100).fit(rows(), y)
    assert model.estimator_.ridge_ == expected.ridge_
    predicted = model.predict(cut(rows()))
    assert predicted.shape == y.shape
    assert predicted.chunks[0] == (300, 1150, 50)
    np.testing.assert_allclose(predicted.compute(), expected.predict(rows()), rtol=0, atol=1e-10)


def test_classes_that_no_sample_sees_are_there():
    labels = np.where(targets() > 0.3, "yes", "no").astype(object)
    labels[ROWS - 1] = "rare"
    collections = cut(rows()), da.from_array(labels, chunks=400)
    model = Distributed(FeatureClassifier(KERNEL, size=100)).fit(*collections)
    expected = FeatureClassifier(KERNEL, size=100).fit(rows(), labels.astype(str))
    assert model.estimator_.classes_.tolist() == ["no", "rare", "yes"]
    assert (model.predict(collections[0]).compute() == expected.predict(rows())).all()
    probabilities = model.predict_proba(collections[0])
    assert probabilities.shape == (ROWS, 3)
    np.testing.assert_allclose(probabilities.compute(), expected.predict_proba(rows()), rtol=0, atol=1e-10)


def test_tables_with_text_and_gaps_and_unknown_sizes():
    frame = pd.DataFrame(rows(), columns=["a", "b", "c"])
    frame["side"] = np.where(frame["a"] > 0, "right", "left")
    frame.loc[7, "b"] = np.nan
    y = frame["a"] + (frame["side"] == "left") * 3.0
    table, target = dd.from_pandas(frame, npartitions=3), dd.from_pandas(y, npartitions=3)
    model = Distributed(FeatureRegressor(KERNEL, size=100)).fit(table, target)
    predicted = model.predict(table).compute()
    expected = FeatureRegressor(KERNEL, size=100).fit_stream(DaskRows(table, target))
    np.testing.assert_allclose(predicted, expected.predict(frame), rtol=0, atol=1e-10)
    assert np.sqrt(np.mean((predicted - y) ** 2)) < 0.3 * y.std()


def test_a_sample_of_many_rows_fixes_the_features_and_all_rows_the_coefficients():
    X = np.random.default_rng(3).normal(size=(24_000, 2)).astype(np.float32)
    y = np.sin(2 * X[:, 0]) + X[:, 1]
    blocks = da.from_array(X, chunks=(5000, 2))
    model = Distributed(FeatureRegressor(KERNEL, size=50)).fit(blocks, da.from_array(y, chunks=5000))
    assert model.estimator_.stream_.equations.rows == 24_000
    assert model.estimator_.stream_.kept is None
    again = Distributed(FeatureRegressor(KERNEL, size=50)).fit(blocks, da.from_array(y, chunks=5000))
    np.testing.assert_array_equal(model.predict(blocks[:100]).compute(), again.predict(blocks[:100]).compute())
    assert np.std(model.predict(blocks).compute() - y) < 0.2 * y.std()


def test_partitions_larger_than_the_limit_are_taken_in_by_blocks(monkeypatch):
    X, y, model = cut(rows()), da.from_array(targets(), chunks=400), FeatureRegressor(KERNEL, size=100)
    large = Distributed(model).fit(X, y)
    blocks, read = [], FeatureRegressor._block_targets

    def watched(self, block, source):
        blocks.append(len(block))
        return read(self, block, source)

    monkeypatch.setattr(FeatureRegressor, "_block_targets", watched)
    small = Distributed(model, memory_limit="0.9 MiB").fit(X, y)
    assert blocks.pop(0) == ROWS  # the sample
    assert sum(blocks) == ROWS
    assert 256 <= max(blocks) < 400
    np.testing.assert_allclose(small.predict(X).compute(), large.predict(X).compute(), rtol=0, atol=1e-10)
    with pytest.raises(MemoryLimitExceeded, match="100 features take"):
        Distributed(model, memory_limit="0.4 MiB").fit(X, y)


def test_transformers_are_fitted_to_a_sample():
    features = Distributed(NTKFeatures(n_components=64, depth=1)).fit(cut(rows()))
    Z = features.transform(cut(rows().astype(np.float32)))
    assert (Z.shape, Z.dtype) == ((ROWS, 64), np.float32)
    np.testing.assert_allclose(Z.compute(), features.estimator_.transform(rows()), rtol=0, atol=1e-4)


def test_any_fitted_estimator_predicts_lazily():
    model = KernelRegressor(KERNEL).fit(rows()[:200], targets()[:200])
    predicted = Distributed.of(model).predict(cut(rows())).compute()
    np.testing.assert_allclose(predicted, model.predict(rows()), rtol=1e-12)


@pytest.mark.parametrize("place", ["rows", "targets"])
def test_a_number_that_is_none_is_named_by_partition_and_row(place):
    X, y = rows(), targets()
    (X if place == "rows" else y)[310] = np.nan
    expected = {"rows": "partition 2 must hold finite numbers; got nan in row 11", "targets": "partition 2 .* row 11"}
    with pytest.raises(InvalidInput, match=expected[place]):
        Distributed(FeatureRegressor(KERNEL, size=100)).fit(cut(X), cut(y))


@pytest.mark.parametrize(
    ("estimator", "collections", "match"),
    [
        (FeatureRegressor(KERNEL), (np.ones((4, 2)), np.ones(4)), "X must be a dask array or data frame; got ndarray"),
        (FeatureRegressor(KERNEL), (da.ones((4, 2)), None), "there must be targets y"),
        (
            KernelRegressor(KERNEL),
            (da.ones((4, 2)), da.ones(4)),
            "got KernelRegressor. .*by Distributed.of",
        ),
        (FeatureRegressor(KERNEL), (da.ones((4, 2)), da.ones(5)), "a row for each of the 4 of X; got 5"),
        (FeatureRegressor(KERNEL), (da.random.random((9, 2)), da.ones(9)), "must vary"),
        (FeatureClassifier(KERNEL), (da.random.random((9, 2)), da.ones(9)), "two or more classes"),
    ],
)
def test_fits_that_cannot_be(estimator, collections, match):
    with pytest.raises(InvalidInput, match=match):
        Distributed(estimator).fit(*collections)


def test_parameters_are_those_of_scikit_learn():
    model = Distributed(FeatureRegressor(KERNEL, size=10), memory_limit="1 GiB")
    assert model.set_params(estimator__size=20).get_params()["estimator__size"] == 20
