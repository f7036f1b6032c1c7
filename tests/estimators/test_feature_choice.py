"""The choice of scaling and features on a sample."""

import numpy as np
import pytest
import scipy.sparse

from widenet.architectures import fully_connected
from widenet.errors import InvalidInput
from widenet.estimators.feature_choice import Sample, Settings, distinct_rows, prepare
from widenet.features.fourier import FittedFourier
from widenet.features.nystrom import FittedNystroem
from widenet.features.principal import FittedPrincipal
from widenet.kernels import NTK, Laplace

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4)) * [1, 10, 1, 0.1] + 5.0
SPARSE = scipy.sparse.random_array((120, 30), density=0.2, rng=RNG, format="csr")


def settings(features, size=30):
    return Settings(features, size, None, False, True, 0)


def sample(rows):
    target = np.sin(np.asarray(rows[:, [0]].toarray() if scipy.sparse.issparse(rows) else rows[:, [0]]))
    return Sample(rows, target, np.ones(120))


@pytest.mark.parametrize(
    ("rows", "features", "kind"),
    [
        (X, "auto", FittedNystroem),
        (X, NTK(fully_connected(2)), FittedNystroem),
        (SPARSE, "auto", FittedPrincipal),
        (SPARSE, NTK(fully_connected(2)), FittedPrincipal),
        (SPARSE, Laplace(1.0), FittedFourier),
    ],
)
def test_rows_get_the_features_that_can_read_them(rows, features, kind):
    prepared = prepare(settings(features), sample(rows), np.float32)
    assert type(prepared.map) is kind
    assert prepared.features(rows).shape == (120, 30)
    assert prepared.features(rows).dtype == np.float32
    assert bool(prepared.selection) == (features == "auto")


def test_dense_columns_are_standardised_and_sparse_ones_are_only_scaled_together():
    prepared = prepare(settings("auto"), sample(X), np.float64)
    rows = prepared.scaled(X)
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.square(rows).sum(axis=1).mean(), 1.0)
    np.testing.assert_allclose(rows.std(axis=0), 0.5)
    sparse = prepare(settings("auto"), sample(SPARSE), np.float64)
    factor = sparse.scaled(SPARSE).toarray() / np.where(SPARSE.toarray() == 0, 1, SPARSE.toarray())
    assert len(np.unique(np.round(factor[SPARSE.toarray() != 0], 12))) == 1
    np.testing.assert_allclose(np.square(sparse.scaled(SPARSE).toarray()).sum(axis=1).mean(), 1.0)


@pytest.mark.parametrize("rows", [X, SPARSE])
def test_distinct_rows_forget_repetitions(rows):
    repeated = rows[np.r_[np.arange(120), 5, 7, 5]]
    once = distinct_rows(repeated)
    assert once.shape == rows.shape
    dense = [part.toarray() if scipy.sparse.issparse(part) else part for part in (once, distinct_rows(rows))]
    assert np.array_equal(*dense)


@pytest.mark.parametrize("features", ["other", 3, None])
def test_other_features_are_refused(features):
    with pytest.raises(InvalidInput, match="features must be"):
        settings(features)
