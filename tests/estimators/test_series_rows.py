import numpy as np
import pandas as pd
import pytest
import torch

from widenet.errors import InvalidFile, InvalidInput
from widenet.estimators.series_rows import (
    Block,
    SeriesScaler,
    cast_rows,
    collect,
    is_table,
    join,
    kernel_points,
    read_collection,
    split,
    table_rows,
)
from widenet.kernels import Sequences


@pytest.mark.parametrize(
    ("X", "table"),
    [
        (Sequences(np.zeros((2, 3))), False),
        (np.zeros((2, 3)), True),
        (np.zeros((2, 3, 1)), False),
        (torch.zeros(2, 3, 1), False),
        (np.zeros(3), True),
        ([[1.0, 2.0], [3.0, 4.0]], True),
        ([[1.0, 2.0], [3.0]], False),
        ([[[1.0], [2.0]], [[3.0], [4.0]]], False),
        ([np.zeros(3), np.zeros(3)], False),
        ((torch.zeros(3), torch.zeros(4)), False),
        (collect([np.zeros(3), np.zeros(4)]), False),
        (np.array([["a", 1.0]], dtype=object), True),
        (pd.DataFrame({"a": [1.0]}), True),
        ([1.0, 2.0], True),
        ([], False),
    ],
)
def test_tables_are_told_from_collections_of_series(X, table):
    assert is_table(X) == table


def test_series_are_steps_by_channels_in_every_layout():
    first, second = np.arange(6.0).reshape(3, 2), np.arange(4.0).reshape(2, 2)
    for X, layout in (
        ([first, second], "auto"),
        ([first, second], "channels_last"),
        ([first.T, second.T], "time_last"),
        ([torch.tensor(first), second.astype(np.int64)], "auto"),
        ([first.tolist(), second.tolist()], "auto"),
        (Sequences(np.stack([first, np.vstack([second, [[9, 9]]])]), np.array([[1, 1, 1], [1, 1, 0]]) > 0), "auto"),
    ):
        read = read_collection(X, layout)
        assert [values.tolist() for values in read] == [first.tolist(), second.tolist()]
        assert all(values.dtype == np.float64 for values in read)
    for layout in ("auto", "time_last"):
        assert [values.shape for values in read_collection([[1, 2, 3], [4]], layout)] == [(3, 1), (1, 1)]
    assert [values.tolist() for values in table_rows(np.array([[1.0, 2.0], [3.0, 4.0]]))] == [[[1], [2]], [[3], [4]]]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((0, 3, 1)), "must be series"),
        ([np.zeros(0), np.zeros(2)], r"at least one step and one channel; got \(0,\) in series 0"),
        ([np.zeros((2, 2)), np.zeros((2, 1))], "2 in series 0 and 1 in series 1"),
        ([np.array([1.0, np.nan, 2.0])], "series 0 at step 1"),
        ([[1.0, 2.0], [1.0, np.inf, 3.0]], "series 1 at step 1"),
        ([["a", "b"], ["c"]], "text or unequal steps in series 0"),
        ([[[1.0], [2.0, 3.0]]], "unequal steps in series 0"),
        (np.zeros((2, 3, 4, 5)), r"\(3, 4, 5\) in series 0"),
        (np.zeros((2, 1, 128)), "at most 1 steps of 128 channels.*time_last"),
    ],
)
def test_what_is_no_series_is_refused(X, message):
    with pytest.raises(InvalidInput, match=message):
        read_collection(X, "auto")


def test_few_steps_of_many_channels_are_taken_where_the_layout_is_told():
    assert read_collection(np.zeros((2, 1, 5)), "channels_last")[0].shape == (1, 5)
    assert read_collection(np.zeros((2, 1, 5)), "time_last")[0].shape == (5, 1)


def test_kernels_get_an_array_where_lengths_are_equal_and_a_list_otherwise():
    assert kernel_points(collect([np.zeros((3, 2)), np.ones((3, 2))])).shape == (2, 3, 2)
    ragged = kernel_points(collect([np.zeros((3, 2)), np.ones((4, 2))]))
    assert isinstance(ragged, list)
    assert [values.shape for values in ragged] == [(3, 2), (4, 2)]
    table = np.zeros((2, 3))
    assert kernel_points(table) is table
    assert {values.dtype for values in cast_rows(collect([np.zeros((3, 1))]), np.float32)} == {np.dtype(np.float32)}
    assert cast_rows(table, np.float32).dtype == np.float32


def test_series_end_to_end_come_back():
    rows = collect([np.random.default_rng(i).normal(size=(i + 1, 2)) for i in range(4)])
    block = join(rows)
    assert (block.values.shape, block.lengths.tolist()) == ((10, 2), [1, 2, 3, 4])
    assert all(np.array_equal(a, b) for a, b in zip(split(block), rows, strict=True))
    for lengths in ([1, 2, 3], [1, 2, 3, 4.5], [0, 2, 4, 4], [-1, 3, 4, 4], []):
        with pytest.raises(InvalidFile, match="lengths"):
            split(Block(block.values, np.array(lengths, dtype=np.float64)))


def test_each_series_has_mean_0_and_variance_1_by_itself():
    rng = np.random.default_rng(0)
    rows = collect([rng.normal(5.0, 3.0, size=(7, 2)), rng.normal(-1e6, 1e-3, size=(9, 2)), np.full((4, 2), 0.1)])
    moved = SeriesScaler(True, np.zeros(2), np.ones(2)).transform(rows, np.float64)
    for values in moved[:2]:
        np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(values.std(axis=0), 1, atol=1e-9)
    assert (moved[2] == 0).all()
    large = SeriesScaler(True, np.zeros(1), np.ones(1)).transform(collect([np.array([[1e300], [-1e300]])]), np.float64)
    np.testing.assert_allclose(large[0][:, 0], [1, -1], rtol=1e-15)


def test_channels_are_moved_by_their_own_mean_and_scale():
    scaler = SeriesScaler(False, np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    (moved,) = scaler.transform(collect([np.array([[3.0, 2.0], [1.0, 6.0]])]), np.float32)
    assert moved.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert moved.dtype == np.float32
