"""Progress of Gram matrices: what is shown, that nested blocks count once, and that Ctrl-C passes through."""

import io

import numpy as np
import pytest
import torch

from widenet.kernels import Laplace, blocks
from widenet.kernels import progress as meter
from widenet.kernels.blocks import fill_blocks, run_tiles
from widenet.kernels.progress import counted, duration, line, progress
from widenet.linalg import KernelMatrix


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Time that moves one second at each question."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(meter, "time", Clock())


@pytest.fixture
def _small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "_PAIRS", 4)


def dot(X, Y, *, same):
    return X @ Y.T


@pytest.mark.usefixtures("clock", "_small_blocks")
def test_a_terminal_shows_one_line_that_is_renewed():
    shown = Terminal()
    with progress(shown):
        fill_blocks(dot, torch.ones(4, 1), None)  # 3 blocks of 2 x 2; begin, 3 steps and the end ask the clock
    parts = shown.getvalue().split("\r")
    assert [part.strip() for part in parts] == [
        "",
        "33 % of 3 blocks, 1 a second, 2.0 s left",
        "66 % of 3 blocks, 1 a second, 1.0 s left",
        "100 % of 3 blocks, 0.75 a second, 4.0 s in all",
    ]
    assert shown.getvalue().endswith("\n")


@pytest.mark.usefixtures("clock")
def test_a_file_gets_a_line_every_ten_seconds():
    shown = io.StringIO()
    with progress(shown):
        run_tiles(lambda tile: None, [(i, 0) for i in range(25)], threads=1)
    assert shown.getvalue().splitlines() == [
        "40 % of 25 blocks, 1 a second, 15.0 s left",
        "80 % of 25 blocks, 1 a second, 5.0 s left",
        "100 % of 25 blocks, 0.962 a second, 26.0 s in all",
    ]


def test_short_work_shows_nothing():
    shown = Terminal()
    with progress(shown):
        Laplace(1.0)(np.eye(3))
    assert shown.getvalue() == ""


@pytest.mark.parametrize("threads_used", [1, 3])
@pytest.mark.usefixtures("clock", "_small_blocks")
def test_blocks_inside_of_blocks_count_once(threads_used: int, threads):
    threads(threads_used)
    shown = Terminal()
    with progress(shown):
        _ = KernelMatrix(
            Laplace(1.0), np.random.default_rng(0).normal(size=(40, 2)), memory_limit=8 * 4 * 256
        ) @ np.ones(40)
    lines = [part.strip() for part in shown.getvalue().split("\r") if " of 6 blocks" in part]
    assert lines[-1].startswith("100 % of 6 blocks")
    assert len(lines) == 6


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_an_interrupt_passes_through_and_the_next_work_is_shown_again():
    shown = Terminal()

    def interrupt(tile: tuple[int, int]) -> None:
        raise KeyboardInterrupt

    with progress(shown):
        with pytest.raises(KeyboardInterrupt):
            run_tiles(interrupt, [(0, 0)], threads=1)
        with counted(2) as step:
            assert step.__self__.total == 2
    with counted(2) as step:
        step()
    assert shown.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 00 s"), (125.4, "2 min 05 s"), (3599, "59 min 59 s"),
     (3661, "1 h 01 min"), (90000, "25 h 00 min")],
)  # fmt: skip
def test_durations(seconds: float, text: str):
    assert duration(seconds) == text


def test_a_line_before_any_block_is_done_knows_no_rate():
    assert line(0, 5, 0.0) == "0 % of 5 blocks, 0 a second, 0.0 s in all"
