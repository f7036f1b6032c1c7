"""Blocks: whole, mirrored, independent of threads, and clean after errors and interrupts."""

import subprocess
import sys
import threading
import time

import pytest
import torch

from widenet.kernels import blocks
from widenet.kernels.blocks import fill_blocks, new_matrix, run_tiles, tile_corners, working_bytes


def cross(X, Y, *, same):
    del same
    return torch.exp(-torch.cdist(X, Y, compute_mode="donot_use_mm_for_euclid_dist"))


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("rows", [1, 2, 37, 100])
@pytest.mark.parametrize("columns", [None, 1, 41])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_blocks_give_the_whole_matrix(monkeypatch, rows, columns, dtype):
    monkeypatch.setattr(blocks, "_PAIRS", 16 * 16)
    X = torch.randn(rows, 3, dtype=dtype)
    Y = None if columns is None else torch.randn(columns, 3, dtype=dtype)
    result = fill_blocks(cross, X, Y)
    torch.testing.assert_close(result, cross(X, X if Y is None else Y, same=False))
    assert result.dtype == dtype
    if Y is None:
        assert torch.equal(result, result.T)


def test_only_diagonal_blocks_are_told_that_they_are(monkeypatch):
    monkeypatch.setattr(blocks, "_PAIRS", 4)
    told = []

    def spy(X, Y, *, same):
        told.append((int(X[0, 0]), int(Y[0, 0]), same))
        return X @ Y.T

    fill_blocks(spy, torch.arange(6.0)[:, None], None)
    assert sorted(told) == [(0, 0, True), (0, 2, False), (0, 4, False), (2, 2, True), (2, 4, False), (4, 4, True)]


def test_large_pairs_make_blocks_smaller(monkeypatch):
    monkeypatch.setattr(blocks, "_PAIRS", 400)
    sizes = set()

    def spy(X, Y, *, same):
        sizes.add(max(len(X), len(Y)))
        return torch.zeros(len(X), len(Y))

    fill_blocks(spy, torch.zeros(7, 5, 2, 3), None, pair_size=100)
    assert sizes == {2, 1}


def test_the_memory_of_work_on_large_pairs_is_counted(threads):
    X = torch.zeros(9, 4, 4, 1)
    assert working_bytes(X, 1) == 0
    threads(1)
    # 2^18 numbers are 16 x 16 pairs of 1024; one pair larger than that stands alone, with two more of its points.
    assert working_bytes(X, 2**10) == 40 * 8 * 2**10 * 16 * 18
    assert working_bytes(X, 2**20) == 40 * 8 * 2**20 * 3
    threads(3)
    assert working_bytes(X, 2**20) == 3 * 40 * 8 * 2**20 * 3


def test_results_do_not_depend_on_threads(monkeypatch, threads):
    monkeypatch.setattr(blocks, "_PAIRS", 32 * 32)
    X = torch.randn(200, 5)
    results = []
    for count in (1, 2, 3):
        threads(count)
        results.append(fill_blocks(cross, X, None))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_workers_use_one_core_and_leave_the_setting_alone(threads):
    threads(2)
    seen = set()
    run_tiles(lambda tile: seen.add(torch.get_num_threads()), tile_corners(64, 64, 8, symmetric=True), threads=2)
    assert seen == {1}
    assert torch.get_num_threads() == 2


def test_an_error_stops_the_work_and_is_raised():
    done = []

    def work(tile):
        if tile == (8, 0):
            raise ZeroDivisionError("in a tile")
        time.sleep(0.001)
        done.append(tile)

    with pytest.raises(ZeroDivisionError, match="in a tile"):
        run_tiles(work, tile_corners(800, 8, 8, symmetric=False), threads=2)
    assert len(done) < 50
    finished = len(done)
    time.sleep(0.05)
    assert len(done) == finished


def test_concurrent_callers_do_not_disturb_one_another(threads):
    threads(2)
    X = torch.randn(300, 4)
    expected = fill_blocks(cross, X, None)
    results = [None] * 4

    def call(index):
        results[index] = fill_blocks(cross, X, None)

    callers = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    assert all(torch.equal(result, expected) for result in results)


SCRIPT = """
import {imports}
import torch
from widenet.kernels.blocks import run_tiles
torch.set_num_threads(2)
def work(tile):
    time.sleep(0.02)
tiles = [(i, 0) for i in range(3000)]
"""


def _run(script):
    return subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=60)


def test_interrupt_ends_the_work_at_once():
    script = (
        SCRIPT.format(imports="os, signal, threading, time")
        + """
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
start = time.perf_counter()
try:
    run_tiles(work, tiles, threads=2)
except KeyboardInterrupt:
    assert time.perf_counter() - start < 5
    run_tiles(work, tiles[:4], threads=2)
    print("interrupted and usable")
"""
    )
    result = _run(script)
    assert result.stdout.strip() == "interrupted and usable", result.stderr


def test_a_forked_child_starts_its_own_threads():
    script = (
        SCRIPT.format(imports="os, time")
        + """
run_tiles(work, tiles[:4], threads=2)
child = os.fork()
if child == 0:
    run_tiles(work, tiles[:4], threads=2)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    )
    result = _run(script)
    assert result.stdout.strip() == "7", result.stderr


def test_new_matrix_keeps_dtype_and_shape():
    matrix = new_matrix(3, 5, torch.zeros(1, dtype=torch.float64))
    assert matrix.shape == (3, 5)
    assert matrix.dtype == torch.float64
    assert matrix.is_contiguous()
