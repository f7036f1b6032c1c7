"""What the public names of the package promise in their docstrings."""

import ast
import importlib
import inspect
import re
from dataclasses import fields, is_dataclass

import pytest

import widenet

PUBLIC = sorted(name for name in widenet.__all__ if not name.startswith("__"))
SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Cost|References|Example|Examples|Note):", re.MULTILINE)


def _sections(text: str) -> dict[str, str]:
    """The sections of a docstring by name; its lines before the first one under ''."""
    pieces = SECTION.split(inspect.cleandoc(text))
    return {"": pieces[0]} | dict(zip(pieces[1::2], pieces[2::2], strict=True))


def _parameters(value: object) -> list[str]:
    if isinstance(value, type) and issubclass(value, Exception):
        return []
    if isinstance(value, type) and is_dataclass(value) and "__init__" not in vars(value):
        return [field.name for field in fields(value) if field.init and not field.name.startswith("_")]
    return [name for name in inspect.signature(value).parameters if name not in ("self", "cls")]  # pyright: ignore[reportArgumentType]


def complaints(value: object) -> list[str]:
    """Parameters that are not described, arrays that are returned without a word, errors that are not announced."""
    name = value.__name__  # pyright: ignore[reportAttributeAccessIssue]
    sections = _sections(value.__doc__ or "")
    if not sections[""].strip():
        return [f"{name} has no docstring"]
    described = sections.get("Args", "") + sections.get("Attributes", "")
    names = re.findall(r"^\s+\*{0,2}([\w, ]+?)(?: \([^)]*\))?:", described, re.MULTILINE)
    listed = {part.strip() for entry in names for part in entry.split(",")}
    found = [f"{name} does not describe {parameter}" for parameter in _parameters(value) if parameter not in listed]
    (body,) = ast.parse(inspect.getsource(value)).body  # pyright: ignore[reportArgumentType]
    if isinstance(body, ast.FunctionDef):
        returned = ast.unparse(body.returns) if body.returns else "None"
        if re.search(r"Array|Tensor|ndarray|tuple|DataFrame", returned) and "Returns" not in sections:
            found.append(f"{name} does not say what the {returned} holds")
    checks = [body]
    if isinstance(body, ast.ClassDef):
        methods = [node for node in body.body if isinstance(node, ast.FunctionDef)]
        checks = [method for method in methods if method.name in ("__init__", "__post_init__")]
    if any(isinstance(node, ast.Raise) for check in checks for node in ast.walk(check)) and "Raises" not in sections:
        found.append(f"{name} does not say what it raises")
    return found


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_documented(name: str):
    value = getattr(widenet, name)
    assert not callable(value) or complaints(value) == []


def test_what_is_missing_is_found():
    module = importlib.import_module("widenet.architectures.base")
    assert complaints(module.require_finite) == [
        "require_finite does not describe name",
        "require_finite does not describe value",
        "require_finite does not describe minimum",
        "require_finite does not say what it raises",
    ]
