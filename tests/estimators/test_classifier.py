"""Least-squares classification: scores, probabilities, classes."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict

from widenet.architectures import convolutional
from widenet.estimators import KernelClassifier, KernelRegressor, load
from widenet.kernels import NTK, Laplace

X, Y = load_iris(return_X_y=True)


def test_scores_are_ridge_regressions_on_one_hot_targets():
    model = KernelClassifier(Laplace(2.0), ridge=0.1, standardize=False).fit(X, Y)
    target = np.eye(3)[Y]
    K = Laplace(2.0)(X)
    dual = np.linalg.solve(K + 0.1 * np.eye(150), target - target.mean(axis=0))
    np.testing.assert_allclose(model.decision_function(X), K @ dual + target.mean(axis=0), atol=1e-9)


def test_leave_one_out_scores_are_those_of_refits():
    model = KernelClassifier(Laplace(2.0), ridge=0.1, standardize=False).fit(X, Y)
    target = np.eye(3)[Y] - 1 / 3
    K = Laplace(2.0)(X)
    for row in (0, 70, 149):
        rest = np.arange(150) != row
        dual = np.linalg.solve(K[np.ix_(rest, rest)] + 0.1 * np.eye(149), target[rest])
        np.testing.assert_allclose(model.leave_one_out_scores_[row], K[row, rest] @ dual + 1 / 3, atol=1e-9)


def test_probabilities_are_calibrated():
    rows, labels = load_breast_cancer(return_X_y=True)
    model = KernelClassifier(Laplace(8.0), ridge=0.03)
    probability = cross_val_predict(model, rows, labels, cv=5, method="predict_proba")
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, rtol=1e-12)
    # Logistic regression reaches about 0.08 here, the shares of the classes 0.66.
    assert log_loss(labels, probability) < 0.11
    # Mean probability of the predicted class against the share of right ones, within 3 standard errors.
    confidence, right = probability.max(axis=1), probability.argmax(axis=1) == labels
    assert abs(confidence.mean() - right.mean()) < 3 * right.std() / np.sqrt(len(labels)) + 0.01


def test_auto_and_given_ridge_agree_on_leave_one_out():
    auto = KernelClassifier(Laplace(2.0)).fit(X, Y)
    given = KernelClassifier(Laplace(2.0), ridge=auto.ridge_).fit(X, Y)
    np.testing.assert_allclose(auto.leave_one_out_scores_, given.leave_one_out_scores_, atol=1e-8)
    assert auto.inverse_temperature_ == pytest.approx(given.inverse_temperature_, rel=1e-6)


def test_two_classes_have_one_score():
    model = KernelClassifier(Laplace(2.0), ridge=0.1).fit(X[:100], np.array(["no", "yes"])[Y[:100]])
    scores = model.decision_function(X[:100])
    assert scores.shape == (100,)
    assert (model.classes_[(scores > 0).astype(int)] == model.predict(X[:100])).all()
    assert (model.predict_proba(X[:100]).argmax(axis=1) == (scores > 0)).all()


def test_frames_keep_their_names():
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = KernelClassifier(Laplace(2.0), ridge=0.1).fit(frame, pd.Series(Y))
    assert list(model.feature_names_in_) == list("abcd")
    assert model.score(frame, Y) > 0.95


def test_the_default_is_right_on_iris():
    assert (cross_val_predict(KernelClassifier(), X, Y, cv=3) == Y).mean() > 0.93


def test_rows_of_pixels_are_images_to_a_convolutional_kernel(tmp_path):
    rows, labels = load_digits(return_X_y=True)
    rows = rows / 16
    K = NTK(convolutional(2, "flatten", bias_std=0.1), input_shape=(8, 8, 1))
    model = KernelClassifier(K, standardize=False).fit(rows[:150], labels[:150])
    # A dense NTK of depth 2 reaches 0.935 there, the nearest neighbour 0.96.
    assert model.score(rows[150:350], labels[150:350]) > 0.94
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.kernel_ == K
    assert np.array_equal(again.predict(rows[150:200]), model.predict(rows[150:200]))


def test_a_regression_on_rows_of_pixels_is_that_on_images():
    rows, target = (part[:90] for part in load_digits(return_X_y=True))
    images = NTK(convolutional(1))

    def unfolded(X, Y=None):
        return images(X.reshape(-1, 8, 8, 1), None if Y is None else Y.reshape(-1, 8, 8, 1))

    models = [
        KernelRegressor(kernel, ridge=0.1, standardize=False).fit(rows[:60], target[:60].astype(float))
        for kernel in (NTK(convolutional(1), input_shape=(8, 8, 1)), unfolded)
    ]
    np.testing.assert_allclose(models[0].predict(rows[60:]), models[1].predict(rows[60:]), rtol=1e-9)
    assert np.ptp(models[0].predict(rows[60:])) > 1
