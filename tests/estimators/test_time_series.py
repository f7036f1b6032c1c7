import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from widenet.architectures import Dense, Recurrent, ReLU
from widenet.errors import InvalidFile, InvalidInput
from widenet.estimators import load
from widenet.estimators.recurrent_grid import RecurrentGrid
from widenet.estimators.support_vectors import SupportVectorMachine
from widenet.estimators.time_series import RecurrentKernelClassifier, RecurrentKernelRegressor
from widenet.kernels import NTK, Normalized, Sequences

KERNEL = NTK(Recurrent(ReLU(), hidden_std=1.4, bias_std=0.3) >> Dense())
FEW = RecurrentGrid((1.34, 1.47), (0.1, 1.0)).kernels()


def waves(n=36, channels=1, ragged=False, classes=2, seed=0):
    """Waves whose frequency tells the class."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    series = []
    for i in range(n):
        t = np.arange(18 + (i % 5 if ragged else 0)) + rng.uniform(0, 2)
        clean = [np.sin((1 + y[i]) * t / 3 + c) for c in range(channels)]
        series.append(np.stack(clean, axis=1) + 0.2 * rng.normal(size=(len(t), channels)))
    return series if ragged else np.stack(series), y


def rntk(x, z, hidden=1.4, bias=0.3):
    """One-layer ReLU RNTK of two sequences of one channel, by the recursion on their own covariances."""
    size = [np.empty(len(values)) for values in (x, z)]
    for values, out in zip((x, z), size, strict=True):
        for t, value in enumerate(values):
            out[t] = value**2 + bias**2 + (hidden**2 * out[t - 1] / 2 if t else 0)
    shift = len(z) - len(x)
    cross = tangent = 0.0
    for t in range(max(0, -shift), len(x)):
        first = t == 0 or t + shift == 0
        V, slope = (0.0, 0.0) if first else arc(size[0][t - 1], size[1][t + shift - 1], cross)
        cross = hidden**2 * V + x[t] * z[t + shift] + bias**2
        tangent = cross + hidden**2 * slope * tangent
    V, slope = arc(size[0][-1], size[1][-1], cross)
    return V + slope * tangent


def arc(a, b, c):
    r = np.clip(c / np.sqrt(a * b), -1, 1)
    r = 1.0 if r > 1 - 1e-14 else r  # a series with itself; others of these are further apart
    open_angle = np.pi - np.arccos(r)
    return np.sqrt(a * b) * (np.sqrt(1 - r * r) + r * open_angle) / (2 * np.pi), open_angle / (2 * np.pi)


def test_scores_are_kernel_ridge_on_the_recurrent_kernel():
    X, y = waves(ragged=True)
    model = RecurrentKernelClassifier(KERNEL, ridge=0.1, standardize=False).fit(X[:20], y[:20])
    flat = [series[:, 0] for series in X]
    K = np.array([[rntk(a, b) for b in flat[:20]] for a in flat])
    target = np.eye(2)[y[:20]]
    mean = target.mean(axis=0)
    dual = np.linalg.solve(K[:20] + 0.1 * np.diag(K[:20]).mean() * np.eye(20), target - mean)
    expected = K[20:] @ dual + mean
    np.testing.assert_allclose(model.decision_function(X[20:]), expected[:, 1] - expected[:, 0], rtol=0, atol=1e-9)
    left_out = []
    for i in range(20):
        rest = np.arange(20) != i
        inner = K[:20][np.ix_(rest, rest)] + 0.1 * np.diag(K[:20]).mean() * np.eye(19)
        left_out.append(K[i, :20][rest] @ np.linalg.solve(inner, (target - mean)[rest]) + mean)
    np.testing.assert_allclose(model.leave_one_out_scores_, left_out, rtol=0, atol=1e-9)


@pytest.mark.parametrize("selection", ["leave_one_out", "svm", SupportVectorMachine(C=(1.0, 30.0), folds=4)])
@pytest.mark.parametrize("classes", [2, 3])
def test_waves_are_told_apart_and_probabilities_add_up(selection, classes):
    X, y = waves(60, ragged=True, classes=classes)
    names = np.array(["slow", "fast", "fastest"])[y]
    model = RecurrentKernelClassifier(FEW, selection=selection).fit(X[:45], names[:45])
    assert model.score(X[45:], names[45:]) >= 0.85
    proba = model.predict_proba(X[45:])
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert np.array_equal(model.classes_[proba.argmax(axis=1)], model.predict(X[45:]))
    assert model.leave_one_out_scores_.shape == (45, classes)
    assert len(model.selection_) == len(FEW)


def test_the_machine_is_that_of_libsvm_on_the_normalised_kernel():
    X, y = waves(45, classes=3)
    machine = SupportVectorMachine(C=(2.0,), folds=5)
    model = RecurrentKernelClassifier(KERNEL, standardize="series", selection=machine).fit(X[:30], y[:30])
    Z = (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)
    kernel = Normalized(KERNEL)
    svc = SVC(kernel="precomputed", C=2.0).fit(kernel(Z[:30]), y[:30])
    np.testing.assert_allclose(
        model.decision_function(X[30:]), svc.decision_function(kernel(Z[30:], Z[:30])), atol=1e-6
    )
    assert np.array_equal(model.predict(X[30:]), svc.predict(kernel(Z[30:], Z[:30])))
    assert model.ridge_ == 0.5
    assert model.kernel_ == kernel


def test_every_form_of_the_same_series_gives_the_same_model():
    X, y = waves()
    expected = RecurrentKernelClassifier(KERNEL, ridge=0.1).fit(X, y).predict_proba(X)
    forms = {
        "table": (X[:, :, 0], "auto"),
        "frame": (pd.DataFrame(X[:, :, 0]), "auto"),
        "list": (list(X), "auto"),
        "flat list": ([series[:, 0] for series in X], "auto"),
        "tensor": (torch.tensor(X), "auto"),
        "sequences": (Sequences(X), "auto"),
        "time last": (X.transpose(0, 2, 1), "time_last"),
        "time last list": ([series.T for series in X], "time_last"),
    }
    for name, (form, layout) in forms.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = RecurrentKernelClassifier(KERNEL, ridge=0.1, layout=layout).fit(form, y)
            np.testing.assert_allclose(model.predict_proba(form), expected, rtol=1e-12, err_msg=name)


def test_series_of_other_lengths_are_predicted_and_tables_keep_their_columns():
    X, y = waves(channels=2)
    model = RecurrentKernelClassifier(KERNEL, ridge=0.1).fit(X, y)
    assert (model.n_features_in_, model.channels_, model.fixed_length_) == (2, 2, 18)
    assert model.predict([series[: 10 + i] for i, series in enumerate(X[:5])]).shape == (5,)
    with pytest.raises(InvalidInput, match="2 channels"):
        model.predict(X[:, :, :1])
    table = X[:, :, 0]
    model = RecurrentKernelClassifier(KERNEL, ridge=0.1).fit(table, y)
    assert (model.n_features_in_, model.channels_, model.reads_table_) == (18, 1, True)
    with pytest.raises(InvalidInput, match="18 features"):
        model.predict(table[:, :10])
    assert model.predict(list(table[:, :10])).shape == (36,)
    model = RecurrentKernelClassifier(KERNEL, ridge=0.1).fit(list(X), y)
    assert model.fixed_length_ is None
    with pytest.raises(InvalidInput, match="2 channels"):
        model.predict(table)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([np.ones(3), np.ones(0), np.ones(2)], "series 1"),
        ([np.ones((3, 2)), np.ones((3, 1)), np.ones((3, 2))], "2 in series 0 and 1 in series 1"),
        ([np.ones(3), np.array([1, np.nan]), np.ones(2)], "series 1 at step 1"),
        (np.ones((3, 1, 40)), "time_last"),
        ([np.ones(3), np.ones(2)], "equal in number"),
        (np.ones((3, 0)), "0 feature"),
        ([], "there must be series"),
    ],
)
def test_bad_series_are_refused_in_one_line(X, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        RecurrentKernelClassifier(KERNEL).fit(X, [0, 1, 0])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"layout": "time_first"},
        {"selection": "forest"},
        {"standardize": "rows"},
        {"kernel": "dense"},
        {"kernel": "dense", "selection": "svm"},
    ],
)
def test_bad_options_are_refused(options):
    X, y = waves()
    with pytest.raises(InvalidInput):
        RecurrentKernelClassifier(**options).fit(X, y)


def test_kernels_that_compare_step_by_step_are_for_one_length():
    X, y = waves(24)
    stepwise = RecurrentGrid((1.2,), (1.0,), readouts=("stepwise",)).kernels()
    model = RecurrentKernelClassifier(stepwise).fit(X, y)
    assert model.predict(list(X[:3])).shape == (3,)
    with pytest.raises(InvalidInput, match=r"18 steps.*12 steps"):
        model.predict(X[:3, :12])


def test_series_of_one_length_are_also_compared_step_by_step():
    X, y = waves(24)
    readouts = [repr(row.kernel) for row in RecurrentKernelClassifier(ridge=0.1).fit(X, y).selection_]
    assert any("StepwiseAverage" in text for text in readouts)
    ragged = [repr(row.kernel) for row in RecurrentKernelClassifier(ridge=0.1).fit(list(X), y).selection_]
    assert not any("StepwiseAverage" in text for text in ragged)


def test_one_class_and_one_series_are_refused():
    X, _ = waves(8)
    for selection in ("leave_one_out", "svm"):
        with pytest.raises(InvalidInput, match="one class"):
            RecurrentKernelClassifier(KERNEL, selection=selection).fit(list(X), np.zeros(8))
        with pytest.raises(InvalidInput, match="two series"):
            RecurrentKernelClassifier(KERNEL, selection=selection).fit(list(X[:1]), [1])


@pytest.mark.parametrize("standardize", ["channels", "series", False])
def test_scaling_of_the_input_matters_where_it_should(standardize):
    X, y = waves(channels=2)
    model = RecurrentKernelClassifier(KERNEL, ridge=0.1, standardize=standardize)
    plain = model.fit(X, y).predict_proba(X)
    moved = X * np.array([3.0, 0.2]) + np.array([5.0, -7.0])
    assert np.allclose(clone(model).fit(moved, y).predict_proba(moved), plain) == (standardize is not False)
    level = X + np.random.default_rng(0).normal(size=(len(X), 1, 2))
    assert np.allclose(clone(model).fit(level, y).predict_proba(level), plain) == (standardize == "series")


@pytest.mark.parametrize("selection", ["leave_one_out", "svm"])
@pytest.mark.parametrize("form", ["ragged", "array", "table"])
def test_a_saved_classifier_predicts_the_same(tmp_path, selection, form):
    X, y = waves(36, channels=2 if form == "array" else 1, ragged=form == "ragged", classes=3)
    X = X[:, :, 0] if form == "table" else X
    model = RecurrentKernelClassifier(FEW[:2], selection=selection, standardize="series").fit(X, y)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert isinstance(again, RecurrentKernelClassifier)
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.kernel_ == model.kernel_
    assert again.get_params() == model.get_params()
    for name in ("fixed_length_", "channels_", "reads_table_", "n_features_in_", "ridge_"):
        assert getattr(again, name) == getattr(model, name)


def test_a_file_whose_parts_do_not_fit_is_refused():
    X, y = waves(8)
    model = RecurrentKernelClassifier(KERNEL, ridge=0.1).fit(X[:, :, 0], y)
    tensors, info = model._tensors(), model._info()
    assert np.array_equal(RecurrentKernelClassifier.from_state(tensors, info).predict(X), model.predict(X))
    for changed in (
        (tensors | {"lengths": tensors["lengths"] + 1}, info),
        (tensors | {"mean": np.zeros(2)}, info),
        (tensors | {"scale": np.zeros(1)}, info),
        (tensors | {"dual_coef": np.zeros((7, 2))}, info),
        (tensors, info | {"fixed_length": 17}),
        (tensors, info | {"fixed_length": None}),
    ):
        with pytest.raises(InvalidFile):
            RecurrentKernelClassifier.from_state(*changed)


def test_regression_reads_ragged_series_and_several_targets(tmp_path):
    rng = np.random.default_rng(0)
    X = [np.cumsum(rng.normal(size=(15 + i % 4, 1)), axis=0) for i in range(60)]
    y = np.array([[x[-1, 0] - x[-3, 0], x[-1, 0]] for x in X])
    model = RecurrentKernelRegressor(FEW).fit(X[:45], y[:45])
    assert model.predict(X[45:]).shape == (15, 2)
    assert model.score(X[45:], y[45:]) > 0.6
    model.save(tmp_path / "model")
    assert np.array_equal(load(tmp_path / "model").predict(X[45:]), model.predict(X[45:]))
    with pytest.raises(InvalidInput, match="must vary"):
        model.fit(X, np.ones(60))


def test_grid_search_takes_it():
    X, y = waves(24)
    search = GridSearchCV(RecurrentKernelClassifier(KERNEL), {"standardize": ["channels", "series"]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.5
    assert "kernel" in clone(search.best_estimator_).get_params()
