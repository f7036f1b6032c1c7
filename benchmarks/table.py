"""Prints the results of the benchmarks, benchmarks/results/*.json, as one Markdown table."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """The numbers and words of nested results, each with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            # A list of records is named by its own words, else by position.
            words = [str(v) for v in inner.values() if isinstance(v, str)] if isinstance(inner, dict) else []
            yield from leaves(inner, (*path, ", ".join(words) or str(index)))
    else:
        yield path, value


def shown(value: object) -> str:
    """A value for a table: four digits are more than a timing has."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> int:
    """Print the table and return the exit code."""
    files = sorted(RESULTS.glob("*.json"))
    if not files:
        print("no results yet: run `make bench`", file=sys.stderr)
        return 1
    print("| benchmark | measured | value |\n|---|---|---:|")
    for file in files:
        for path, value in leaves(json.loads(file.read_text())):
            if not isinstance(value, str) or file.stem == "machine":
                print(f"| {file.stem} | {' / '.join(path)} | {shown(value)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
