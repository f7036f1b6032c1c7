import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widenet.errors import InvalidFile, InvalidInput
from widenet.estimators.table_encoder import TableEncoder
from widenet.experiments.predictor import Predictor
from widenet.experiments.tables import split_target
from widenet.kernels import Laplace

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"a": RNG.normal(size=50), "b": RNG.choice(["p", "q"], 50)})
FRAME["y"] = FRAME["a"] + (FRAME["b"] == "p") + 0.1 * RNG.normal(size=50)
FRAME["c"] = FRAME["a"] > 0


MIXED = FRAME.assign(
    d=pd.date_range("2020-01-01", periods=50, freq="5D").strftime("%d/%m/%Y"), e=[None, *range(49)], same=1
)[["a", "b", "d", "e", "same", "y", "c"]]


def fitted(target):
    table = split_target(FRAME.drop(columns="c" if target == "y" else "y"), target)
    return Predictor.fit(table, Laplace(3.0), 0.1)


def test_predictions_and_deviations_are_those_of_the_formulas():
    predictor = fitted("y")
    new = FRAME.iloc[:7].assign(a=lambda frame: frame["a"] + 0.3)
    X = TableEncoder().fit_transform(FRAME[["a", "b"]])
    Z = predictor.encoder.transform(new)
    y = FRAME["y"].to_numpy()

    def k(A, B):
        return np.exp(-np.linalg.norm(A[:, None] - B[None], axis=2) / 3.0)

    inverse = np.linalg.inv(k(X, X) + 0.1 * np.eye(50))
    mean = y.mean() + k(Z, X) @ inverse @ (y - y.mean())
    amplitude = (y - y.mean()) @ inverse @ (y - y.mean()) / 50
    variance = 1 - np.einsum("ij,jk,ik->i", k(Z, X), inverse, k(Z, X)) + 0.1
    predicted = predictor.predict(new)
    np.testing.assert_allclose(predicted["prediction"], mean, rtol=1e-9)
    np.testing.assert_allclose(predicted["std"], np.sqrt(amplitude * variance), rtol=1e-9)


def test_classes_come_back_as_they_stood_in_the_table():
    predicted = fitted("c").predict(FRAME)
    assert predicted["prediction"].dtype == bool
    assert np.mean(predicted["prediction"].to_numpy() == FRAME["c"].to_numpy()) > 0.9
    assert list(predicted.columns) == ["prediction", "probability of False", "probability of True"]
    np.testing.assert_allclose(predicted.iloc[:, 1:].sum(axis=1), 1.0)


@pytest.mark.parametrize("target", ["y", "c"])
def test_a_saved_model_predicts_the_same(tmp_path, target):
    predictor = fitted(target)
    predictor.save(tmp_path / "model")
    restored = Predictor.load(tmp_path / "model")
    pd.testing.assert_frame_equal(restored.predict(FRAME), predictor.predict(FRAME), rtol=1e-9)
    assert (restored.target_name, restored.task) == (predictor.target_name, predictor.task)
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_the_file_holds_arrays_and_json_alone(tmp_path):
    fitted("y").save(tmp_path / "model")
    with zipfile.ZipFile(tmp_path / "model") as archive:
        assert sorted(archive.namelist()) == ["model.safetensors", "table.json"]
        assert json.loads(archive.read("table.json"))["target"] == "y"
        size = int.from_bytes(archive.read("model.safetensors")[:8], "little")
        assert json.loads(archive.read("model.safetensors")[8 : 8 + size])


def test_columns_that_are_missing_are_named():
    with pytest.raises(InvalidInput, match="1 missing: b"):
        fitted("y").predict(FRAME[["a"]])


