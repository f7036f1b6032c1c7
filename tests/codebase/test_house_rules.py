"""Sizes and names: what the linter does not hold."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "widenet"
LINES = 400
FILES = sorted(path for part in ("src", "tests", "benchmarks") for path in (ROOT / part).rglob("*.py"))
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "misc", "common", "core", "tools", "v2"}

# Modules of src without a test file of their own, and where they are tested instead.
TESTED_ELSEWHERE = {
    "errors.py": "held by every test of bad input, which asks for these types and their words",
    "estimators/persistence.py": "laws/test_estimator_laws.py: round trips, garbage, truncated and altered files",
}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def complaints(source: str) -> list[str]:
    """The constructs that a file of the package does not use."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.args.kwarg is not None:
            found.append(f"line {node.lineno}: {node.name} takes **{node.args.kwarg.arg}")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "hasattr":
            found.append(f"line {node.lineno}: hasattr")
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            found.append(f"line {node.lineno}: an import from __future__")
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append(f"line {node.lineno}: a bare except")
    return found


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_a_file_is_short_and_named_for_what_it_holds(path: Path):
    assert len(path.read_text().splitlines()) <= LINES
    assert path.stem.strip("_") not in VAGUE_NAMES


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=_name)
def test_a_module_avoids_what_hides_its_interface(path: Path):
    assert complaints(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(**options): ...", "f takes **options"),
        ("hasattr(x, 'y')", "hasattr"),
        ("from __future__ import annotations", "__future__"),
        ("try:\n    f()\nexcept:\n    pass", "bare except"),
    ],
)
def test_a_hidden_interface_is_found(source: str, expected: str):
    (complaint,) = complaints(source)
    assert expected in complaint


def _holds_code(path: Path) -> bool:
    """Whether a module defines anything, rather than gather names."""
    return any(isinstance(node, (ast.FunctionDef, ast.ClassDef)) for node in ast.parse(path.read_text()).body)


def _test_file(module: Path) -> Path:
    name = module.parent.name if module.stem == "__init__" else module.stem.strip("_")
    return ROOT / "tests" / module.parent.relative_to(SOURCE) / f"test_{name}.py"


@pytest.mark.parametrize("path", [p for p in sorted(SOURCE.rglob("*.py")) if _holds_code(p)], ids=_name)
def test_a_module_has_its_mirrored_test_file(path: Path):
    listed = str(path.relative_to(SOURCE)) in TESTED_ELSEWHERE
    assert _test_file(path).exists() != listed, f"{_test_file(path).relative_to(ROOT)}, or a reason in TESTED_ELSEWHERE"


def test_reasons_are_given_for_modules_that_exist():
    assert {name for name in TESTED_ELSEWHERE if not (SOURCE / name).exists()} == set()
