"""Tables of results, the same rows as Markdown for people and as CSV for programs."""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from widenet.errors import InvalidInput
from widenet.experiments.written import written_aside

Cell = str | int | float | None


@dataclass(frozen=True)
class Column:
    """A column: its heading, and how its numbers read in Markdown (a format of Python, such as ".2f")."""

    name: str
    format: str = ""


@dataclass(frozen=True)
class ResultTable:
    """Rows of results with a title and notes.

    Attributes:
        title: What the table shows.
        columns: Its columns.
        rows: Cells, one tuple a row; None is an empty cell.
        notes: Sentences below the table: where numbers come from, what was chosen by whom.

    Example:
        >>> print(ResultTable("Means", (Column("method"), Column("mean", ".1f")), (("NTK", 81.25),)).markdown())
        ### Means
        <BLANKLINE>
        | method | mean |
        |---|---:|
        | NTK | 81.2 |
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise InvalidInput(
                    f"row {number} of '{self.title}' must have {len(self.columns)} cells", f"{len(row)} cells"
                )

    def markdown(self) -> str:
        """The table in Markdown, numbers aligned right and rounded as the columns say."""
        numeric = [all(not isinstance(row[i], str) for row in self.rows) for i in range(len(self.columns))]
        lines = [f"### {self.title}", ""]
        lines.append("| " + " | ".join(_escaped(column.name) for column in self.columns) + " |")
        lines.append("|" + "|".join("---:" if number else "---" for number in numeric) + "|")
        for row in self.rows:
            cells = (_shown(cell, column.format) for cell, column in zip(row, self.columns, strict=True))
            lines.append("| " + " | ".join(cells) + " |")
        if self.notes:
            lines += ["", *(f"- {note}" for note in self.notes)]
        return "\n".join(lines)

    def csv(self) -> str:
        """The table as CSV, numbers with every digit; the title and notes are left out."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([column.name for column in self.columns])
        writer.writerows([["" if cell is None else _exact(cell) for cell in row] for row in self.rows])
        return text.getvalue()

    def save(self, folder: Path, stem: str) -> tuple[Path, Path]:
        """Write `stem`.md and `stem`.csv; each appears whole or not at all.

        Raises:
            InvalidFile: If the folder cannot be written to.
        """
        markdown, table = folder / f"{stem}.md", folder / f"{stem}.csv"
        write_text(markdown, self.markdown() + "\n")
        write_text(table, self.csv())
        return markdown, table


def write_text(path: Path, text: str) -> None:
    """Write a text file that appears whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _exact(cell: Cell) -> str:
    return repr(float(cell)) if isinstance(cell, float) else str(cell)


def _shown(cell: Cell, pattern: str) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return _escaped(cell)
    if math.isnan(cell):  # a standard error of one set
        return ""
    return format(cell, pattern).replace("-", "−") if pattern else str(cell)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
