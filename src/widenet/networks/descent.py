"""What gradient descent does: rates, loss, batches, weight decay; a value without state."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from widenet._arrays import Array, is_count
from widenet.errors import InvalidInput

Loss = Literal["squared", "cross_entropy"]
Reduction = Literal["sum", "mean"]
PerParameter = float | Mapping[str, float]


@dataclass(frozen=True)
class GradientDescent:
    """Gradient descent on a loss of all rows, or stochastic gradient descent on batches of them.

    One step: v <- momentum v + grad L(p) + decay (p - c), p <- p - rate v, with the parameters p, and their centre c,
    which is 0 or their start. L is the sum (or mean) over the rows of |f(x) - y|^2 / 2, or of the cross-entropy.
    The sum over all rows is what theory has; a mean over n rows makes every step n times shorter.

    Args:
        learning_rate: Step size, one number or one for each parameter by its name.
        steps: Number of steps in all.
        batch_size: Rows of a step; None takes all. Each epoch has an order of its own, its last batch may be smaller.
            With the reduction "sum" the loss of a batch counts n / b times, an unbiased estimate of that of all rows.
        momentum: At least 0 and below 1.
        loss: "squared" or "cross_entropy".
        reduction: "sum" or "mean" over the rows.
        weight_decay: Strength of the penalty decay / 2 |p - c|^2, one number or one for each parameter by its name.
        decay_to: "zero": c = 0. "start": c is where the parameters start, which adds to the kernel as a ridge does.
        target_loss: Training ends when the loss of a step is at most this.
        seed: Of the order of the rows, and of modules that draw random numbers (dropout).

    Raises:
        InvalidInput: On a value out of range.

    Example:
        >>> GradientDescent(learning_rate=0.1, steps=50).reduction
        'sum'
    """

    learning_rate: PerParameter
    steps: int
    batch_size: int | None = None
    momentum: float = 0.0
    loss: Loss = "squared"
    reduction: Reduction = "sum"
    weight_decay: PerParameter = 0.0
    decay_to: Literal["zero", "start"] = "zero"
    target_loss: float = -inf
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("batch_size", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is None and name == "batch_size":
                continue
            if not is_count(value, least):
                raise InvalidInput(f"{name} must be a whole number of at least {least}", repr(value))
        for name, options in (
            ("loss", ("squared", "cross_entropy")),
            ("reduction", ("sum", "mean")),
            ("decay_to", ("zero", "start")),
        ):
            if getattr(self, name) not in options:
                raise InvalidInput(f"{name} must be one of {options}", repr(getattr(self, name)))
        if not 0 <= self.momentum < 1:
            raise InvalidInput("momentum must be at least 0 and below 1", repr(self.momentum))
        for name in ("learning_rate", "weight_decay"):
            value = getattr(self, name)
            for number in value.values() if isinstance(value, Mapping) else (value,):
                if isinstance(number, bool) or not isinstance(number, Real) or not 0 <= float(number) < inf:
                    raise InvalidInput(f"{name} must be finite and at least 0", repr(number))

    def rows(self, step: int, n: int) -> Tensor | None:
        """Rows of the batch of a step, or None for all of the n rows: a function of the seed and the step alone."""
        if self.batch_size is None or self.batch_size >= n:
            return None
        batches = -(-n // self.batch_size)
        epoch, batch = divmod(step, batches)
        seed = int(np.random.SeedSequence([self.seed, epoch]).generate_state(1, np.uint64)[0] >> 1)
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        return order[batch * self.batch_size : (batch + 1) * self.batch_size]

    def losses(self, outputs: Tensor, targets: Tensor, n: int) -> Tensor:
        """Loss of a batch, a number, or one for each member of an ensemble.

        Args:
            outputs: f(x), (rows, outputs), or (members, rows, outputs).
            targets: y, (rows, outputs) for the squared loss, classes (rows,) for the cross-entropy.
            n: Number of all rows, of which these may be a batch.
        """
        batch = len(targets)
        factor = 1 / batch if self.reduction == "mean" else n / batch
        if self.loss == "squared":
            return factor * (outputs - targets).square().sum((-2, -1)) / 2
        logarithms = torch.log_softmax(outputs, -1)
        chosen = targets.expand(*outputs.shape[:-1])[..., None]
        return -factor * logarithms.gather(-1, chosen)[..., 0].sum(-1)


def per_parameter(name: str, value: PerParameter, parameters: Mapping[str, Tensor]) -> dict[str, float]:
    """One number for every trained parameter.

    Raises:
        InvalidInput: Where a mapping does not name exactly these parameters.
    """
    if not isinstance(value, Mapping):
        return dict.fromkeys(parameters, float(value))
    if set(value) != set(parameters):
        odd = sorted(set(value) ^ set(parameters))
        raise InvalidInput(f"{name} must have a number for every trained parameter and no other", f"{odd[0]!r}")
    return {key: float(value[key]) for key in parameters}


def group_numbers(module: nn.Module, groups: Iterable[Mapping[str, Any]], key: str) -> dict[str, float]:
    """A number of every parameter by its name, from groups such as torch's optimizers take.

    Args:
        module: The module that holds the parameters.
        groups: Each with "params" and numbers.
        key: "weight_decay" or "lr".

    Example:
        >>> from torch import nn
        >>> module = nn.Linear(2, 1, bias=False)
        >>> group_numbers(module, [{"params": [module.weight], "lr": 0.1}], "lr")
        {'weight': 0.1}
    """
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return {names[id(parameter)]: float(group[key]) for group in groups for parameter in group["params"]}


def read_inputs(X: Array, like: Tensor) -> Tensor:
    """Rows in the precision and on the device of the parameters.

    Raises:
        InvalidInput: On anything but finite numbers with one row or more.
    """
    try:
        points = X if isinstance(X, Tensor) else torch.as_tensor(np.asarray(X, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InvalidInput("X must hold numbers", str(error)) from None
    points = points.detach().to(like.device, like.dtype)
    if points.ndim < 2 or len(points) == 0:
        raise InvalidInput("X must be (rows, ..., channels)", f"shape {tuple(points.shape)}")
    if not bool(torch.isfinite(points).all()):
        raise InvalidInput("X must be finite", "NaN or infinity in it", "Impute or drop those rows")
    return points


def read_targets(y: Array, loss: Loss, like: Tensor, n: int) -> Tensor:
    """Targets (n, outputs) of the squared loss, or classes (n,) of the cross-entropy.

    Raises:
        InvalidInput: Where they do not fit the rows or the loss.
    """
    try:
        given = y.detach() if isinstance(y, Tensor) else torch.as_tensor(np.asarray(y))
    except (TypeError, ValueError) as error:
        raise InvalidInput("y must hold numbers", str(error)) from None
    if loss == "cross_entropy":
        whole = given.ndim == 1 and not given.is_floating_point() and not given.is_complex()
        if not whole or len(given) != n or bool((given < 0).any()):
            got = f"{given.dtype}, shape {tuple(given.shape)}"
            raise InvalidInput(f"the cross-entropy needs classes 0, 1, ... of shape ({n},)", got)
        return given.to(like.device, torch.int64)
    targets = given.to(like.device, like.dtype)
    targets = targets[:, None] if targets.ndim == 1 else targets
    if targets.ndim != 2 or len(targets) != n:
        raise InvalidInput(f"y must have shape ({n},) or ({n}, outputs)", f"shape {tuple(given.shape)}")
    if not isfinite(float(targets.abs().sum())):
        raise InvalidInput("y must be finite", "NaN or infinity in it", "Drop those rows")
    return targets
