"""A user's module as a function of its parameters: checked, in one precision, a row of outputs for every point."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.backends import mha
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.parameter import is_lazy

from widenet.errors import InvalidInput

# While a module is evaluated its parameters are exchanged and hooks hang on its layers: one thread at a time.
_LOCK = threading.RLock()


@contextmanager
def evaluation(device: torch.device) -> Iterator[None]:
    """Gradients on, autocast off, attention in the form that has all derivatives, and no other thread inside."""
    with _LOCK, torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        fast = mha.get_fastpath_enabled()
        mha.set_fastpath_enabled(False)
        try:
            with sdpa_kernel(SDPBackend.MATH):
                yield
        finally:
            mha.set_fastpath_enabled(fast)


def check_module(module: nn.Module) -> None:
    """Refuse what has no tangent kernel as it stands: chance, statistics of the batch, weights that do not exist.

    Raises:
        InvalidInput: On dropout or batch normalisation in training mode, batch normalisation without running
            statistics, recurrent modules of torch, and lazy parameters without a shape.
    """
    for name, layer in module.named_modules():
        called = f"{type(layer).__name__} {name!r}"
        if isinstance(layer, _BatchNorm) and (layer.training or layer.running_mean is None):
            got = "one in training mode" if layer.training else "one without running statistics"
            raise InvalidInput(
                "batch normalisation must use running statistics, so that outputs depend on their own point alone",
                f"{got}: {called}",
                "Call module.eval() first",
            )
        random = isinstance(layer, _DropoutNd) and layer.p > 0
        random = random or (isinstance(layer, (nn.RReLU, nn.MultiheadAttention)) and _drops(layer))
        if random and layer.training:
            raise InvalidInput(
                "a tangent kernel needs outputs without chance",
                f"{called} in training mode",
                "Call module.eval() first",
            )
        if isinstance(layer, nn.RNNBase):
            raise InvalidInput(
                "torch.func must be able to exchange the weights of a module",
                f"{called}, whose weights are in a buffer of their own",
                "Write the recurrence with nn.Linear, or use the Recurrent layer",
            )
        if any(parameter is not None and is_lazy(parameter) for parameter in layer._parameters.values()):
            raise InvalidInput("parameters must have their shape", f"{called} without one", "Call the module once")


def _drops(layer: nn.RReLU | nn.MultiheadAttention) -> bool:
    return isinstance(layer, nn.RReLU) or layer.dropout > 0


def select_parameters(module: nn.Module, names: tuple[str, ...] | None) -> tuple[str, ...]:
    """Full names of parameters, each tensor once.

    Args:
        module: The module.
        names: Names of parameters, or of submodules for all that is in them; None for all that require gradients.

    Raises:
        InvalidInput: On a name that names nothing, or if nothing is selected.
    """
    every = dict(module.named_parameters())
    if names is None:
        found = tuple(name for name, parameter in every.items() if parameter.requires_grad)
        if not found:
            raise InvalidInput("the module must have trainable parameters", "none", "Name some by parameters=(...)")
        return found
    found = []
    for name in names:
        inside = [full for full in every if full == name or full.startswith(f"{name}.")]
        if not inside:
            raise InvalidInput(
                "parameters must be names of parameters or submodules", repr(name), f"There are {', '.join(every)}"
            )
        found += [full for full in inside if full not in found]
    if not found:
        raise InvalidInput("parameters must name at least one", "none")
    return tuple(found)


@dataclass(frozen=True, eq=False)
class ModuleFunction:
    """f(w, x): outputs of a module as a function of some of its parameters.

    Attributes:
        module: The module, which stays as it is.
        parameters: The parameters w as they are now, detached and in the precision of the points.
        fixed: All other parameters and buffers, in that precision.
    """

    module: nn.Module
    parameters: dict[str, Tensor]
    fixed: dict[str, Tensor]

    @classmethod
    def of(cls, module: nn.Module, names: tuple[str, ...] | None, points: Tensor) -> "ModuleFunction":
        """The function for points of this precision and device.

        Args:
            module: The module.
            names: See `select_parameters`.
            points: The points, (n, ...).

        Raises:
            InvalidInput: See `check_module` and `select_parameters`; on parameters that are on another device.
        """
        check_module(module)
        chosen = select_parameters(module, names)
        every = dict(module.named_parameters())
        elsewhere = [name for name, parameter in every.items() if parameter.device != points.device]
        if elsewhere:
            raise InvalidInput(
                "points and module must be on one device",
                f"points on {points.device}, {elsewhere[0]} on {every[elsewhere[0]].device}",
            )
        cast = {name: _cast(value, points.dtype) for name, value in every.items()}
        fixed = {name: value for name, value in cast.items() if name not in chosen}
        # Copies: what a forward pass writes into them does not reach the module.
        fixed |= {name: _cast(value, points.dtype).clone() for name, value in module.named_buffers()}
        return cls(module, {name: cast[name] for name in chosen}, fixed)

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.count(tuple(self.parameters))

    def count(self, names: tuple[str, ...]) -> int:
        """Number of parameters under these names."""
        return sum(self.parameters[name].numel() for name in names)

    def __call__(self, parameters: Mapping[str, Tensor], X: Tensor) -> Tensor:
        """Outputs (n, outputs) at parameters, some of which may be left out for those of now.

        Raises:
            InvalidInput: If the module does not return one tensor with a row for each point.
        """
        outputs = functional_call(self.module, {**self.fixed, **self.parameters, **parameters}, (X,))
        if not isinstance(outputs, Tensor):
            raise InvalidInput("a module must return one tensor", type(outputs).__name__, "Wrap it so that it does")
        if outputs.ndim < 1 or len(outputs) != len(X):
            raise InvalidInput(
                f"a module must return outputs (points, ...) for {len(X)} points", f"shape {tuple(outputs.shape)}"
            )
        return outputs.reshape(len(X), -1)

    def outputs(self, X: Tensor) -> Tensor:
        """Outputs (n, outputs) without gradients."""
        with evaluation(X.device), torch.no_grad():
            return self(self.parameters, X)


def _cast(value: Tensor, dtype: torch.dtype) -> Tensor:
    value = value.detach()
    return value.to(dtype) if value.is_floating_point() else value
