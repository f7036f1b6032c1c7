"""Checkpoints of streams: the whole state comes back, foreign and broken files do not."""

import numpy as np
import pytest
import scipy.sparse
from safetensors import safe_open
from safetensors.numpy import save_file

from widenet.errors import FingerprintMismatch, InvalidFile
from widenet.estimators.feature_choice import Sample, Settings
from widenet.estimators.model_file import write_model
from widenet.estimators.ridge_stream import RidgeStream
from widenet.estimators.stream_state import read_stream, run_identity, write_stream
from widenet.features.fourier import FourierFeatures
from widenet.features.nystrom import Nystroem
from widenet.kernels import Laplace

RNG = np.random.default_rng(0)
DENSE = RNG.normal(size=(80, 5))
SPARSE = scipy.sparse.csr_array(np.where(DENSE > 0.5, DENSE, 0.0))


def begun(rows, maker):
    stream = RidgeStream(Settings(maker(Laplace(2.0), 20), 20, None, False, True, 0), 1, keep=True)
    sample = Sample(rows, RNG.normal(size=(80, 1)), np.ones(80))
    stream.begin(sample, np.float32)
    stream.add(sample)
    return stream, sample


@pytest.mark.parametrize(("rows", "maker"), [(DENSE, Nystroem), (DENSE, FourierFeatures), (SPARSE, FourierFeatures)])
def test_a_stream_comes_back_whole(rows, maker, tmp_path):
    stream, sample = begun(rows, maker)
    write_stream(tmp_path / "c", stream, "me", {"done": 80})
    found = read_stream(tmp_path / "c", stream.settings, "me", keep=True)
    assert found is not None
    again, facts = found
    assert facts == {"done": 80}
    for part in (stream, again):
        part.add(sample.take(slice(0, 30)))
    assert np.array_equal(again.solve().model.predict(rows), stream.solve().model.predict(rows))
    assert np.array_equal(again.left_out()[0], stream.left_out()[0])
    assert again.rows == stream.rows == 110


def test_other_files_are_refused(tmp_path):
    stream, _ = begun(DENSE, Nystroem)
    write_stream(tmp_path / "c", stream, "me", {})
    with pytest.raises(FingerprintMismatch, match="this run"):
        read_stream(tmp_path / "c", stream.settings, "you", keep=True)
    with safe_open(tmp_path / "c", framework="np") as file:
        tensors, info = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    for name in ("sums.gram", "map.lower", "mean", "sums.counts"):
        save_file({key: a for key, a in tensors.items() if key != name}, tmp_path / "broken", info)
        with pytest.raises(InvalidFile, match="whole checkpoint"):
            read_stream(tmp_path / "broken", stream.settings, "me", keep=True)
    for bad in (np.full_like(tensors["sums.gram"], np.nan), tensors["sums.gram"].astype(np.float16)):
        save_file(tensors | {"sums.gram": bad}, tmp_path / "broken", info)
        with pytest.raises(InvalidFile, match="whole checkpoint"):
            read_stream(tmp_path / "broken", stream.settings, "me", keep=True)
    write_model(tmp_path / "other", tensors, {"estimator": "FeatureRegressor"})
    with pytest.raises(InvalidFile, match="checkpoint"):
        read_stream(tmp_path / "other", stream.settings, "me", keep=True)
    assert read_stream(tmp_path / "none", stream.settings, "me", keep=True) is None


def test_identities_tell_settings_apart():
    same = run_identity("rows", {"ridge": 0.1, "features": Laplace(1.0)}, "FeatureRegressor")
    assert run_identity("rows", {"features": Laplace(1.0), "ridge": 0.1}, "FeatureRegressor") == same
    others = [
        run_identity("rows", {"ridge": 0.2, "features": Laplace(1.0)}, "FeatureRegressor"),
        run_identity("other", {"ridge": 0.1, "features": Laplace(1.0)}, "FeatureRegressor"),
        run_identity("rows", {"ridge": 0.1, "features": Laplace(1.0)}, "FeatureClassifier"),
    ]
    assert same not in others
