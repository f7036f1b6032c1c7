"""Named convolutional networks."""

from math import sqrt
from typing import Literal

from widenet._arrays import is_count
from widenet.architectures.activations import Activation, ReLU
from widenet.architectures.base import Concat, Identity, Layer, require_finite
from widenet.architectures.layers import Dense
from widenet.architectures.spatial import AvgPool, Conv, Flatten, GlobalAveragePool, Padding
from widenet.errors import InvalidArchitecture

Readout = Literal["flatten", "average"]

_MYRTLE = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}


def convolutional(
    depth: int,
    readout: Readout = "average",
    activation: Activation = ReLU(),  # noqa: B008 (a frozen value)
    filter_size: int = 3,
    padding: Padding = "same",
    bias_std: float = 0.0,
) -> Layer:
    """Convolutional network: `depth` times Conv and activation, then a readout and Dense.

    Weights have the standard deviation sqrt(2) in the convolutions and 1 in the last layer (He et al. 2015).

    Args:
        depth: Number of convolutions, at least 1.
        readout: "average": global average pooling, CNTK-GAP; all pairs of positions are compared. "flatten": every
            position has weights of its own, CNN-Vec; far cheaper.
        activation: The activation after each convolution.
        filter_size: Positions of the filters along every axis.
        padding: "same", "valid" or "circular".
        bias_std: Factor of the biases of every layer; 0 means none.

    Raises:
        InvalidArchitecture: On a depth below 1 or an unknown readout.

    References: Arora et al. 2019, arXiv 1904.11955; Novak et al. 2019, arXiv 1810.05148.

    Example:
        >>> convolutional(2, "flatten", bias_std=0.1, filter_size=5)  # doctest: +NORMALIZE_WHITESPACE
        (Conv(filter_size=5, weight_std=1.4142135623730951, bias_std=0.1) >> ReLU()) ** 2 >> Flatten()
         >> Dense(bias_std=0.1)
    """
    _require_count("depth", depth)
    conv = Conv(filter_size, padding=padding, weight_std=sqrt(2.0), bias_std=bias_std)
    return (conv >> _checked(activation)) ** depth >> _readout(readout) >> Dense(bias_std=bias_std)


def residual_convolutional(
    blocks: int,
    readout: Readout = "average",
    alpha: float | None = None,
    filter_size: int = 3,
    bias_std: float = 0.0,
) -> Layer:
    """Convolutional residual network y <- y + sqrt(alpha) Conv(relu(Conv(relu(y)))), from one Conv to a readout.

    Weights have the standard deviation sqrt(2) after an activation, 1 in the first and the last layer.

    Args:
        blocks: Number of residual blocks, at least 1.
        readout: "average" or "flatten", as for `convolutional`.
        alpha: Variance of a branch relative to its input; None means 1 / blocks.
        filter_size: Positions of the filters along every axis.
        bias_std: Factor of the biases of every layer; 0 means none.

    Raises:
        InvalidArchitecture: On a number of blocks below 1, a negative alpha, or an unknown readout.

    References: branch scales as in Littwin, Galanti and Wolf 2020, arXiv 2001.10460.

    Example:
        >>> residual_convolutional(1, "flatten", alpha=0.0).layers[-2:]
        (Flatten(), Dense(weight_std=1.4142135623730951))
    """
    _require_count("blocks", blocks)
    scale = sqrt(require_finite("alpha", 1 / blocks if alpha is None else alpha, 0.0))
    unit = ReLU() >> Conv(filter_size, weight_std=sqrt(2.0), bias_std=bias_std)
    body = (Identity() + scale * unit**2) ** blocks
    last = Dense(sqrt(2.0), bias_std)
    return Conv(filter_size, bias_std=bias_std) >> body >> ReLU() >> _readout(readout) >> last


def densenet_convolutional(
    layers: int, readout: Readout = "average", filter_size: int = 3, bias_std: float = 0.0
) -> Layer:
    """Densely connected convolutional network: every Conv reads the activations of all before it, then a readout.

    After the first Conv on the inputs come L more, whose channels are the mean over what they read, so that the
    variance is kept; weights have the standard deviation sqrt(2) after an activation.

    Args:
        layers: Number L of convolutions after the one on the inputs, at least 1.
        readout: "average" or "flatten", as for `convolutional`.
        filter_size: Positions of the filters along every axis.
        bias_std: Factor of the biases of every layer; 0 means none.

    Raises:
        InvalidArchitecture: On fewer than 1 layer or an unknown readout.

    References: the convolutional form of `densenet`, Littwin, Galanti and Wolf 2020, arXiv 2001.10460.

    Example:
        >>> densenet_convolutional(2, "flatten").layers[2]
        Concat(Identity(), Conv(weight_std=1.4142135623730951) >> ReLU())
    """
    _require_count("layers", layers)
    layer = Conv(filter_size, weight_std=sqrt(2.0), bias_std=bias_std) >> ReLU()
    body = Concat(Identity(), layer) ** (layers - 1) >> layer if layers > 1 else layer
    first = Conv(filter_size, bias_std=bias_std) >> ReLU()
    return first >> body >> _readout(readout) >> Dense(sqrt(2.0), bias_std)


def myrtle(depth: Literal[5, 7, 10], weight_std: float = sqrt(2.0), bias_std: float = 0.0) -> Layer:
    """Myrtle network: three stages of 3 x 3 convolutions with ReLU, each followed by average pooling, then Dense.

    The first two stages pool 2 x 2, the last one over all positions that are left, 8 x 8 of them for 32 x 32 images.

    Args:
        depth: 5, 7 or 10 layers with weights.
        weight_std: Standard deviation of the weights of every layer.
        bias_std: Factor of the biases of every layer; 0 means none.

    Raises:
        InvalidArchitecture: On another depth.

    References: Shankar et al. 2020, arXiv 2003.02237; weights as in Lee et al. 2020, arXiv 2007.15801.

    Example:
        >>> myrtle(5, weight_std=1.0)  # doctest: +NORMALIZE_WHITESPACE
        (Conv() >> ReLU()) ** 2 >> AvgPool() >> Conv() >> ReLU() >> AvgPool() >> Conv() >> ReLU()
         >> GlobalAveragePool() >> Dense()
    """
    if depth not in _MYRTLE:
        raise InvalidArchitecture("a Myrtle network has 5, 7 or 10 layers", repr(depth))
    unit = Conv(3, weight_std=weight_std, bias_std=bias_std) >> ReLU()
    first, second, third = (unit**count for count in _MYRTLE[depth])
    last = Dense(weight_std, bias_std)
    return first >> AvgPool(2) >> second >> AvgPool(2) >> third >> GlobalAveragePool() >> last


def _readout(name: str) -> Layer:
    if name not in ("flatten", "average"):
        raise InvalidArchitecture("readout must be 'flatten' or 'average'", repr(name))
    return Flatten() if name == "flatten" else GlobalAveragePool()


def _checked(activation: object) -> Activation:
    if not isinstance(activation, Activation):
        raise InvalidArchitecture("activation must be an Activation", repr(activation), "Use Elementwise(function)")
    return activation


def _require_count(name: str, value: object) -> None:
    if not is_count(value):
        raise InvalidArchitecture(f"{name} must be a whole number, 1 or more", repr(value))
