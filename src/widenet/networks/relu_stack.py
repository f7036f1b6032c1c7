"""Plain stacks of linear maps and ReLU without biases."""

from collections.abc import Sequence
from math import isfinite, sqrt

import torch
from torch import Tensor, nn

from widenet._arrays import is_count
from widenet.errors import InvalidArchitecture, InvalidInput


def relu_stack(
    widths: Sequence[int], *, output_scale: float = 1.0, seed: int = 0, dtype: torch.dtype = torch.float64
) -> nn.Sequential:
    """f(x) = B relu(W_L ... relu(W_1 relu(A x))), where surrogate networks start.

    A and the W_l have entries N(0, 2 / m) for m rows, so that signals keep their norm; B has N(0, output_scale^2).
    A scale of 1 / sqrt(m) makes values small and weights move far; 1 keeps them near their start.

    Args:
        widths: Channels of the input, units of every hidden layer, outputs: L + 3 numbers, at least 3.
        output_scale: Standard deviation of the entries of B.
        seed: Of the weights.
        dtype: torch.float64 or torch.float32; the same seed gives the same weights, rounded.

    Returns:
        An `nn.Sequential` of `nn.Linear` without bias and `nn.ReLU`.

    Raises:
        InvalidInput: On widths that are no whole numbers from 1, fewer than 3 of them, or another dtype.

    Example:
        >>> [tuple(weight.shape) for weight in relu_stack((5, 64, 32, 1)).parameters()]
        [(64, 5), (32, 64), (1, 32)]
    """
    if len(widths) < 3 or any(not is_count(w) for w in widths):
        raise InvalidInput("widths must be 3 or more whole numbers from 1: input, hidden layers, output", repr(widths))
    if not isfinite(output_scale) or output_scale <= 0:
        raise InvalidInput("output_scale must be positive and finite", repr(output_scale))
    if dtype not in (torch.float32, torch.float64):
        raise InvalidInput("dtype must be torch.float32 or torch.float64", str(dtype))
    generator = torch.Generator().manual_seed(seed)
    weights = []
    for number in range(1, len(widths)):
        shape = int(widths[number]), int(widths[number - 1])
        size = output_scale if number == len(widths) - 1 else sqrt(2 / shape[0])
        weights.append((size * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype))
    return stack_of(weights)


def stack_of(weights: Sequence[Tensor]) -> nn.Sequential:
    """The stack with these matrices, each (units, units before); they are copied.

    Args:
        weights: Matrices in the order of application.
    """
    modules: list[nn.Module] = []
    for weight in weights:
        rows, columns = weight.shape
        # On no device, so that no initial values are drawn, which would move torch's global random numbers.
        linear = nn.Linear(columns, rows, bias=False, device="meta")
        linear.weight = nn.Parameter(weight.detach().clone())
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def stack_weights(network: nn.Sequential) -> list[nn.Parameter]:
    """Matrices of a plain stack, in the order of application.

    Args:
        network: `nn.Linear` without bias and `nn.ReLU` in turn, first and last a linear map.

    Raises:
        InvalidArchitecture: On any other module.
    """
    found = []
    for number, module in enumerate(network.children()):
        wanted = nn.ReLU if number % 2 else nn.Linear
        if not isinstance(module, wanted) or (isinstance(module, nn.Linear) and module.bias is not None):
            raise InvalidArchitecture(
                "the network must be a stack of Linear(bias=False) and ReLU in turn",
                f"{module} in place {number}",
                "Give the inputs a column of ones instead of a bias",
            )
        if isinstance(module, nn.Linear):
            found.append(module.weight)
    if len(network) % 2 == 0:
        raise InvalidArchitecture("the stack must end with a linear map", f"{len(network)} modules")
    return found
