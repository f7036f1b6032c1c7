"""How sequences come in."""

import numpy as np
import pytest
import torch

from widenet.errors import InvalidInput
from widenet.kernels.sequences import Sequences, pack_sequences, reversed_sequences, sequence_lengths, trimmed

A, B = np.array([1.0, 2.0, 3.0]), np.array([4.0])
PACKED = [[[1, 1], [2, 1], [3, 1]], [[0, 0], [0, 0], [4, 1]]]
MASK = np.array([[True, True, True], [False, True, False]])
PADDED = np.array([[1.0, 2.0, 3.0], [np.nan, 4.0, np.inf]])


@pytest.mark.parametrize(
    "given",
    [
        [A, B],
        (A, B),
        [A[:, None], B[:, None]],
        [[1, 2, 3], [4]],
        [torch.from_numpy(A), torch.from_numpy(B)],
        np.array([A, B], dtype=object),
        Sequences(PADDED, MASK),
        Sequences(PADDED[:, :, None], MASK),
        Sequences(torch.from_numpy(PADDED), torch.from_numpy(MASK)),
    ],
)
def test_every_form_is_packed_alike(given):
    inputs = pack_sequences(given, None, (-1, 1))
    np.testing.assert_array_equal(inputs.X.numpy(), PACKED)
    assert inputs.X.dtype == torch.float64
    np.testing.assert_array_equal(sequence_lengths(inputs.X), [3, 1])


def test_results_go_back_as_the_sequences_came():
    tensors = [torch.from_numpy(A)]
    assert [pack_sequences(given, None, None).numpy for given in ([A], Sequences(PADDED, MASK), tensors)] == [
        True,
        True,
        False,
    ]
    assert not pack_sequences(Sequences(torch.from_numpy(PADDED), MASK), None, None).numpy


def test_full_arrays_and_rows():
    values = np.arange(12.0).reshape(2, 3, 2)
    for given, shape in ((values, None), (values, (3, 2)), (values, (-1, 2)), (values.reshape(2, 6), (3, 2))):
        packed = pack_sequences(given, None, shape).X
        np.testing.assert_array_equal(packed[:, :, :2], values)
        np.testing.assert_array_equal(packed[:, :, 2], 1.0)
    rows = pack_sequences(values.reshape(2, 6), None, None).X
    np.testing.assert_array_equal(rows[:, :, 0], values.reshape(2, 6))
    assert pack_sequences(values.astype(np.float32), None, None).X.dtype == torch.float32


def test_gradients_reach_the_sequences():
    series = [torch.ones(3, dtype=torch.float64, requires_grad=True), torch.ones(1, dtype=torch.float64)]
    packed = pack_sequences(series, None, None).X
    (packed[:, :, 0] * torch.arange(3)).sum().backward()
    np.testing.assert_array_equal(series[0].grad, [0.0, 1.0, 2.0])


def test_reversal_and_trimming():
    packed = pack_sequences([A, B, np.array([5.0, 6.0])], None, None).X
    back = reversed_sequences(packed)
    np.testing.assert_array_equal(back[:, :, 0], [[3, 2, 1], [0, 0, 4], [0, 6, 5]])
    np.testing.assert_array_equal(back[:, :, 1], packed[:, :, 1])
    np.testing.assert_array_equal(reversed_sequences(back), packed)
    np.testing.assert_array_equal(trimmed(packed[1:])[:, :, 0], [[0, 4], [5, 6]])


def test_the_container():
    series = Sequences(PADDED, MASK)
    assert len(series) == 2
    np.testing.assert_array_equal(series.lengths, [3, 1])
    np.testing.assert_array_equal(Sequences(np.ones((2, 5))).lengths, [5, 5])
    np.testing.assert_array_equal(series.ragged()[1], [4.0])


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (MASK[:, :2], r"mask of Sequences must be \(n, T\) = \(2, 3\); got shape \(2, 2\)"),
        (MASK[0], "mask of Sequences must be"),
        (MASK.astype(int), "True or False"),
        (MASK & [[True], [False]], "at least one step; got none in 1, the first is 1"),
        (np.array([[True, False, True], [True, True, True]]), "gaps in the mask of 1 sequences, the first is 0"),
    ],
)
def test_masks_that_cannot_be_meant(mask, words):
    with pytest.raises(InvalidInput, match=words):
        Sequences(np.ones((2, 3)), mask)


@pytest.mark.parametrize(
    ("X", "Y", "shape", "words"),
    [
        ([A, np.ones(0)], None, None, "sequence 1|none in sequence 1"),
        ([A, np.ones((2, 2))], None, None, "equally many channels; got 1 in sequence 0 and 2 in sequence 1"),
        ([A, np.array([np.nan])], None, None, "sequence 1 of X"),
        ([A, np.ones((2, 2, 2))], None, None, "steps, or"),
        ([A, B.astype(np.float32)], None, None, "one dtype"),
        ([A], [np.ones((2, 2))], None, "equally many channels; got 1 and 2"),
        ([A], [B.astype(np.float32)], None, "one dtype"),
        ([A], [torch.from_numpy(B)], None, "one array kind"),
        ([A], None, (-1, 2), "asks for 2 channels"),
        ([A, B], None, (3, 1), "length 3"),
        ([], None, None, "at least one"),
        (np.ones((0, 3)), None, None, "at least one"),
        (np.ones((2, 3, 1, 1)), None, None, "steps, or"),
        (np.array([["a"]]), None, None, "numbers"),
    ],
)
def test_sequences_that_are_refused(X, Y, shape, words):
    with pytest.raises(InvalidInput, match=words):
        pack_sequences(X, Y, shape)
