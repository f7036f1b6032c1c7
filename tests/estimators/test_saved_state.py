"""What a fit on features keeps in its file."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from widenet.errors import InvalidFile
from widenet.estimators import KernelClassifier, KernelRegressor, load
from widenet.estimators.model_file import read_model, write_model
from widenet.kernels import Laplace

X, Y = load_diabetes(return_X_y=True)
KERNELS = [Laplace(4.0)]


@pytest.mark.parametrize("kernel", KERNELS)
def test_features_are_the_same_after_a_file(kernel, tmp_path):
    model = KernelRegressor(kernel, solver="features").fit(X, np.c_[Y, -Y])
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_allclose(again.predict(X), model.predict(X), rtol=1e-10)
    again.save(tmp_path / "twice")
    np.testing.assert_allclose(load(tmp_path / "twice").predict(X), model.predict(X), rtol=1e-10)
    assert "X_fit" not in read_model(tmp_path / "model")[0]


def test_classes_survive_with_features(tmp_path):
    labels = np.where(Y > 140, "high", "low")
    model = KernelClassifier(KERNELS[0], solver="features").fit(X, labels)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_allclose(again.predict_proba(X), model.predict_proba(X), rtol=1e-10)
    assert (again.predict(X) == model.predict(X)).all()


@pytest.mark.parametrize("change", [{"dual_coef": np.ones((3, 1))}, {"mean": np.ones(4)}, {"scale": -np.ones(10)}])
def test_parts_that_do_not_fit_are_refused(change, tmp_path):
    KernelRegressor(KERNELS[0], solver="features").fit(X, Y).save(tmp_path / "model")
    tensors, info = read_model(tmp_path / "model")
    write_model(tmp_path / "other", tensors | change, info)
    with pytest.raises(InvalidFile):
        load(tmp_path / "other")


def test_files_without_a_word_of_features_are_read(tmp_path):
    model = KernelRegressor(KERNELS[0], ridge=0.1).fit(X, Y)
    model.save(tmp_path / "model")
    tensors, info = read_model(tmp_path / "model")
    del info["map"]
    write_model(tmp_path / "older", tensors, info)
    assert np.array_equal(load(tmp_path / "older").predict(X), model.predict(X))