@pytest.fixture(scope="module")
def sound():
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        fitted("y").save(Path(folder) / "model")
        return (Path(folder) / "model").read_bytes()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Folder of the saved models of a table with every kind of column, one for each target."""
    folder = tmp_path_factory.mktemp("mixed")
    for target, other in (("y", "c"), ("c", "y")):
        table = split_target(MIXED.drop(columns=other), target)
        Predictor.fit(table, Laplace(3.0), 0.1).save(folder / target)
    return folder


def test_foreign_archives_and_missing_files_are_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("table.json", "{}")
        archive.writestr("model.safetensors", b"")
    (tmp_path / "foreign").write_bytes(buffer.getvalue())
    for name in ("foreign", "absent"):
        with pytest.raises(InvalidFile):
            Predictor.load(tmp_path / name)


@settings(max_examples=60, deadline=None)
@given(where=st.floats(0, 1), mask=st.integers(1, 255), cut=st.booleans())
def test_changed_files_give_a_model_or_an_error_of_ours(tmp_path_factory, sound, where, mask, cut):
    position = min(int(where * len(sound)), len(sound) - 1)
    changed = sound[:position] if cut else sound[:position] + bytes([sound[position] ^ mask]) + sound[position + 1 :]
    path = tmp_path_factory.mktemp("models") / "model"
    path.write_bytes(changed)
    try:
        outcome = Predictor.load(path).target_name
    except InvalidFile:  # any other exception fails the test
        outcome = "refused"
    assert outcome in ("y", "refused")


def places(value, path=()):
    """Every place in nested JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


def changed_about(content, path, new):
    """The file with one value of its table.json, or of the encoder's state inside, replaced."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        about, model = json.loads(archive.read("table.json")), archive.read("model.safetensors")
    about["encoder"] = json.loads(about["encoder"])
    inside = about
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = new
    about["encoder"] = json.dumps(about["encoder"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("table.json", json.dumps(about))
        archive.writestr("model.safetensors", model)
    return buffer.getvalue()


ABOUT = {"label_kind": "", "encoder": json.loads(TableEncoder().fit(MIXED.drop(columns=["y", "c"])).to_json())}
OTHER = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from([1.5, 0.0, -1.0, 1e400, float("nan"), 10**400]),
    st.sampled_from(["", "number", "category", "date", "dropped", "text", "integer", "missing", "%Q", "a", "b"]),
    st.sampled_from([[], {}, ["missing"], [1.0], [None], [1.0, 1.0]]),
)  # fmt: skip


@pytest.mark.parametrize("target", ["y", "c"])
@settings(max_examples=150, deadline=None)
@given(path=st.sampled_from([place for place in places(ABOUT) if place]), new=OTHER)
def test_a_changed_encoding_gives_a_model_that_predicts_or_an_error_of_ours(tmp_path_factory, mixed, target, path, new):
    path_of = tmp_path_factory.mktemp("models") / "model"
    path_of.write_bytes(changed_about((mixed / target).read_bytes(), path, new))
    try:
        predicted = len(Predictor.load(path_of).predict(MIXED))
    except (InvalidFile, InvalidInput):  # any other exception fails the test
        predicted = len(MIXED)
    assert predicted == len(MIXED)


@pytest.mark.parametrize(
    ("path", "new"),
    [
        (("label_kind",), "integer"),
        (("encoder", "columns", 0, "scales", 0), 0.0),
        (("encoder", "columns", 0, "means", 0), float("nan")),
        (("encoder", "columns", 0, "name"), ["a"]),
        (("encoder", "columns", 1, "parts", 0), "r"),
        (("encoder", "columns", 2, "date_format"), "%Q"),
        (("encoder", "columns", 2, "parts", 0), "century"),
        (("encoder", "max_categories"), 2.5),
    ],
)
def test_parts_that_cannot_be_are_refused(tmp_path, mixed, path, new):
    (tmp_path / "model").write_bytes(changed_about((mixed / "y").read_bytes(), path, new))
    with pytest.raises(InvalidFile, match="must be a model saved by `widenet fit`"):
        Predictor.load(tmp_path / "model")


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200))
def test_random_bytes_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("garbage") / "model"
    path.write_bytes(content)
    with pytest.raises(InvalidFile):
        Predictor.load(path)
