"""Named architectures."""

from math import sqrt
from typing import Literal

from widenet._arrays import is_count
from widenet.architectures.activations import Activation, ReLU
from widenet.architectures.base import Layer, require_finite
from widenet.architectures.layers import Dense
from widenet.errors import InvalidArchitecture

Scaling = Literal["ntk", "he", "arora", "geifman"]


def fully_connected(
    depth: int,
    activation: Activation = ReLU(),  # noqa: B008 (a frozen value)
    weight_std: float | None = None,
    bias_std: float = 0.0,
    scaling: Scaling = "ntk",
) -> Layer:
    """Fully connected network: `depth` times Dense and activation, then Dense.

    Args:
        depth: Number of activations; 0 is a linear model.
        activation: The activation after each hidden layer.
        weight_std: Standard deviation of the weights, or None for the scaling's own.
        bias_std: Factor of the biases of every layer; 0 means none.
        scaling: What the layers compute before the activation, h = a W x + bias_std b.

            - "ntk": a = weight_std / sqrt(fan_in), weight_std 1, biases start as N(0, 1).
            - "he": the same with weight_std sqrt(2) in the hidden layers and 1 in the last
              (He et al. 2015, arXiv 1502.01852).
            - "arora": like "ntk", but the inputs are not divided by sqrt(fan_in), so that depth 0 is
              x.y (public code of Arora et al. 2020, arXiv 1910.01663, which has no biases).
            - "geifman": inputs not divided, weight_std sqrt(2) after the first layer, biases start
              at 0 (Geifman et al. 2020, arXiv 2007.01580): K(x, x) = (depth + 1)(1 + bias_std^2)
              for |x| = 1 and ReLU.

    Raises:
        InvalidArchitecture: On a negative depth or an unknown scaling.

    Example:
        >>> fully_connected(3, bias_std=0.1)
        (Dense(bias_std=0.1) >> ReLU()) ** 3 >> Dense(bias_std=0.1)
    """
    if not is_count(depth, 0):
        raise InvalidArchitecture("depth must be a whole number of activations, 0 or more", repr(depth))
    if scaling not in ("ntk", "he", "arora", "geifman"):
        raise InvalidArchitecture("scaling must be 'ntk', 'he', 'arora' or 'geifman'", repr(scaling))
    if not isinstance(activation, Activation):
        raise InvalidArchitecture("activation must be an Activation", repr(activation), "Use Elementwise(function)")
    if weight_std is not None:
        weight_std = require_finite("weight_std", weight_std, 0.0)
    hidden_std = weight_std if weight_std is not None else sqrt(2.0) if scaling in ("he", "geifman") else 1.0
    if scaling in ("ntk", "he"):
        hidden = Dense(hidden_std, bias_std)
        last = Dense(hidden_std if weight_std is not None or scaling == "ntk" else 1.0, bias_std)
        return (hidden >> activation) ** depth >> last if depth else last
    bias_init = "zero" if scaling == "geifman" else "normal"
    first_std = 1.0 if scaling == "geifman" or weight_std is None else weight_std
    first = Dense(first_std, bias_std, bias_init=bias_init, fan_in_scaling="none")
    return first >> (activation >> Dense(hidden_std, bias_std, bias_init=bias_init)) ** depth if depth else first
