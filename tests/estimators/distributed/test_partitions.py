"""Rows in partitions: their forms, the work on each, the order of sums, and what is said of bad ones."""

import importlib
import operator
import sys
import threading

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import torch

from widenet.errors import InvalidInput, MissingPackage
from widenet.estimators.distributed.partitions import (
    aligned,
    map_partitions,
    read_rows,
    read_values,
    require_sizes,
    threads_of_task,
    tree_sum,
)


@pytest.fixture(autouse=True)
def _on_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def _frame() -> pd.DataFrame:
    return pd.DataFrame({"a": [1.5, 2.5, 3.5, 4.5], "b": [1, 2, 3, 4], "c": [True, False, True, True]})


def test_arrays_and_tables_become_arrays_that_are_cut_along_rows_only():
    X = np.arange(24.0).reshape(6, 4)
    rows = read_rows(da.from_array(X, chunks=(4, 2)))
    assert rows.chunks == ((4, 2), (4,))
    np.testing.assert_array_equal(rows.compute(), X)
    table = read_rows(dd.from_pandas(_frame(), npartitions=2))
    assert table.dtype == np.float64
    np.testing.assert_array_equal(table.compute(), _frame().to_numpy(np.float64))
    assert read_rows(da.ones((4, 2), dtype=np.float32)).dtype == np.float32
    assert read_rows(da.ones((4, 2), dtype=np.int64)).dtype == np.float64


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (np.ones((3, 2)), "X must be a dask array or data frame; got ndarray. Fit the estimator itself"),
        (da.ones(3), r"must be \(points, ..., channels\) with at least one of each; got shape \(3,\)"),
        (da.ones((3, 0)), r"got shape \(3, 0\)"),
        (da.ones((3, 2), dtype=np.float16), "float32 or float64; got X: float16"),
        (da.ones((3, 2), dtype=np.complex128), "float32 or float64; got X: complex128"),
        (dd.from_pandas(_frame().assign(d=list("xyzx")), npartitions=2), "got d: str.*Encode text"),
        (dd.from_pandas(_frame().assign(d=pd.Categorical(list("xyzx"))), npartitions=2), "got d: category"),
    ],
)
def test_rows_that_are_no_numbers(X, match):
    with pytest.raises(InvalidInput, match=match):
        read_rows(X)


def test_targets_are_cut_where_the_rows_are():
    X = da.ones((10, 2), chunks=(4, 2))
    assert read_values(da.arange(10, chunks=10), X).chunks == ((4, 4, 2),)
    assert read_values(da.ones((10, 3), chunks=(5, 1)), X).chunks == ((4, 4, 2), (3,))
    with pytest.raises(InvalidInput, match="y must have a row for each of the 10 of X; got 9 rows"):
        read_values(da.arange(9, chunks=9), X)
    with pytest.raises(InvalidInput, match=r"y must be \(n,\) or \(n, outputs\)"):
        read_values(da.ones((10, 2, 2)), X)


def test_unknown_sizes_need_as_many_partitions():
    table = dd.from_pandas(_frame(), npartitions=2)
    X = read_rows(table)
    assert aligned(table["a"].to_dask_array(), X, "y").numblocks == (2,)
    with pytest.raises(InvalidInput, match=r"got 1 and 2 partitions. Call compute_chunk_sizes"):
        aligned(da.ones(4), X, "y")
    with pytest.raises(InvalidInput, match="X must have partitions of known sizes; got 2 partitions of unknown"):
        require_sizes(X, "X")
    require_sizes(read_rows(table[["a"]].to_dask_array(lengths=True)), "X")


def _sum(number: int, X: np.ndarray) -> float:
    return X.sum()


