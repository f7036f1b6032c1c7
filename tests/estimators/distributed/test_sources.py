"""Samples of rows that lie in partitions, and blocks of them."""

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from widenet.errors import InvalidInput
from widenet.estimators.distributed.partitions import read_rows
from widenet.estimators.distributed.sources import DaskRows, PartitionRows, draw_rows, sample_points


@pytest.fixture(autouse=True)
def _on_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def source(rows: int = 1000, chunks: object = (300, 1)) -> DaskRows:
    numbers = np.arange(float(rows))
    return DaskRows(da.from_array(numbers[:, None], chunks=chunks), da.from_array(numbers, chunks=250))


def test_a_sample_has_each_row_at_most_once_in_order_and_with_its_target():
    drawn = source().sample(100, seed=0)
    assert len(drawn) == 100
    assert (np.diff(drawn.X[:, 0]) > 0).all()
    np.testing.assert_array_equal(drawn.X[:, 0], drawn.y)


def test_every_row_has_the_same_chance():
    counts, parts = np.zeros(60), np.split(np.arange(60.0), (7, 7, 40))
    for seed in range(400):
        drawn = [draw_rows(15, seed, False, number, part[:, None], part) for number, part in enumerate(parts)]
        counts[sum(drawn[1:], start=drawn[0]).block.y.astype(int)] += 1
    # Each row is drawn with probability 1/4: 400 draws have a standard deviation of 8.7; 60 rows stay within 4 of them.
    assert abs(counts - 100).max() < 4 * np.sqrt(400 * 0.25 * 0.75)
    for part in (slice(0, 7), slice(7, 40), slice(40, 60)):
        spread = np.sqrt(400 * 0.25 * 0.75 / (part.stop - part.start))
        assert abs(counts[part].mean() - 100) < 4 * spread


def test_the_number_of_rows_and_the_classes_come_with_the_sample():
    labels = np.array(["a", "b"] * 4 + ["c"])
    rows = DaskRows(da.ones((9, 2), chunks=(4, 2)), da.from_array(labels, chunks=3), classes=True)
    rows.sample(2, seed=0)
    assert rows.labels.tolist() == ["a", "b", "c"]
    frame = pd.DataFrame({"a": np.arange(10.0), "b": list("uvwxyzuvwx")})
    table = DaskRows(dd.from_pandas(frame, npartitions=3), dd.from_pandas(frame["a"], npartitions=3))
    assert (table.rows, table.is_table) == (None, True)
    pd.testing.assert_frame_equal(table.sample(20, seed=0).X.reset_index(drop=True), frame, check_dtype=False)
    assert table.rows == 10


def test_blocks_come_partition_by_partition():
    blocks = list(source(1000).blocks(200, start=250))
    assert [(block.start, len(block)) for block in blocks] == [
        (250, 50),
        (300, 200),
        (500, 100),
        (600, 200),
        (800, 100),
        (900, 100),
    ]
    np.testing.assert_array_equal(np.concatenate([block.y for block in blocks]), np.arange(250.0, 1000.0))


def test_sources_of_other_rows_have_other_names():
    assert source().identity() == source().identity()
    assert source().identity() != source(999).identity()
    assert source().row_bytes() == 8


def test_points_keep_their_form():
    X = np.random.default_rng(0).normal(size=(10, 2, 3))
    drawn = sample_points(read_rows(da.from_array(X, chunks=(4, 1, 3))), 20, seed=0)
    np.testing.assert_array_equal(drawn, X)


def test_rows_without_rows():
    empty = DaskRows(da.ones((4, 1))[da.zeros(4) > 1], da.ones(4)[da.zeros(4) > 1])
    with pytest.raises(InvalidInput, match="got partitions without rows"):
        empty.sample(3, seed=0)
    assert draw_rows(5, 0, False, 0, np.ones((0, 2)), np.ones(0)).block is None


def test_a_partition_needs_a_target_for_each_row():
    with pytest.raises(InvalidInput, match="partition 4 must have a target for each of 3 rows; got 2"):
        PartitionRows(4, np.ones((3, 1)), np.ones(2))
