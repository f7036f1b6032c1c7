"""Progress on standard error, and results on standard output as tables or as JSON."""

import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from widenet.estimators.table_encoder import Column

Step = Callable[[str, int, int], None]


@contextmanager
def progress_bar(title: str) -> Iterator[Step]:
    """A bar on standard error, shown on terminals only; the yielded function moves it: (what, done, total)."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)

        def step(what: str, done: int, total: int) -> None:
            bar.update(task, description=f"{title}: {what}", completed=done, total=total)

        yield step


def note(text: str) -> None:
    """One line for the reader, on standard error."""
    sys.stderr.write(f"{text}\n")


def note_columns(columns: "list[Column]") -> None:
    """One line for each feature column that is not used, with the reason, and for each that has no name but is."""
    for column in columns:
        if column.kind == "dropped":
            note(f"column {column.name!r} is not used: {column.detail}")
        elif re.fullmatch(r"Unnamed: \d+", column.name):  # pandas' name for it
            note(f"column {column.name!r} has no name in the file but is used as a feature; drop it if it counts rows")


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on standard output; NaN becomes null."""
    sys.stdout.write(json.dumps(_finite(document), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
