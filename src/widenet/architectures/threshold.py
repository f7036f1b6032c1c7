"""Units that stay silent below a threshold, and the networks of them."""

from dataclasses import dataclass
from math import erfc, exp, pi, sqrt
from typing import Literal

from torch import Tensor

from widenet._arrays import is_count
from widenet.architectures.activations import Activation
from widenet.architectures.base import Layer, serial, set_finite
from widenet.architectures.layers import Dense
from widenet.errors import InvalidArchitecture


@dataclass(frozen=True)
class ThresholdReLU(Activation):
    """max(z - threshold, 0): a unit of standard deviation s is active with probability Q(threshold / s).

    Q is the upper tail of the normal distribution. The threshold is a bias that starts at -threshold; a trained one is
    the `bias_std=1, bias_init="zero"` of the Dense layer before it.

    Args:
        threshold: B, at least 0; 0 is the ReLU.

    Raises:
        InvalidArchitecture: On a threshold that is negative or not finite.

    Example:
        >>> import torch
        >>> ThresholdReLU(1.0)(torch.tensor([-1.0, 0.5, 3.0]))
        tensor([0., 0., 2.])
    """

    threshold: float

    def __post_init__(self) -> None:
        set_finite(self, "threshold", minimum=0.0)

    def __call__(self, z: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        return (z - self.threshold).clamp(min=0)


def sparse_network(threshold: float, depth: int = 1, trained: Literal["hidden", "all"] = "hidden") -> Layer:
    """Network of units with a threshold, whose biases start at -threshold and are trained: few units are active.

    With one hidden layer and a readout that stays as it was drawn its NTK is the bias-generalised one,

        K(x, z) = (x . z + 1) P[w . x >= B and w . z >= B],   w ~ N(0, I),

    the first layer's fan-in not being divided out. Deeper networks scale the weights of a hidden layer so that for
    inputs of norm 1 its units have variance 1 again; then the share of active units is Q(B) in every layer.

    Args:
        threshold: B, at least 0.
        depth: Number of hidden layers, at least 1.
        trained: "hidden": all but the readout, as in the paper. "all": the readout as well.

    Raises:
        InvalidArchitecture: On another threshold, depth or choice, or a threshold so high that no unit is ever active.

    References: Yang et al. 2023, arXiv 2301.00327, for depth 1 and trained "hidden".

    Example:
        >>> sparse_network(1.0)
        Dense(bias_std=1.0, bias_init='zero', fan_in_scaling='none') >> ThresholdReLU(threshold=1.0)
        >> Dense(trainable=False)
    """
    if not is_count(depth):
        raise InvalidArchitecture("depth must be a whole number of hidden layers, 1 or more", repr(depth))
    if trained not in ("hidden", "all"):
        raise InvalidArchitecture("trained must be 'hidden' or 'all'", repr(trained))
    units = ThresholdReLU(threshold)
    first = Dense(bias_std=1.0, bias_init="zero", fan_in_scaling="none")
    readout = Dense(trainable=trained == "all")
    if depth == 1:
        return first >> units >> readout
    size = _second_moment(units.threshold)
    if size <= 0:
        raise InvalidArchitecture("a threshold must leave some units active", f"{threshold!r}", "Use one below 30")
    hidden = Dense(1 / sqrt(size), bias_std=1.0, bias_init="zero")
    return serial(first, units, *(hidden, units) * (depth - 1), readout)


def _second_moment(b: float) -> float:
    """E[max(z - b, 0)^2] = (1 + b^2) Q(b) - b n(b) for z ~ N(0, 1), n being the normal density."""
    # The difference loses a factor b^4 / 2: four digits at b = 10, where one unit in 10^23 is active.
    return (1 + b * b) * erfc(b / sqrt(2)) / 2 - b * exp(-b * b / 2) / sqrt(2 * pi)
