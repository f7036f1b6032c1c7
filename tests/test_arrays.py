"""The border between NumPy and torch, and memory limits."""

from math import inf
from pathlib import Path

import numpy as np
import pytest
import torch

from widenet._arrays import (
    _left_to_groups,
    available_memory,
    format_bytes,
    is_count,
    parse_memory,
    read_inputs,
    row_blocks,
)
from widenet.errors import InvalidInput


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_comes_back_as_numpy_of_its_dtype(dtype: type):
    inputs = read_inputs(np.ones((2, 3), dtype))
    result = inputs.restore(inputs.X)
    assert isinstance(result, np.ndarray)
    assert result.dtype == dtype


@pytest.mark.parametrize(
    "values", [np.arange(6.0).reshape(3, 2)[::-1], np.ones((1, 2))[::-1], np.ones((1, 2))[:, ::-1]]
)
def test_reversed_arrays_are_read(values: np.ndarray):
    np.testing.assert_array_equal(read_inputs(values).X.numpy(), values)


def test_torch_comes_back_as_torch_with_its_graph():
    X = torch.ones(2, 3, requires_grad=True)
    result = read_inputs(X).restore(X * 2)
    assert result.requires_grad


@pytest.mark.parametrize("X", [np.array([[1, 2]]), np.array([[True, False]]), [[1, 2]], torch.tensor([[1, 2]])])
def test_whole_numbers_become_float64(X: object):
    assert read_inputs(X).X.dtype == torch.float64


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.array([[1.0], [np.nan], [np.inf]]), "2 of 3 rows, the first is row 1"),
        (np.array([["a"]]), "must hold real numbers"),
        (np.array([["a", None]], dtype=object), "must hold numbers"),
        (np.array([[1j]]), "must hold real numbers"),
        (torch.tensor([[1j]]), "must be real"),
        (np.ones(3), r"shape \(3,\)"),
        (np.ones((0, 3)), r"shape \(0, 3\)"),
        (np.ones((3, 2), np.float16), "float32 or float64"),
        (np.ones((3, 2), np.longdouble), "float32 or float64"),
    ],
)
def test_bad_points_are_refused_with_what_came(X: object, message: str):
    with pytest.raises(InvalidInput, match=message):
        read_inputs(X)


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i4"])
def test_arrays_of_the_other_byte_order_are_read(dtype: str):
    values = np.array([[1.5, 2.0], [3.0, -4.0]]).astype(dtype)
    inputs = read_inputs(values)
    assert inputs.X.tolist() == values.tolist()
    assert inputs.X.dtype == (torch.float32 if dtype == ">f4" else torch.float64)


def test_large_finite_numbers_whose_sum_overflows_pass():
    assert read_inputs(np.full((2, 2), 1e308)).X.shape == (2, 2)


@pytest.mark.parametrize(
    ("Y", "message"),
    [
        (np.ones((2, 3), np.float32), "one dtype"),
        (torch.ones(2, 3, dtype=torch.float64), "one array kind"),
        (np.ones((2, 4)), "one shape"),
    ],
)
def test_points_that_do_not_match_are_refused(Y: object, message: str):
    with pytest.raises(InvalidInput, match=message):
        read_inputs(np.ones((2, 3)), Y)


@pytest.mark.parametrize(
    ("value", "least", "expected"),
    [
        (1, 1, True),
        (np.int64(3), 3, True),
        (2, 3, False),
        (0, 0, True),
        (True, 1, False),
        (2.0, 1, False),
        ("2", 1, False),
    ],
)
def test_whole_numbers_are_told_from_others(value: object, least: int, expected: bool):
    assert is_count(value, least) is expected


def test_row_blocks_cover_every_row_once():
    rows = [row for block in row_blocks(10, 4) for row in range(block.start, block.stop)]
    assert rows == list(range(10))


@pytest.mark.parametrize(
    ("limit", "expected"), [("1 GiB", 2**30), ("500 MB", 5 * 10**8), (2**20, 2**20), ("1.5kib", 1536)]
)
def test_memory_limits_are_read(limit: int | str, expected: int):
    assert parse_memory(limit) == expected


@pytest.mark.parametrize("limit", ["many", "1 XB", 0, -5, "0 GB", float("inf"), float("nan")])
def test_bad_memory_limits_are_refused(limit: float | str):
    with pytest.raises(InvalidInput, match="memory limit"):
        parse_memory(limit)


@pytest.mark.parametrize(
    ("top", "names", "line"),
    [
        ("", ("memory.max", "memory.current", "inactive_file"), "0::/outer/inner"),
        (
            "memory",
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            "4:memory:/outer/inner\n3:cpuset:/",
        ),
    ],
)
def test_limits_of_control_groups_bind(tmp_path: Path, top: str, names: tuple[str, str, str], line: str):
    def write(group: str, limit: str, usage: int, cache: int) -> None:
        folder = tmp_path / top / group
        folder.mkdir(parents=True, exist_ok=True)
        texts = (limit, str(usage), f"anon 5\n{names[2]} {cache}")
        for name, text in zip((names[0], names[1], "memory.stat"), texts, strict=True):
            (folder / name).write_text(text + "\n")

    assert _left_to_groups(tmp_path, line) == inf
    write("outer/inner", "1000", 700, 200)
    assert _left_to_groups(tmp_path, line) == 500
    write("outer", "900", 800, 0)
    assert _left_to_groups(tmp_path, line) == 100
    write("outer", "700", 800, 0)
    assert _left_to_groups(tmp_path, line) == 0
    write("outer", "max" if top == "" else str(2**63 - 4096), 800, 0)
    assert _left_to_groups(tmp_path, line) == 500


def test_available_memory_is_not_more_than_the_system_has():
    total = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0]) * 1024
    assert 0 < available_memory() <= total


def test_byte_counts_read_well():
    assert [format_bytes(count) for count in (10, 1536, 2**40)] == ["10 B", "1.5 KiB", "1 TiB"]
