"""The front door: every public name resolves, type checkers see the same names, and importing it costs nothing."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import widenet
from widenet._names import HOME

PUBLIC = [name for name in widenet.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_what_its_module_holds(name: str):
    assert getattr(widenet, name) is getattr(import_module(HOME[name]), name)


def test_type_checkers_see_the_names_that_resolve():
    assert widenet.__file__ is not None
    tree = ast.parse(Path(widenet.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {(n.module, alias.name) for n in block.body if isinstance(n, ast.ImportFrom) for alias in n.names}
    assert seen == {(module, name) for name, module in HOME.items()}
    assert {*HOME, "__version__"} == set(widenet.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'NTKK'"):
        widenet.NTKK  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


def test_dir_lists_the_public_names():
    assert dir(widenet) == sorted(widenet.__all__)


def test_importing_the_package_loads_no_heavy_library():
    heavy = "{'torch', 'numpy', 'scipy', 'sklearn', 'numba', 'pandas', 'matplotlib'}"
    code = f"import sys, widenet; print(sorted({heavy} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
