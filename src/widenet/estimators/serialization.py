"""Kernels, architectures and solvers as JSON and back, by a registry of frozen dataclasses: nothing is evaluated."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from widenet import architectures as layers
from widenet import features, kernels, solvers
from widenet.errors import InvalidFile, InvalidInput, WidenetError
from widenet.estimators.support_vectors import SupportVectorMachine

_CLASSES = (
    layers.Abs,
    layers.AbsLinear,
    layers.AvgPool,
    layers.BranchSum,
    layers.Concat,
    layers.Conv,
    layers.Cosine,
    layers.Dense,
    layers.Elementwise,
    layers.Erf,
    layers.FactorizedDense,
    layers.Flatten,
    layers.GELU,
    layers.GaussianBump,
    layers.GlobalAveragePool,
    layers.GlobalSumPool,
    layers.Identity,
    layers.LayerNorm,
    layers.LeakyReLU,
    layers.Polynomial,
    layers.RBF,
    layers.ReLU,
    layers.Repeat,
    layers.Scale,
    layers.Serial,
    layers.Sine,
    layers.SumPool,
    layers.ThresholdReLU,
    layers.LastStep,
    layers.Recurrent,
    layers.StepwiseAverage,
    kernels.ArcCosine,
    kernels.Bidirectional,
    kernels.GammaExponential,
    kernels.Gaussian,
    kernels.Homogeneous,
    kernels.Laplace,
    kernels.Linear,
    kernels.Matern,
    kernels.NNGP,
    kernels.NTK,
    kernels.Normalized,
    kernels.Product,
    kernels.Scaled,
    kernels.Sum,
    kernels.TruncatedDual,
    kernels.TruncatedDual,
    kernels.Zonal,
    features.ArchitectureFeatures,
    features.CNTKSketch,
    features.FourierFeatures,
    features.NTKRandomFeatures,
    features.NTKSketch,
    features.Nystroem,
    features.PrincipalFeatures,
    features.ProductFeatures,
    features.ScaledFeatures,
    features.Sketch,
    features.SumFeatures,
    features.ZonalRandomFeatures,
    SupportVectorMachine,
    solvers.Auto,
    solvers.Cholesky,
    solvers.ConjugateGradient,
    solvers.Landmarks,
    solvers.Spectral,
)
REGISTRY: dict[str, type] = {cls.__name__: cls for cls in _CLASSES}
"""The classes that files may name."""

_NAMES = (
    *("abs", "arctan", "atan", "cos", "cosh", "erf", "exp", "exp2", "expm1", "log1p", "reciprocal"),
    *("sigmoid", "sin", "sinc", "sinh", "sqrt", "square", "tan", "tanh"),
)
_TORCH = (
    *("celu", "elu", "gelu", "hardtanh", "leaky_relu", "logsigmoid", "mish", "relu", "relu6", "selu", "silu"),
    *("softplus", "softsign", "tanhshrink"),
)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    f"{prefix}.{name}": getattr(module, name)
    for prefix, module, names in (
        ("torch", torch, _NAMES),
        ("torch.nn.functional", torch.nn.functional, _TORCH),
        ("numpy", np, _NAMES),
    )
    for name in names
    if name in dir(module)
}
"""Elementwise functions that files may name: no other function is ever looked up."""


def to_json(value: Any) -> Any:
    """A kernel, architecture, solver or plain value as what `json.dumps` takes.

    Raises:
        InvalidInput: On a class outside the registry or a function outside the named ones, such as a lambda.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return to_json(value.item())
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if REGISTRY.get(type(value).__name__) is type(value):
        arguments = {name: to_json(getattr(value, name)) for name in inspect.signature(type(value)).parameters}
        return {"class": type(value).__name__, "arguments": arguments}
    if callable(value):
        for name, function in FUNCTIONS.items():
            if function is value:
                return {"function": name}
    raise InvalidInput(
        "only kernels of this package and elementwise functions of torch or numpy can be saved",
        repr(value),
        "Use one of them, torch.tanh for example, or keep the model in memory",
    )


def from_json(value: Any) -> Any:
    """What `to_json` made, back; lists come back as tuples.

    Raises:
        InvalidFile: On a name outside the registry, or arguments that its class refuses.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    if isinstance(value, dict) and set(value) == {"function"} and _known(value["function"], FUNCTIONS):
        return FUNCTIONS[value["function"]]
    if isinstance(value, dict) and set(value) == {"class", "arguments"} and _known(value["class"], REGISTRY):
        return _construct(REGISTRY[value["class"]], value["arguments"])
    raise InvalidFile("a saved value must name a known class or function", repr(value)[:80])


def _construct(cls: type, arguments: Any) -> Any:
    parameters = inspect.signature(cls).parameters.values()
    needed = {p.name for p in parameters if p.default is p.empty}
    # A file of an older version lacks the options that came later.
    if not isinstance(arguments, dict) or not needed <= set(arguments) <= {p.name for p in parameters}:
        raise InvalidFile(f"{cls.__name__} must have its own arguments", repr(arguments)[:80])
    decoded = {name: from_json(item) for name, item in arguments.items()}
    several = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]
    try:
        positional = [item for name in several for item in decoded.pop(name)]
        return cls(*positional, **decoded)
    except (WidenetError, TypeError, ValueError) as error:
        raise InvalidFile(f"{cls.__name__} must have valid arguments", str(error)) from error


def _known(name: Any, names: dict[str, Any]) -> bool:
    return isinstance(name, str) and name in names
