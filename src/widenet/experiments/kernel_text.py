"""Kernels written as text, such as `NTK(depth=3)` or `0.5 * laplace(scale=2) + gaussian`: read, never evaluated."""

import ast
import inspect
from collections.abc import Callable

from widenet.architectures import Layer, fully_connected
from widenet.errors import InvalidInput
from widenet.kernels import (
    NNGP,
    NTK,
    ArcCosine,
    GammaExponential,
    Gaussian,
    Homogeneous,
    Kernel,
    Laplace,
    Linear,
    Matern,
    Normalized,
)

MOST_LAYERS = 1000
"""The deepest network that text can ask for."""


def _network(depth: int, bias_std: float, weight_std: float | None) -> Layer:
    if depth > MOST_LAYERS:
        raise InvalidInput(f"depth must be at most {MOST_LAYERS}, a kernel's work grows with it", repr(depth))
    # "he" keeps the size of the kernel from layer to layer; the scaling "ntk" halves it, to 0 in the end.
    return fully_connected(depth, bias_std=bias_std, weight_std=weight_std, scaling="he")


def _ntk(depth: int = 3, bias_std: float = 0.0, weight_std: float | None = None) -> Kernel:
    return NTK(_network(depth, bias_std, weight_std))


def _nngp(depth: int = 3, bias_std: float = 0.0, weight_std: float | None = None) -> Kernel:
    return NNGP(_network(depth, bias_std, weight_std))


def _laplace(scale: float = 1.0) -> Kernel:
    return Laplace(scale)


def _gaussian(scale: float = 1.0) -> Kernel:
    return Gaussian(scale)


def _gamma_exponential(scale: float = 1.0, gamma: float = 1.0) -> Kernel:
    return GammaExponential(scale, gamma)


def _matern(scale: float = 1.0, smoothness: float = 1.5) -> Kernel:
    return Matern(scale, smoothness)


def _linear(bias: float = 0.0) -> Kernel:
    return Linear(bias)


def _arc_cosine(order: int = 1) -> Kernel:
    return ArcCosine(order)


def _homogeneous(kernel: Kernel) -> Kernel:
    return Homogeneous(kernel)


def _normalized(kernel: Kernel) -> Kernel:
    return Normalized(kernel)


KERNELS: dict[str, Callable[..., Kernel]] = {
    "ntk": _ntk,
    "nngp": _nngp,
    "laplace": _laplace,
    "gaussian": _gaussian,
    "gammaexponential": _gamma_exponential,
    "matern": _matern,
    "linear": _linear,
    "arccosine": _arc_cosine,
    "homogeneous": _homogeneous,
    "normalized": _normalized,
}
"""Makers of kernels by name, in lower case without marks."""


def read_kernel(text: str) -> Kernel:
    """The kernel that a text describes.

    Names of kernels (lower or upper case), their numbers, `+`, `*` and brackets; nothing is evaluated.
    Networks have the scaling "he" of `fully_connected` where no weight_std is given.

    Args:
        text: Such as `NTK(depth=3, bias_std=0.1)`, `laplace`, `homogeneous(gaussian(2))`.

    Raises:
        InvalidInput: Where it describes no kernel.

    Example:
        >>> read_kernel("0.5 * Laplace(scale=2) + gaussian")
        0.5 * Laplace(scale=2.0) + Gaussian(scale=1.0)
    """
    try:
        value = _read(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise _refused(text) from None
    if not isinstance(value, Kernel):
        raise _refused(text)
    return value


def _read(node: ast.expr) -> Kernel | float | int:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _read(node.operand)
        if not isinstance(value, Kernel):
            return -value
    if isinstance(node, ast.Name):
        return _make(node.id, [], {})
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        named = {word.arg: _read(word.value) for word in node.keywords if word.arg is not None}
        if len(named) == len(node.keywords):
            return _make(node.func.id, [_read(argument) for argument in node.args], named)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mult)):
        left, right = _read(node.left), _read(node.right)
        if isinstance(left, Kernel) and isinstance(right, Kernel):
            return left + right if isinstance(node.op, ast.Add) else left * right
        if isinstance(node.op, ast.Mult) and (isinstance(left, Kernel) != isinstance(right, Kernel)):
            return left * right
    raise _refused(ast.unparse(node))


def _make(name: str, positional: list, named: dict) -> Kernel:
    maker = KERNELS.get(name.lower().replace("_", ""))
    if maker is None:
        raise InvalidInput("no such kernel", repr(name[:40]), f"One of: {', '.join(KERNELS)}")
    signature = inspect.signature(maker)
    try:
        bound = signature.bind(*positional, **named)
    except TypeError as error:
        raise InvalidInput(f"{name} must be written as {name}{_words(signature)}", str(error)) from None
    try:
        return maker(*bound.args, **bound.kwargs)
    except TypeError as error:
        raise InvalidInput(f"{name} needs other arguments", str(error).splitlines()[0]) from None


def _words(signature: inspect.Signature) -> str:
    parameters = signature.parameters.values()
    return "(" + ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters) + ")"


def _refused(text: str) -> InvalidInput:
    return InvalidInput("a kernel must read like NTK(depth=3) or 0.5 * laplace(scale=2) + gaussian", repr(text[:80]))
