"""Exceptions of widenet: each says what was asked, what came, and what to do."""

import numpy as np


class WidenetError(Exception):
    """Base class of every error that widenet raises on purpose.

    Args:
        asked: What the library needed or was asked to do.
        got: What came instead, with the numbers.
        cure: What the reader can do about it.
    """

    def __init__(self, asked: str, got: str = "", cure: str = "") -> None:
        self.asked, self.got, self.cure = asked, got, cure
        super().__init__(asked, got, cure)

    def __str__(self) -> str:
        got = f"; got {self.got}" if self.got else ""
        cure = f". {self.cure}" if self.cure else ""
        return f"{self.asked}{got}{cure}"


class InvalidInput(WidenetError, ValueError):
    """Data or an argument that the computation cannot be right for."""


class InvalidArchitecture(WidenetError, ValueError):
    """A composition of layers that has no infinite-width limit of the asked kind."""


class InvalidFile(WidenetError, ValueError):
    """A file that is missing, corrupt, foreign, or not of the expected kind."""


class FingerprintMismatch(WidenetError, ValueError):
    """Stored work that belongs to other data or to another kernel."""


class NotPositiveDefinite(WidenetError, np.linalg.LinAlgError):
    """A matrix that is not numerically positive definite at the working precision."""


class MemoryLimitExceeded(WidenetError, MemoryError):
    """A computation that would not fit in the stated memory limit."""


class MissingPackage(WidenetError, ImportError):
    """A part of widenet whose optional packages are not installed."""
