"""Rows read in blocks are the rows themselves, and samples of them are fair."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import zarr

from widenet.errors import InvalidInput
from widenet.estimators.row_sources import ArrayRows, IterableRows, held_bytes, joined_rows


def rows(n=57):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 3)), np.arange(float(n))


def dense(X):
    if isinstance(X, pd.DataFrame):
        return X.to_numpy()
    return X.toarray() if scipy.sparse.issparse(X) else np.asarray(X)


def every_source(tmp_path):
    X, y = rows()
    np.save(tmp_path / "X.npy", X)
    stored = zarr.create_array(str(tmp_path / "X.zarr"), shape=X.shape, chunks=(10, 3), dtype="f8")
    stored[:] = X
    blocks = [(X[:20], y[:20]), (X[20:], y[20:])]
    return {
        "array": ArrayRows(X, y),
        "mapped": ArrayRows(np.load(tmp_path / "X.npy", mmap_mode="r"), y),
        "zarr": ArrayRows(stored, y),
        "sparse": ArrayRows(scipy.sparse.csr_array(X), y),
        "list": IterableRows(blocks),
        "function": IterableRows(lambda: iter(blocks)),
        "iterator": IterableRows(iter(blocks)),
        "frames": IterableRows([(pd.DataFrame(part), target) for part, target in blocks]),
    }


NAMES = ["array", "mapped", "zarr", "sparse", "list", "function", "iterator", "frames"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("start", [0, 7, 20, 56])
def test_blocks_are_the_rows(name, start, tmp_path):
    X, y = rows()
    blocks = list(every_source(tmp_path)[name].blocks(13, start))
    assert max(len(block) for block in blocks) <= 13
    assert blocks[0].start == start
    assert [block.start for block in blocks[1:]] == list(start + np.cumsum([len(block) for block in blocks])[:-1])
    whole = joined_rows(blocks)
    assert np.array_equal(dense(whole.X), X[start:])
    assert np.array_equal(whole.y, y[start:])


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_holds_rows_with_their_targets_in_order(name, tmp_path):
    X, y = rows()
    source = every_source(tmp_path)[name]
    part = source.sample(10, seed=1)
    assert len(part) == 10
    assert (np.diff(part.y) > 0).all()
    assert np.array_equal(dense(part.X), X[part.y.astype(int)])
    # An iterator still gives all of its rows afterwards.
    assert np.array_equal(joined_rows(list(source.blocks(9))).y, y)


@pytest.mark.parametrize("name", ["array", "zarr", "list"])
def test_a_sample_is_fair(name, tmp_path):
    source = every_source(tmp_path)[name]
    counts = np.zeros(57)
    for seed in range(200):
        counts[source.sample(10, seed).y.astype(int)] += 1
    share = 10 / 57
    # A binomial count of 200 draws: 5 standard deviations.
    assert np.abs(counts / 200 - share).max() < 5 * np.sqrt(share * (1 - share) / 200)
    assert len(source.sample(100, 0)) == 57


def test_an_iterator_is_sampled_from_its_first_rows():
    blocks = [(np.full((10, 1), float(i)), np.arange(10.0)) for i in range(5)]
    source = IterableRows(iter(blocks))
    assert set(source.sample(15, 0).X[:, 0]) == {0.0, 1.0}
    assert sum(map(len, source.blocks(100))) == 50


def test_identities_tell_rows_apart():
    X, y = rows()
    changed = X.copy()
    changed[-1] += 1
    identities = [ArrayRows(X, y).identity(), ArrayRows(X.astype(np.float32), y).identity()]
    identities += [ArrayRows(changed, y).identity(), ArrayRows(X[1:], y[1:]).identity(), ArrayRows(X, y + 1).identity()]
    assert len(set(identities)) == 5
    assert ArrayRows(X.copy(), y.copy()).identity() == identities[0]


def test_bytes_of_a_row(tmp_path):
    sources = every_source(tmp_path)
    assert [sources[name].row_bytes() for name in ("array", "zarr", "list", "iterator", "frames")] == [24] * 5
    assert held_bytes(scipy.sparse.csr_array(np.eye(4))) == 4 * (8 + 4) + 5 * 4


@pytest.mark.parametrize(
    "make",
    [
        lambda: ArrayRows(np.zeros((3, 2)), np.zeros(2)),
        lambda: ArrayRows(np.zeros(3), np.zeros(3)),
        lambda: IterableRows([]),
        lambda: IterableRows([np.zeros((3, 2))]),
        lambda: IterableRows([(np.zeros((3, 2)), np.zeros(4))]),
        lambda: ArrayRows(np.zeros((0, 2)), np.zeros(0)).sample(5, 0),
    ],
)
def test_what_is_no_source_is_refused(make):
    with pytest.raises(InvalidInput):
        make()
