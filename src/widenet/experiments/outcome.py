"""What an experiment hands back, and the folder that it writes to."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from widenet.errors import InvalidFile
from widenet.experiments.result_tables import ResultTable, write_text

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


def run_parts(parts: Mapping[str, Callable[[], Outcome]], progress: Progress | None = None) -> list[Outcome]:
    """The outcomes of the parts of an experiment, one after the other.

    Args:
        parts: What computes each part, by the text that progress shows meanwhile.
        progress: Called with that text, the number of finished parts and their total.
    """
    done = []
    for number, (text, part) in enumerate(parts.items()):
        if progress is not None:
            progress(text, number, len(parts))
        done.append(part())
    return done


def write_report(path: Path, title: str, claims: str, parts: Sequence[Outcome]) -> Outcome:
    """Write the claims and the messages of all parts to one Markdown file.

    Args:
        path: The file.
        title: Its heading.
        claims: What is claimed, derived and measured.
        parts: The parts, in order.

    Returns:
        All tables, the report and the files of all parts, and the claims.

    Raises:
        InvalidFile: If the file cannot be written.
    """
    text = "\n\n".join([f"# {title}", claims, *(part.message for part in parts)])
    write_text(path, f"{text}\n")
    tables = tuple(table for part in parts for table in part.tables)
    return Outcome(tables, (path, *(file for part in parts for file in part.files)), claims)
