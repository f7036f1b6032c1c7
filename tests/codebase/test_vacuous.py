"""No test that cannot fail: each one asserts something, and no comparison is computed and dropped."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

# Calls that fail by themselves when what they are told does not hold.
RAISING = {"raises", "warns", "fail", "check_estimator", "parametrize_with_checks"}
# Calls whose answer is the whole point, so that a statement made of one drops it.
QUESTIONS = {
    "allclose",
    "array_equal",
    "equal",
    "isclose",
    "all",
    "any",
    "isinstance",
    "startswith",
    "endswith",
    "exists",
}


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _is_constant(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) or (isinstance(test, ast.Tuple) and bool(test.elts))


def _asserts(node: ast.AST, asserting: set[str]) -> bool:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Assert) and not _is_constant(inner.test):
            return True
        if isinstance(inner, ast.Call):
            name = _called(inner)
            if name in RAISING or name.startswith("assert_") or name in asserting:
                return True
    return False


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def complaints(source: str) -> list[str]:
    """The tests of a file that reach no assertion, and the comparisons and constants that prove nothing."""
    tree = ast.parse(source)
    asserting: set[str] = set()
    # A test may assert through functions of its own file, to any depth.
    while True:
        more = {f.name for f in _functions(tree) if f.name not in asserting and _asserts(f, asserting)}
        if not more:
            break
        asserting |= more
    found = [f"line {f.lineno}: {f.name} asserts nothing" for f in _functions(tree) if _is_vacuous(f, asserting)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, (ast.Compare, ast.BoolOp)):
            found.append(f"line {node.lineno}: a comparison is dropped")
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _called(node.value) in QUESTIONS:
            found.append(f"line {node.lineno}: the answer of {_called(node.value)} is dropped")
        if isinstance(node, ast.Assert) and _is_constant(node.test):
            found.append(f"line {node.lineno}: an assertion of a constant")
    return found


def _is_vacuous(function: ast.FunctionDef, asserting: set[str]) -> bool:
    decorated = any(isinstance(d, ast.Call) and _called(d) in RAISING for d in function.decorator_list)
    return function.name.startswith("test_") and function.name not in asserting and not decorated


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_every_test_can_fail(path: Path):
    assert complaints(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def test_a():\n    f()", "test_a asserts nothing"),
        ("def test_a():\n    assert True", "test_a asserts nothing"),
        ("def test_a():\n    assert (x == 1, 'message')\n    assert y", "an assertion of a constant"),
        ("def test_a():\n    x == 1\n    assert y", "a comparison is dropped"),
        ("def test_a():\n    np.allclose(x, y)\n    assert y", "the answer of allclose is dropped"),
        ("def check(x):\n    print(x)\n\ndef test_a():\n    check(1)", "test_a asserts nothing"),
    ],
)
def test_a_vacuous_test_is_found(source: str, expected: str):
    assert any(expected in complaint for complaint in complaints(source))


@pytest.mark.parametrize(
    "source",
    [
        "def test_a():\n    assert f() == 1",
        "def test_a():\n    with pytest.raises(ValueError):\n        f()",
        "def test_a():\n    np.testing.assert_allclose(x, y)",
        "def check(x):\n    assert x\n\ndef test_a():\n    check(1)",
        "@parametrize_with_checks([E()])\ndef test_a(estimator, check):\n    check(estimator)",
    ],
)
def test_a_test_that_asserts_is_fine(source: str):
    assert complaints(source) == []
