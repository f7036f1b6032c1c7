"""Sets for the comparison of maps: disjoint parts, what is scaled, and what is kept sparse."""

import numpy as np
import pytest

from widenet.errors import InvalidFile
from widenet.experiments.sketching_data import digits, read_problems


def test_digits_are_cut_in_disjoint_parts_of_pixels_up_to_one():
    train, test = digits(100)
    assert train.X.shape == test.X.shape == (100, 64)
    assert train.X.dtype == np.float32
    assert train.X.max() == 1
    assert train.X.min() == 0
    both = np.concatenate([train.X, test.X])
    assert len(np.unique(both, axis=0)) == 200
    assert train.compressed is None


def test_files_are_standardised_or_kept_sparse(tmp_path):
    draws = np.random.default_rng(0)
    y = np.arange(300) % 3
    np.savez(tmp_path / "table.npz", X=draws.normal(5, 3, (300, 4)), y=y)
    np.savez(tmp_path / "hot.npz", X=(draws.random((300, 50)) < 0.1).astype(float), y=y)
    hot, table = read_problems(tmp_path, 100)
    assert [problem.name for problem in (hot[0], table[0])] == ["hot", "table"]
    assert np.array_equal(hot[0].compressed.toarray(), hot[0].X)
    assert set(np.unique(hot[0].X)) == {0, 1}
    assert table[0].compressed is None
    assert abs(np.concatenate([table[0].X, table[1].X]).mean()) < 0.2


def test_folders_without_sets_are_refused(tmp_path):
    with pytest.raises(InvalidFile):
        next(read_problems(tmp_path, 100))
    np.savez(tmp_path / "other.npz", Z=np.ones(3))
    with pytest.raises(InvalidFile, match="X and y"):
        next(read_problems(tmp_path, 100))
