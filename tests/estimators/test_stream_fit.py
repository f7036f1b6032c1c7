"""Blocks under a memory limit, and cells that are no numbers."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.estimators.row_sources import ArrayRows, IterableRows, RowBlock
from widenet.estimators.stream_fit import (
    as_numbers,
    as_source,
    block_rows,
    finite_targets,
    fitted_encoder,
    known_labels,
)

SOURCE = ArrayRows(np.zeros((100, 8)), np.zeros(100))


def block(X, y, start=10):
    return RowBlock(X, np.asarray(y), start)


@pytest.mark.parametrize("limit", ["20 MB", "100 MB", 2**30])
def test_sums_features_and_rows_are_within_the_limit(limit):
    rows = block_rows(SOURCE, 512, 2, limit)
    held = 5 * 8 * 512**2 + rows * (512 * (4 + 8) + 8 * 8 * 3)
    assert held <= {"20 MB": 20e6, "100 MB": 100e6, 2**30: 2**30}[limit]
    assert 256 <= rows <= 16_384


def test_a_limit_that_is_too_small_is_refused():
    with pytest.raises(MemoryLimitExceeded, match="Ask for fewer features"):
        block_rows(SOURCE, 2048, 1, "100 MB")


def test_sources_are_recognised():
    assert as_source(SOURCE) is SOURCE
    assert isinstance(as_source([(np.zeros((2, 1)), np.zeros(2))]), IterableRows)
    with pytest.raises(InvalidInput, match="source"):
        as_source(3.0)


def test_rows_become_floats_and_sparse_ones_stay():
    assert as_numbers(block(np.ones((3, 8), dtype=int), np.zeros(3)), None, SOURCE).dtype == np.float64
    single = np.ones((3, 8), dtype=np.float32)
    assert as_numbers(block(single, np.zeros(3)), None, SOURCE).dtype == np.float32
    assert scipy.sparse.issparse(as_numbers(block(scipy.sparse.eye_array(8), np.zeros(8)), None, SOURCE))
    with pytest.raises(InvalidInput, match="must hold numbers"):
        as_numbers(block(np.array([["a"]]), [0.0]), None, SOURCE)
    with pytest.raises(InvalidInput, match=r"nan in row 12, column 3"):
        as_numbers(block(np.where(np.eye(4) * [0, 0, 1, 0], np.nan, 0.0)[1:], np.zeros(3)), None, SOURCE)


def test_rows_of_errors_are_those_of_the_source():
    frame = pd.DataFrame({"a": [1.5, 2.5, 3.5] * 10, "b": ["x", "y", "x"] * 10})
    encoder = fitted_encoder(block(frame, np.zeros(30)), SOURCE)
    frame = frame.assign(a=frame["a"].astype(object))
    frame.loc[4, "a"] = "wrong"
    with pytest.raises(InvalidInput, match="'wrong' in row 15"):
        as_numbers(block(frame, np.zeros(30)), encoder, SOURCE)
    numbers = np.arange(100, 400, 10)
    with pytest.raises(InvalidInput, match="'wrong' in row 141"):
        as_numbers(RowBlock(frame, np.zeros(30), 0, numbers), encoder, SOURCE)
    with pytest.raises(InvalidInput, match=r"infinity.*row 15"):
        fitted_encoder(
            block(pd.DataFrame({"a": np.where(np.arange(30) == 4, np.inf, 1.0 * np.arange(30))}), []), SOURCE
        )


def test_targets_are_finite_numbers():
    assert finite_targets(block(np.zeros((3, 1)), np.array([1, 2, 3])), SOURCE).tolist() == [[1.0], [2.0], [3.0]]
    text = np.array(["1.5", "2", "3"], dtype=object)
    assert finite_targets(block(np.zeros((3, 1)), text), SOURCE)[:, 0].tolist() == [1.5, 2.0, 3.0]
    for wrong in ([1.0, np.nan, 2.0], [1.0, np.inf, 2.0], np.array([1.0, "x", 2.0], dtype=object)):
        with pytest.raises(InvalidInput, match="row 12"):
            finite_targets(block(np.zeros((3, 1)), wrong), SOURCE)


def test_labels_are_known():
    assert known_labels(block(np.zeros((2, 1)), [3, 4]), SOURCE).dtype.kind == "i"
    assert known_labels(block(np.zeros((2, 1)), np.array([True, False], dtype=object)), SOURCE).dtype.kind == "b"
    mixed = known_labels(block(np.zeros((2, 1)), np.array([1, "x"], dtype=object)), SOURCE)
    assert mixed.tolist() == ["1", "x"]
    with pytest.raises(InvalidInput, match="row 12"):
        known_labels(block(np.zeros((2, 1)), np.array(["a", None], dtype=object)), SOURCE)
    with pytest.raises(InvalidInput, match="one a row"):
        known_labels(block(np.zeros((2, 1)), np.zeros((2, 2))), SOURCE)
