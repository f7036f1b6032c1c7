"""What an experiment hands back, and the folder that it writes to."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from widenet.errors import InvalidFile
from widenet.experiments.result_tables import ResultTable

Progress = Callable[[str, int, int], None]  # a text, the number of finished pieces and their total


@dataclass(frozen=True)
class Outcome:
    """What the experiment wrote.

    Attributes:
        tables: The tables for people to read, in order.
        files: Every file written.
        message: What is left to say, in one paragraph.
    """

    tables: tuple[ResultTable, ...]
    files: tuple[Path, ...]
    message: str


def prepare_folder(output: Path) -> None:
    """Make the folder of an experiment if it is missing.

    Raises:
        InvalidFile: If it cannot be written to.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidFile(f"the output folder {output} must be one to write to", error.strerror or "") from None
    if not os.access(output, os.W_OK | os.X_OK):
        raise InvalidFile(f"the output folder {output} must be one to write to", "a read-only folder")
