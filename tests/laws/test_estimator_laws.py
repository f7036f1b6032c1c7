"""What holds for every estimator: scikit-learn's own checks, weights as repetitions, files, garbage."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from widenet.errors import InvalidFile, InvalidInput, MemoryLimitExceeded
from widenet.estimators import load
from widenet.estimators.persistence import ESTIMATORS
from widenet.estimators.recurrent_grid import RecurrentGrid
from widenet.estimators.time_series import SeriesEstimator
from widenet.kernels import Laplace

EVERY = sorted(ESTIMATORS)


def rows_and_target(name, n=40, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    y = np.sin(2 * X[:, 0]) + X[:, 1] ** 2
    return X, (np.array(["low", "high"])[(y > np.median(y)).astype(int)] if "Classifier" in name else y)


# The default grid of the recurrent estimators passes too, in minutes.
FEW = RecurrentGrid(hidden_std=(1.4,), bias_std=(0.1, 1.0)).kernels()


@parametrize_with_checks(
    [cls(kernel=FEW) if issubclass(cls, SeriesEstimator) else cls() for cls in ESTIMATORS.values()]
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", EVERY)
def test_default_passes_a_repeated_fit_bit_for_bit(name):
    X, y = rows_and_target(name)
    model = ESTIMATORS[name]()
    assert np.array_equal(model.fit(X, y).predict(X), clone(model).fit(X, y).predict(X))


@pytest.mark.parametrize("name", EVERY)
def test_weight_two_is_a_row_given_twice(name):
    X, y = rows_and_target(name)
    weight = np.arange(len(X)) % 3
    weighted = ESTIMATORS[name]().fit(X, y, sample_weight=weight)
    repeated = ESTIMATORS[name]().fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert weighted.ridge_ == repeated.ridge_
    assert [c.kernel for c in weighted.selection_] == [c.kernel for c in repeated.selection_]
    both = weighted._expansion(X), repeated._expansion(X)
    np.testing.assert_allclose(*both, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("kernel", ["auto", Laplace(1.5), (Laplace(1.0), Laplace(3.0))])
def test_a_saved_model_predicts_the_same(name, kernel, tmp_path):
    X, y = rows_and_target(name)
    model = ESTIMATORS[name](kernel=kernel).fit(X, y)
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert type(again) is type(model)
    assert np.array_equal(again.predict(X), model.predict(X))
    assert repr(again.get_params()) == repr(model.get_params())
    assert again.selection_ == model.selection_
    assert again.kernel_ == model.kernel_
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_scores_survive_a_file(tmp_path):
    X, y = rows_and_target("KernelClassifier")
    model = ESTIMATORS["KernelClassifier"](Laplace(1.0)).fit(X, y)
    model.save(tmp_path / "m")
    assert np.array_equal(load(tmp_path / "m").predict_proba(X), model.predict_proba(X))
    X, y = rows_and_target("GaussianProcess")
    process = ESTIMATORS["GaussianProcess"](Laplace(1.0)).fit(X, y)
    process.save(tmp_path / "m")
    again = load(tmp_path / "m")
    np.testing.assert_allclose(again.predict_std(X), process.predict_std(X), rtol=1e-12)
    assert again.log_marginal_likelihood() == pytest.approx(process.log_marginal_likelihood(), rel=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_bad_rows_are_refused_in_one_line(name):
    X, y = rows_and_target(name)
    model = ESTIMATORS[name](Laplace(1.0), ridge=0.1)
    cases = {
        "NaN": (np.where(np.arange(3) == 1, np.nan, X), y),
        "infinity": (np.where(np.arange(3) == 1, np.inf, X), y),
        "one row": (X[:1], y[:1]),
        "no rows": (X[:0], y[:0]),
        "text": (np.full((len(X), 2), "a"), y),
        "constant": (X, np.full(len(y), y[0])),
        "unequal": (X[:-1], y),
    }
    for case, (rows, target) in cases.items():
        with pytest.raises(InvalidInput) as caught:
            model.fit(rows, target)
        assert len(str(caught.value)) > 20, case
    fitted = model.fit(X, y)
    for rows in (X[:, :2], np.full((2, 3), np.nan)):
        with pytest.raises(InvalidInput):
            fitted.predict(rows)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    "options",
    [
        {"kernel": "rbf"},
        {"kernel": ()},
        {"kernel": 3},
        {"ridge": -1.0},
        {"ridge": "x"},
        {"combine": 0},
        {"standardize": "no"},
        {"standardize": None},
        {"standardize": 3},
        {"ridge": 0.1, "kernel": lambda X, Y=None: np.ones(3)},
        {"ridge": 0.1, "kernel": lambda X, Y=None: np.full((len(X), len(X)), np.nan)},
    ],
)
def test_bad_parameters_are_refused(name, options):
    X, y = rows_and_target(name)
    with pytest.raises(InvalidInput):
        ESTIMATORS[name](**options).fit(X, y)


@pytest.mark.parametrize("name", EVERY)
def test_a_matrix_that_cannot_fit_is_refused_before_work(name):
    X = np.zeros((1_000_000, 1))
    X[0] = 1
    model = ESTIMATORS[name]()
    if name in ("KernelClassifier", "KernelRegressor"):  # by default these take landmarks
        model.set_params(solver="exact")
    with pytest.raises(MemoryLimitExceeded, match="rows would fit"):
        model.fit(X, np.arange(1_000_000) % 2)


@pytest.mark.parametrize("name", EVERY)
def test_zero_rows_do_not_stop_the_choice(name):
    X, y = rows_and_target(name)
    X[:5] = 0.0
    y[:5] = y[0]
    model = ESTIMATORS[name](standardize=False).fit(X, y)
    predicted = model.predict(X)
    assert len(set(predicted[:5].tolist())) == 1
    assert model.score(X[5:], y[5:]) > 0.8


@pytest.mark.parametrize("name", EVERY)
def test_a_kernel_that_is_no_value_cannot_be_saved(name, tmp_path):
    X, y = rows_and_target(name)
    model = ESTIMATORS[name](lambda X, Y=None: Laplace(1.0)(X, Y), ridge=0.1).fit(X, y)
    with pytest.raises(InvalidInput, match="can be saved"):
        model.save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_cannot_be_written(tmp_path):
    X, y = rows_and_target("KernelRegressor")
    model = ESTIMATORS["KernelRegressor"](Laplace(1.0), ridge=0.1).fit(X, y)
    with pytest.raises(InvalidFile, match="written"):
        model.save(tmp_path / "missing" / "model")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    contents = []
    for name in EVERY:
        X, y = rows_and_target(name, n=8)
        ESTIMATORS[name](Laplace(1.0), ridge=0.1).fit(X, y).save(folder / name)
        contents.append((folder / name).read_bytes())
    return folder, contents


@settings(deadline=None, max_examples=100)
@given(garbage=st.binary(max_size=300))
def test_garbage_is_an_invalid_file(saved, garbage):
    path = saved[0] / "garbage"
    path.write_bytes(garbage)
    with pytest.raises(InvalidFile):
        load(path)


@settings(deadline=None, max_examples=150)
@given(which=st.integers(0, len(EVERY) - 1), share=st.floats(0, 0.999))
def test_a_truncated_model_is_an_invalid_file(saved, which, share):
    path = saved[0] / "truncated"
    path.write_bytes(saved[1][which][: int(share * len(saved[1][which]))])
    with pytest.raises(InvalidFile):
        load(path)


def outcome(path):
    """Name of the estimator in a file, or "InvalidFile"; any other exception passes through."""
    try:
        return type(load(path)).__name__
    except InvalidFile:
        return "InvalidFile"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=200)
@given(which=st.integers(0, len(EVERY) - 1), data=st.data())
def test_a_model_with_one_field_replaced_loads_or_is_an_invalid_file(saved, which, data):
    content = saved[1][which]
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    info = json.loads(header["__metadata__"]["model"])
    info[data.draw(st.sampled_from(sorted(info)))] = data.draw(json_values)
    header["__metadata__"]["model"] = json.dumps(info)
    changed = json.dumps(header).encode()
    path = saved[0] / "changed"
    path.write_bytes(struct.pack("<Q", len(changed)) + changed + content[8 + size :])
    assert outcome(path) in ("InvalidFile", EVERY[which])


@settings(deadline=None, max_examples=200)
@given(which=st.integers(0, len(EVERY) - 1), place=st.floats(0, 0.999), byte=st.integers(0, 255))
def test_a_model_with_one_byte_replaced_loads_or_is_an_invalid_file(saved, which, place, byte):
    content = bytearray(saved[1][which])
    content[int(place * len(content))] = byte
    path = saved[0] / "flipped"
    path.write_bytes(bytes(content))
    assert outcome(path) in ("InvalidFile", *EVERY)
