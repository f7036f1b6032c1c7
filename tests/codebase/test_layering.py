"""Imports go downward only: the layers of the package, no cycle, no import hidden in a function."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "widenet"

# A part may import the parts of lower rank and itself; parts of equal rank do not know one another.
RANK = {"errors": 0, "_names": 0, "_arrays": 1, "_files": 1, "architectures": 2, "kernels": 3, "linalg": 4}
RANK |= dict.fromkeys(("features", "networks", "theory", "solvers", "compression"), 5)
RANK |= {"estimators": 6, "experiments": 7, "cli": 8}
ALLOWED_EDGES = {("features", "networks"), ("features", "theory"), ("theory", "solvers")}


@dataclass(frozen=True)
class Import:
    """One import statement of one module: the module that it names, and whether it waits inside a function."""

    target: str
    deferred: bool
    line: int


def imports(tree: ast.Module) -> Iterator[Import]:
    """Every import of a module, at any depth."""
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, id(node) in inside, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            # `from widenet.kernels import base` names the module widenet.kernels.base where there is one.
            for alias in node.names:
                if (module, alias.name) == ("widenet", "__version__"):
                    continue
                path = SOURCE.parent.joinpath(*module.split("."), alias.name)
                known = path.is_dir() or path.with_suffix(".py").exists()
                yield Import(f"{module}.{alias.name}" if known else module, id(node) in inside, node.lineno)


def complaints(module: str, tree: ast.Module) -> list[str]:
    """What the imports of the module `widenet.<part>...` break of the layering."""
    part = module.split(".")[1]
    found = []
    for entry in imports(tree):
        if entry.target.startswith("."):
            found.append(f"{module}:{entry.line} imports {entry.target} by a relative name")
        if entry.deferred and part != "cli":
            found.append(f"{module}:{entry.line} imports {entry.target} inside a function")
        names = entry.target.split(".")
        if names[0] != "widenet":
            continue
        if len(names) == 1:
            if part != "cli":
                found.append(f"{module}:{entry.line} imports the whole package")
        elif names[1] not in RANK:
            found.append(f"{module}:{entry.line} imports {entry.target}, which no layer lists")
        elif names[1] != part and RANK[names[1]] >= RANK[part] and (part, names[1]) not in ALLOWED_EDGES:
            found.append(f"{module}:{entry.line} imports {entry.target}, which is not below {part}")
    return found


def modules() -> dict[str, ast.Module]:
    """Every module of the package but its front door, by dotted name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        names = ("widenet", *path.relative_to(SOURCE).with_suffix("").parts)
        name = ".".join(names[:-1] if names[-1] == "__init__" else names)
        if name != "widenet":
            found[name] = ast.parse(path.read_text(), str(path))
    return found


def test_imports_go_downward():
    assert [complaint for name, tree in modules().items() for complaint in complaints(name, tree)] == []


def test_every_part_has_a_rank():
    parts = {path.stem for path in SOURCE.glob("[!_]*.py")} | {
        path.parent.name for path in SOURCE.glob("*/__init__.py")
    }
    assert parts <= RANK.keys()


def test_no_module_imports_itself_through_others():
    known = modules()
    graph = {name: {entry.target for entry in imports(tree)} & known.keys() for name, tree in known.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail("a cycle: " + " <- ".join(error.args[1]))
    assert len(order) == len(known)


def test_every_directory_of_modules_is_a_package():
    bare = {path.parent for path in SOURCE.rglob("*.py")} - {path.parent for path in SOURCE.rglob("__init__.py")}
    assert bare == set()


def test_the_front_door_imports_nothing_before_it_is_asked():
    assert _imported_at_start("__init__.py") <= {"importlib", "importlib.metadata", "typing", "widenet._names"}
    assert _imported_at_start("_names.py") == set()


def _imported_at_start(file: str) -> set[str]:
    at_start = [
        node for node in ast.parse((SOURCE / file).read_text()).body if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    named = {alias.name for node in at_start if isinstance(node, ast.Import) for alias in node.names}
    return named | {node.module or "" for node in at_start if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("widenet.kernels.base", "from widenet.solvers.base import Solver", "not below kernels"),
        ("widenet.solvers.base", "import widenet.theory.spectrum", "not below solvers"),
        ("widenet.kernels.base", "def f():\n    import torch", "inside a function"),
        ("widenet.kernels.base", "import widenet", "whole package"),
        ("widenet.kernels.base", "from .angle import compile", "relative name"),
        ("widenet.kernels.base", "from widenet.helpers import f", "no layer lists"),
    ],
)
def test_a_breach_is_found(module: str, source: str, expected: str):
    (complaint,) = complaints(module, ast.parse(source))
    assert expected in complaint


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("widenet.cli.compare", "def compare():\n    from widenet.experiments import comparison"),
        ("widenet.solvers.base", "from widenet.linalg.kernel_matrix import KernelMatrix"),
        ("widenet.features.gradients", "from widenet.networks.build import network"),
        ("widenet.kernels.neural", "from widenet.kernels.base import Kernel"),
    ],
)
def test_a_downward_import_is_fine(module: str, source: str):
    assert complaints(module, ast.parse(source)) == []
