import numpy as np
import pytest

from widenet.errors import InvalidFile
from widenet.experiments.series_data import read_archive

ARRAYS = {
    "X_train": np.arange(12.0).reshape(4, 3).astype(np.float32),
    "y_train": np.array([1.0, 2.0, 1.0, 2.0]),
    "X_test": np.ones((2, 3)),
    "y_test": np.array([2.0, 3.0]),
}


def save(folder, name="Small", **changed):
    arrays = {key: value for key, value in (ARRAYS | changed).items() if value is not None}
    np.savez(folder / f"{name}.npz", **arrays)


def test_arrays_become_series_with_classes_from_0(tmp_path):
    save(tmp_path)
    (data,) = read_archive(tmp_path)
    assert data.name == "Small"
    assert [series.tolist() for series in data.train[:2]] == [[[0.0], [1.0], [2.0]], [[3.0], [4.0], [5.0]]]
    assert data.train[0].dtype == np.float64
    assert (data.y_train.tolist(), data.y_test.tolist()) == ([0, 1, 0, 1], [1, 2])
    assert (data.classes, data.lengths) == (("1", "2", "3"), (3, 3))


def test_nan_at_the_end_is_padding_in_arrays_of_channels_too(tmp_path):
    X = np.arange(24.0).reshape(4, 3, 2)
    X[1, 1:] = np.nan
    save(tmp_path, X_train=X, X_test=X[:2])
    (data,) = read_archive(tmp_path)
    assert [series.shape for series in data.train] == [(3, 2), (1, 2), (3, 2), (3, 2)]
    assert data.lengths == (1, 3)


def test_folders_of_the_archive_are_read_and_the_cheapest_comes_first(tmp_path):
    save(tmp_path, "Arrays")
    folder = tmp_path / "Text"
    folder.mkdir()
    (folder / "Text_TRAIN.tsv").write_text("b\t1\t2\na\t3\t4\n")
    (folder / "Text_TEST.tsv").write_text("a\t3\t4\n")
    text, arrays = read_archive(tmp_path)
    assert (text.name, arrays.name) == ("Text", "Arrays")
    assert (text.classes, text.y_train.tolist(), text.y_test.tolist()) == (("a", "b"), [1, 0], [0])
    assert [data.name for data in read_archive(tmp_path, ("Arrays",))] == ["Arrays"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"X_test": None}, "no X_test"),
        ({"X_train": np.zeros(4)}, r"\(4,\)"),
        ({"X_train": np.full((4, 3), "a")}, "numbers"),
        ({"X_train": np.full((4, 3), np.nan)}, "series 0"),
        ({"X_train": np.where(np.arange(12).reshape(4, 3) == 4, np.nan, 1.0)}, "series 1"),
        ({"X_train": np.where(np.arange(12).reshape(4, 3) == 4, np.inf, 1.0)}, "series 1"),
        ({"y_train": np.ones(3)}, "another number"),
        ({"y_train": np.ones(4)}, "one, '1'"),
        ({"y_test": np.ones((2, 1))}, r"\(2, 1\)"),
        ({"X_test": np.zeros((2, 3, 2))}, r"\[1, 2\]"),
    ],
)
def test_a_set_that_cannot_be_right_is_refused(tmp_path, changed, message):
    save(tmp_path, **changed)
    with pytest.raises(InvalidFile, match=message):
        read_archive(tmp_path)


def test_folders_without_the_sets_are_refused(tmp_path):
    with pytest.raises(InvalidFile, match="must be a folder"):
        read_archive(tmp_path / "absent")
    with pytest.raises(InvalidFile, match="must hold data sets"):
        read_archive(tmp_path)
    save(tmp_path)
    with pytest.raises(InvalidFile, match="must hold Other"):
        read_archive(tmp_path, ("Other",))
    (tmp_path / "Broken.npz").write_bytes(b"nothing")
    with pytest.raises(InvalidFile, match="plain arrays"):
        read_archive(tmp_path)
    (tmp_path / "Broken.npz").unlink()
    folder = tmp_path / "Half"
    folder.mkdir()
    (folder / "Half_TRAIN.tsv").write_text("1\t2\n2\t3\n")
    with pytest.raises(InvalidFile, match="Half_TEST"):
        read_archive(tmp_path)
