"""Tables on disk in blocks, against pandas reading the whole file."""

import numpy as np
import pandas as pd
import pytest
import zarr

from widenet.errors import InvalidFile, InvalidInput
from widenet.estimators.row_sources import joined_rows
from widenet.estimators.table_sources import CSVRows, ParquetRows, open_rows

KINDS = ["parquet", "csv", "tsv"]


def table(n=90):
    rng = np.random.default_rng(0)
    words = np.array(["red", "green", None], dtype=object)
    frame = pd.DataFrame({"size": rng.normal(size=n), "colour": words[rng.integers(0, 3, n)], "price": np.arange(n)})
    frame.loc[4, "size"] = np.nan
    return frame


def written(tmp_path, kind, frame=None):
    frame = table() if frame is None else frame
    path = tmp_path / f"table.{kind}"
    if kind == "parquet":
        frame.to_parquet(path, row_group_size=25)
    else:
        frame.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("start", [0, 25, 37, 89])
def test_blocks_are_the_rows_of_the_table(kind, start, tmp_path):
    source = open_rows(written(tmp_path, kind), "price")
    blocks = list(source.blocks(20, start))
    assert max(map(len, blocks)) <= 20
    assert blocks[0].start == start
    whole = joined_rows(blocks)
    expected = table().drop(columns="price").iloc[start:].reset_index(drop=True)
    pd.testing.assert_frame_equal(whole.X.reset_index(drop=True), expected, check_dtype=False)
    assert np.array_equal(whole.y, np.arange(start, 90))


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_asked_columns_are_read(kind, tmp_path):
    source = open_rows(written(tmp_path, kind), "price", ["size"])
    assert all(list(block.X.columns) == ["size"] for block in source.blocks(50))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_drawn_from_the_whole_file(kind, tmp_path):
    source = open_rows(written(tmp_path, kind), "price")
    counts = np.zeros(90)
    for seed in range(60):
        part = source.sample(9, seed)
        counts[part.y.astype(int)] += 1
        np.testing.assert_array_equal(part.X["size"], table()["size"][part.y])
    assert np.abs(counts / 60 - 0.1).max() < 5 * np.sqrt(0.1 * 0.9 / 60)


def test_a_parquet_file_knows_its_rows_and_a_text_file_does_not(tmp_path):
    assert ParquetRows(written(tmp_path, "parquet"), "price").rows == 90
    assert CSVRows(written(tmp_path, "csv"), "price").rows is None


def test_semicolons_and_decimal_commas_are_found(tmp_path):
    path = tmp_path / "european.csv"
    path.write_text("a;b;y\n1,5;x;2\n2,5;z;3\n")
    (block,) = CSVRows(path, "y").blocks(10)
    assert block.X["a"].tolist() == [1.5, 2.5]
    path.write_text("a;b;y\n1.5;x;2\n2.5;z,w;3\n")
    (block,) = CSVRows(path, "y").blocks(10)
    assert block.X["a"].tolist() == [1.5, 2.5]


def test_an_identity_follows_the_file_and_the_columns(tmp_path):
    path = written(tmp_path, "csv")
    first = CSVRows(path, "price").identity()
    assert CSVRows(path, "price", ("size",)).identity() != first
    written(tmp_path, "csv", table(91))
    assert CSVRows(path, "price").identity() != first


def test_arrays_on_disk(tmp_path):
    X, y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30.0)
    for name, array in (("X", X), ("y", y)):
        np.save(tmp_path / f"{name}.npy", array)
        zarr.save_array(str(tmp_path / f"{name}.zarr"), array)
    for kind in ("npy", "zarr"):
        whole = joined_rows(list(open_rows(tmp_path / f"X.{kind}", tmp_path / f"y.{kind}").blocks(8)))
        assert np.array_equal(whole.X, X)
        assert np.array_equal(whole.y, y)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_column_is_named_with_its_nearest(kind, tmp_path):
    path = written(tmp_path, kind)
    with pytest.raises(InvalidInput, match=r"no column 'prize' in table.*'price'"):
        open_rows(path, "prize")
    with pytest.raises(InvalidInput, match="no column 'weight'"):
        open_rows(path, "price", ["weight"])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.parquet", b"PAR1 no", "Parquet table"),
        ("a.csv", b"", "an empty file"),
        ("a.csv", b"a,b\n1,2\n3,4,5\n", "line 3|rows as long as its header"),
        ("a.csv", b"a,b\n1,\xff\n", "UTF-8"),
        ("a.xlsx", b"1", "must be in a .parquet"),
        ("a.npy", b"1", "must be an array"),
    ],
)
def test_what_is_no_table_is_an_invalid_file(name, content, words, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidFile, match=words):
        list(open_rows(path, "b" if path.suffix != ".npy" else path).blocks(10))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InvalidFile, match="nothing there"):
        open_rows(tmp_path / "none.csv", "y")


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text("a,a,y\n1,2,3\n")
    with pytest.raises(InvalidInput, match="'a' twice"):
        open_rows(path, "y")
