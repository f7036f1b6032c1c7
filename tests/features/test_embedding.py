"""The book-keeping of features: sums, constants, lengths."""

import torch

from widenet.features.embedding import Budget, Embedding, joined, mixed_lowest, with_column

BUDGET = Budget(4, 10, 2, 0)


def _start(rows: torch.Tensor, last: bool = True) -> Embedding:
    return Embedding(rows, rows[:, :2], rows.square().sum(1), BUDGET, last=last, lowest=0.5)


def test_sums_of_independent_units_add_their_kernels():
    a, b = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 7, dtype=torch.float64)
    total = joined([_start(a), _start(b)], [1.0, 0.25])
    torch.testing.assert_close(total.covariance @ total.covariance.T, a @ a.T + 0.25 * b @ b.T)
    torch.testing.assert_close(total.square, (a @ a.T + 0.25 * b @ b.T).diagonal())
    assert total.tangent is not None
    torch.testing.assert_close(total.tangent @ total.tangent.T, a[:, :2] @ a[:, :2].T + 0.25 * b[:, :2] @ b[:, :2].T)
    assert total.lowest == 0.0


def test_constants_and_factors_change_the_second_moment_with_the_features():
    rows = torch.randn(3, 5, dtype=torch.float64)
    after = _start(rows).scaled(2.0).with_constant(0.5)
    torch.testing.assert_close(after.covariance @ after.covariance.T, 4 * rows @ rows.T + 0.25)
    torch.testing.assert_close(after.square, (4 * rows @ rows.T + 0.25).diagonal())
    assert with_column(rows, 3.0)[:, -1].tolist() == [3.0] * 3


def test_second_moments_that_were_not_tracked_come_from_the_features():
    rows = torch.randn(3, 5)
    loose = Embedding(rows, None, None, BUDGET)
    torch.testing.assert_close(loose.second_moment, rows.double().square().sum(1))


def test_features_are_hashed_down_only_where_they_are_many():
    many = torch.randn(2, 41)
    assert _start(many, last=False).compressed().covariance.shape == (2, 16)
    assert _start(many).compressed().covariance.shape == (2, 40)
    assert _start(many[:, :16], last=False).compressed().covariance.shape == (2, 16)


def test_correlations_of_mixtures_reach_down_to_zero():
    assert mixed_lowest([0.3, 0.5]) == 0.0
    assert mixed_lowest([0.3, -0.2]) == -0.2
