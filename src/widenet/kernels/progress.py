"""How far a long Gram matrix is: blocks done, their rate, and the time that is left."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, runtime_checkable

_EVERY = 0.2  # seconds between two lines on a terminal
_EVERY_IN_A_FILE = 10.0


@runtime_checkable
class Stream(Protocol):
    """What progress is written to: a text file, or a terminal."""

    def write(self, text: str, /) -> object:
        """Take some text."""
        ...

    def flush(self) -> object:
        """Show what was written."""
        ...

    def isatty(self) -> bool:
        """Whether lines can be renewed."""
        ...


class _Meter:
    """Writes one line that it renews on a terminal, or a line now and then elsewhere."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.lock, self.busy = stream, threading.Lock(), False
        self.terminal = stream.isatty()
        self.total = self.done = 0
        self.began = self.shown = 0.0

    def begin(self, total: int) -> None:
        self.busy, self.total, self.done = True, total, 0
        self.began = self.shown = time.monotonic()

    def step(self) -> None:
        with self.lock:
            self.done += 1
            now = time.monotonic()
            if now - self.shown >= (_EVERY if self.terminal else _EVERY_IN_A_FILE) and self.done < self.total:
                self.shown = now
                self._write(line(self.done, self.total, now - self.began))

    def end(self) -> None:
        with self.lock:
            self.busy = False
            elapsed = time.monotonic() - self.began
            if elapsed >= (_EVERY if self.terminal else _EVERY_IN_A_FILE):
                self._write(line(self.done, self.total, elapsed))
                if self.terminal:
                    self.stream.write("\n")
                    self.stream.flush()

    def _write(self, text: str) -> None:
        self.stream.write(f"\r{text:<78}" if self.terminal else f"{text}\n")
        self.stream.flush()


_current: ContextVar[_Meter | None] = ContextVar("widenet_progress", default=None)


@contextmanager
def progress(stream: Stream | None = None) -> Iterator[None]:
    """Show how far the Gram matrices are that are computed inside of this `with` block.

    On a terminal one line is renewed; elsewhere a line is written every ten seconds. Work of less than a fifth of a
    second shows nothing. Ctrl-C stops the work at its next block and raises KeyboardInterrupt as ever.

    Args:
        stream: Where to write; None means standard error.

    Example:
        >>> import numpy as np
        >>> import widenet as wn
        >>> with wn.progress():
        ...     K = wn.NTK(wn.fully_connected(3))(np.eye(4))
    """
    token = _current.set(_Meter(sys.stderr if stream is None else stream))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def counted(total: int) -> Iterator[Callable[[], None]]:
    """A function to call after each of `total` blocks of work; blocks inside of a block are not counted again."""
    meter = _current.get()
    if meter is None or meter.busy:
        yield _ignore
        return
    meter.begin(total)
    try:
        yield meter.step
    finally:
        meter.end()


def _ignore() -> None:
    pass


def line(done: int, total: int, seconds: float) -> str:
    """What is shown after some blocks.

    Args:
        done: Blocks done.
        total: Blocks in all.
        seconds: Time since the first began.
    """
    rate = done / seconds if seconds > 0 else 0.0
    left = f"{duration((total - done) / rate)} left" if rate > 0 and done < total else f"{duration(seconds)} in all"
    return f"{100 * done // total} % of {total} blocks, {rate:.3g} a second, {left}"


def duration(seconds: float) -> str:
    """Seconds for people, such as '2 h 05 min', '3 min 20 s' or '4.2 s'."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
