"""Loaders of split data sets on small files made in each format."""

import numpy as np
import pytest

from widenet.errors import InvalidFile
from widenet.experiments.uci_data import read_collection, read_npz, read_original


def assert_same(first, second):
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def test_npz_gives_back_what_was_written(tmp_path, iris_set, arrays_of):
    data = iris_set()
    np.savez(tmp_path / "irises.npz", **arrays_of(data))
    read = read_npz(tmp_path / "irises.npz")
    assert read.name == "irises"
    assert_same(arrays_of(read), arrays_of(data))


def test_original_layout_gives_back_what_was_written(tmp_path, iris_set, arrays_of, write_original):
    data = iris_set()
    read = read_original(write_original(tmp_path, data))
    assert read.name == "irises"
    assert_same(arrays_of(read), arrays_of(data))


def test_original_layout_may_tell_its_width_by_the_header_alone(tmp_path, iris_set, arrays_of, write_original):
    data = iris_set()
    place = write_original(tmp_path, data)
    (place / "irises.txt").write_text("n_clases= 3\n")
    assert_same(arrays_of(read_original(place)), arrays_of(data))


def test_collection_is_ordered_by_rows_and_says_what_it_leaves_out(tmp_path, iris_set, arrays_of, write_original):
    np.savez(tmp_path / "a-large.npz", **arrays_of(iris_set(60)))
    np.savez(tmp_path / "b-larger.npz", **arrays_of(iris_set(70)))
    write_original(tmp_path, iris_set(48, "c-small"))
    write_original(tmp_path, iris_set(48, "d-apart"), "n_patrons2= 12\n")
    (tmp_path / "notes").mkdir()
    collection = read_collection(tmp_path, most_rows=60)
    assert [data.name for data in collection.sets] == ["c-small", "a-large"]
    assert dict(collection.skipped) == {"b-larger": "70 rows, over 60", "d-apart": "has a separate test file"}


def test_folders_without_sets_say_what_belongs_there(tmp_path, iris_set, arrays_of):
    with pytest.raises(InvalidFile, match=r"NAME\.npz"):
        read_collection(tmp_path)
    with pytest.raises(InvalidFile, match="must be a folder"):
        read_collection(tmp_path / "none")
    np.savez(tmp_path / "large.npz", **arrays_of(iris_set()))
    with pytest.raises(InvalidFile, match="1 left out: large, 48 rows, over 10"):
        read_collection(tmp_path, most_rows=10)


def with_nan(a):
    a["X"][3, 1] = np.nan


def with_half_classes(a):
    a["y"] = a["y"] + 0.5


def with_a_row_too_far(a):
    a["fold2_test"] = np.append(a["fold2_test"], 48)


def with_negative_row(a):
    a["select_train"][0] = -1


def with_a_shared_row(a):
    a["fold0_test"][0] = a["fold0_train"][0]


def with_one_class(a):
    a["select_train"] = a["select_train"][a["y"][a["select_train"]] == 0]


def with_text(a):
    a["X"] = a["X"].astype(str)


def with_short_y(a):
    a["y"] = a["y"][:-1]


def with_empty_split(a):
    a["fold1_test"] = a["fold1_test"][:0]


def with_float_rows(a):
    a["fold1_test"] = a["fold1_test"].astype(float)


def without_a_fold(a):
    del a["fold3_test"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (with_nan, "NaN or infinity in 1 rows"),
        (with_half_classes, "classes must be whole numbers"),
        (with_a_row_too_far, "must lie in 0 ... 47"),
        (with_negative_row, "must lie in 0 ... 47"),
        (with_a_shared_row, "no row may both train and test"),
        (with_one_class, "two classes"),
        (with_text, "must hold numbers"),
        (with_short_y, "X must be"),
        (with_empty_split, "whole row numbers"),
        (with_float_rows, "whole row numbers"),
        (without_a_fold, "no fold3_test"),
    ],
)
def test_damaged_sets_are_refused(tmp_path, damage, words, iris_set, arrays_of):
    arrays = {name: array.copy() for name, array in arrays_of(iris_set()).items()}
    damage(arrays)
    np.savez(tmp_path / "irises.npz", **arrays)
    with pytest.raises(InvalidFile, match=words) as caught:
        read_collection(tmp_path)
    assert "irises" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04 cut off"])
def test_foreign_npz_files_are_refused(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(InvalidFile, match="bad"):
        read_collection(tmp_path)


def test_pickled_objects_are_not_loaded(tmp_path, iris_set, arrays_of):
    np.savez(tmp_path / "bad.npz", **arrays_of(iris_set()) | {"y": np.array([{}] * 48, dtype=object)})
    with pytest.raises(InvalidFile, match="plain arrays"):
        read_collection(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("irises_R.dat", "\tf1\tclase\n1\t0.5\t0\n", "3 fields in line 2"),
        ("irises_R.dat", "\tf1\tf2\tf3\tf4\tclase\n1\tone\t0\t0\t0\t0\n", "must hold numbers"),
        ("irises_R.dat", "\tf1\tf2\tf3\tf4\tclase\n", "only a header"),
        ("irises_R.dat", "", "must not be empty"),
        ("irises.txt", "n_entradas= four\n", "whole number"),
        ("conxuntos.dat", "0 1 2\n", "must have 2 lines"),
        ("conxuntos_kfold.dat", "0 1\n2 3\n" * 3, "must have 8 lines"),
        ("conxuntos.dat", "0 1 x\n2 3\n", "must hold row numbers"),
    ],
)
def test_damaged_original_files_are_refused(tmp_path, file, content, words, iris_set, write_original):
    place = write_original(tmp_path, iris_set())
    (place / file).write_text(content)
    with pytest.raises(InvalidFile, match=words):
        read_collection(tmp_path)


def test_a_missing_original_file_is_named(tmp_path, iris_set, write_original):
    place = write_original(tmp_path, iris_set())
    (place / "conxuntos_kfold.dat").unlink()
    with pytest.raises(InvalidFile, match=r"needs a readable conxuntos_kfold\.dat"):
        read_collection(tmp_path)