def test_work_sees_each_partition_whole_and_in_order():
    X = np.arange(30.0).reshape(10, 3)
    rows = read_rows(da.from_array(X, chunks=((3, 0, 7), 2)))
    parts = dask.compute(*map_partitions(lambda number, x, y: (x, y), rows, da.arange(10, chunks=((3, 0, 7),))))
    assert [len(x) for x, _ in parts] == [3, 0, 7]
    np.testing.assert_array_equal(np.concatenate([x for x, _ in parts]), X)
    np.testing.assert_array_equal(np.concatenate([y for _, y in parts]), np.arange(10))


def test_work_on_points_with_positions():
    X = np.arange(48.0).reshape(4, 3, 2, 2)
    (first, second) = dask.compute(*map_partitions(_sum, read_rows(da.from_array(X, chunks=(2, 2, 1, 2)))))
    assert (first, second) == (X[:2].sum(), X[2:].sum())


def test_loading_and_work_are_one_task():
    loaded = da.ones((8, 2), chunks=(2, 2)).map_blocks(lambda block: block + 1)
    (optimised,) = dask.optimize(tree_sum(map_partitions(_sum, read_rows(loaded))))
    tasks = [task for task in dict(optimised.__dask_graph__()).values() if type(task).__name__ != "Alias"]
    assert len(tasks) == 4 + 3  # partitions and sums
    assert optimised.compute() == 32.0


def test_sums_follow_the_order_of_the_partitions():
    parts = [dask.delayed(name) for name in "abcdefg"]
    grouped = tree_sum([dask.delayed(operator.add)(dask.delayed(operator.add)("(", part), ")") for part in parts])
    assert grouped.compute() == "(a)(b)(c)(d)(e)(f)(g)"
    big = [1e16, 1.0, -1e16, 1.0]  # (1e16 + 1) + (-1e16 + 1) as a tree; 1 in the order of a plain sum
    assert tree_sum([dask.delayed(number) for number in big]).compute() == (1e16 + 1.0) + (-1e16 + 1.0)


def _same_length(number: int, X: np.ndarray, y: np.ndarray) -> int:
    return len(X) + len(y)


def test_a_bad_partition_is_named():
    def refuse(number: int, X: np.ndarray) -> None:
        if X[0, 0] == 4:
            raise InvalidInput("X must be finite", "NaN in row 1", "Drop it")

    rows = read_rows(da.from_array(np.arange(8.0).reshape(8, 1), chunks=(2, 1)))
    with pytest.raises(InvalidInput, match=r"in partition 2, X must be finite; got NaN in row 1. Drop it"):
        dask.compute(*map_partitions(refuse, rows))


def test_partitions_of_other_dtypes_or_lengths_than_declared():
    blocks = [dask.delayed(np.ones)((2, 1), dtype) for dtype in (np.float64, np.float32)]
    rows = read_rows(da.concatenate([da.from_delayed(block, (2, 1), np.float64) for block in blocks]))
    with pytest.raises(InvalidInput, match=r"in partition 1, .* all have the dtype float64; got float32"):
        dask.compute(*map_partitions(_sum, rows))
    table = dd.from_pandas(_frame(), npartitions=2)
    shorter = table["a"][table["a"] < 4].to_dask_array()
    with pytest.raises(InvalidInput, match=r"in partition 1, .* equally long; got \[2, 1\] rows"):
        dask.compute(*map_partitions(_same_length, read_rows(table), shorter))


def test_threads_outside_a_worker():
    before = torch.get_num_threads()
    seen = []

    def look() -> None:
        torch.set_num_threads(2)
        with threads_of_task({}):
            seen.append(torch.get_num_threads())
        seen.append(torch.get_num_threads())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [1, 2]
    with threads_of_task({}):
        assert torch.get_num_threads() == before


def test_without_dask_the_package_says_what_to_install(monkeypatch):
    name = "widenet.estimators.distributed.partitions"
    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingPackage, match=r"needs Dask; .*Install it with: pip install 'widenet\[dask\]'") as caught:
        importlib.import_module(name)
    assert isinstance(caught.value, ImportError)
