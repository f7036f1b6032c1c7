"""The run-time checker of annotations that the import hook of conftest.py applies to widenet."""

from collections.abc import Callable
from typing import Any, Self

from beartype import BeartypeConf, beartype

# An int is welcome where a float is asked, as PEP 484 has it.
_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose arguments and result are checked against its annotations at each call.

    `Self` is left unchecked: beartype reads it only where it decorates the whole class, and the hook decorates methods.
    """
    annotations = getattr(function, "__annotations__", {})
    if Self in annotations.values():
        function.__annotations__ = {name: hint for name, hint in annotations.items() if hint is not Self}
    return _check(function)
