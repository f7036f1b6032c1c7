"""Residual and densely connected networks of fully connected layers."""

from collections.abc import Iterable
from math import sqrt
from numbers import Real
from typing import Literal

from widenet._arrays import is_count
from widenet.architectures.activations import ReLU
from widenet.architectures.base import Concat, Identity, Layer, require_finite, serial
from widenet.architectures.layers import Dense
from widenet.errors import InvalidArchitecture

Alpha = float | Literal["1/L"] | Iterable[float]


def residual(
    blocks: int,
    branch_depth: int = 2,
    alpha: Alpha = "1/L",
    relu_first: bool = False,
    train_input: bool = True,
    train_readout: bool = True,
) -> Layer:
    """Fully connected residual network y <- y + sqrt(alpha_l) branch_l(y), without biases.

    A Dense layer on the inputs, L blocks, and a Dense readout. A branch of m weight matrices is
    W_m sqrt(2) relu(... sqrt(2) relu(W_1 y)), each W divided by the root of its fan-in; with `relu_first`
    every W reads sqrt(2) relu(.) of what is before it. At infinite width

        K(x, x) = |x|^2 / d prod_l (1 + alpha_l),   NTK(x, x) = K(x, x) (2 + m sum_l alpha_l / (1 + alpha_l)),

    with 1 in the place of 2 where the input layer or the readout is not trained, and 0 for both.

    Args:
        blocks: Number L of residual blocks; 0 is a linear network.
        branch_depth: Number m of weight matrices of each branch; 1 is a linear branch unless `relu_first`.
        alpha: Variance of a branch relative to its input: one number, a number for each block, or "1/L", with which
            the kernel converges as the depth grows. 0 makes a block do nothing.
        relu_first: Whether branches start with the activation.
        train_input: Whether the layer on the inputs is trained.
        train_readout: Whether the readout is trained.

    Raises:
        InvalidArchitecture: On a negative or fractional number of blocks, no matrix in a branch, or an alpha that is
            negative or not one for each block.

    References: Littwin, Galanti and Wolf 2020, arXiv 2001.10460. The normalisation is chosen here: at finite width
        the mean of the NTK's diagonal is that of the limit (but for `relu_first`).

    Example:
        >>> residual(2, alpha=0.25, relu_first=True, branch_depth=1)
        Dense() >> (Identity() + (ReLU() >> Dense(weight_std=1.4142135623730951) >> Scale(factor=0.5))) ** 2 >> Dense()
    """
    blocks = _count("blocks", blocks, 0)
    branch_depth = _count("branch_depth", branch_depth, 1)
    after_relu = ReLU() >> Dense(sqrt(2.0))
    branch = after_relu**branch_depth if relu_first else Dense()
    if not relu_first and branch_depth > 1:
        branch = branch >> after_relu ** (branch_depth - 1)
    alphas = branch_scales(alpha, blocks)
    if len(set(alphas)) == 1:
        body = ((Identity() + sqrt(alphas[0]) * branch) ** blocks,)
    else:
        body = tuple(Identity() + sqrt(value) * branch for value in alphas)
    return serial(Dense(trainable=train_input), *body, Dense(trainable=train_readout))


def densenet(layers: int, alpha: float = 1.0, train_input: bool = True, train_readout: bool = True) -> Layer:
    """Fully connected densely connected network: every layer reads the activations of all before it; no biases.

    y_0 = W x / sqrt(d),  q_l = sqrt(2) relu(y_l),  y_l = sqrt(alpha / (n l)) sum_{h < l} W_{l,h} q_h,
    f = w . q_L / sqrt(n) for widths n. The factor 1 / l, the mean over what is read, keeps the variance: with alpha = 1

        K(x, x) = |x|^2 / d,   NTK(x, x) = |x|^2 / d (2 + 1 + 1/2 + ... + 1/L).

    Args:
        layers: Number L of layers after the one on the inputs, at least 1.
        alpha: Variance of the weights of those layers, positive.
        train_input: Whether the layer on the inputs is trained.
        train_readout: Whether the readout is trained.

    Raises:
        InvalidArchitecture: On another number of layers, or an alpha that is not positive.

    References: Littwin, Galanti and Wolf 2020, arXiv 2001.10460; the normalisation is chosen here.

    Example:
        >>> densenet(1, alpha=0.5)
        Dense() >> ReLU() >> Dense() >> ReLU() >> Dense(weight_std=1.4142135623730951)
    """
    layers = _count("layers", layers, 1)
    alpha = require_finite("alpha", alpha, 0.0)
    if alpha == 0:
        raise InvalidArchitecture("alpha of densenet must be positive", "0")
    layer = Dense(sqrt(2 * alpha))
    body = (Concat(Identity(), layer >> ReLU()) ** (layers - 1),) if layers > 1 else ()
    readout = Dense(sqrt(2.0), trainable=train_readout)
    return serial(Dense(trainable=train_input), ReLU(), *body, layer, ReLU(), readout)


def branch_scales(alpha: Alpha, blocks: int) -> tuple[float, ...]:
    """Alpha of every block.

    Args:
        alpha: One number, a number for each block, or "1/L".
        blocks: Number L of blocks.

    Returns:
        One number a block.

    Raises:
        InvalidArchitecture: If a number is negative or not finite, or there is not one for each block.
    """
    if isinstance(alpha, str):
        if alpha != "1/L":
            raise InvalidArchitecture("alpha must be a number, a number for each block, or '1/L'", repr(alpha))
        return (1 / blocks,) * blocks if blocks else ()
    if isinstance(alpha, Real) or not isinstance(alpha, Iterable):
        return (require_finite("alpha", alpha, 0.0),) * blocks
    alphas = tuple(require_finite("alpha of a block", value, 0.0) for value in alpha)
    if len(alphas) != blocks:
        raise InvalidArchitecture(f"alpha must hold one number for each of {blocks} blocks", f"{len(alphas)}")
    return alphas


def _count(name: str, value: object, least: int) -> int:
    if not is_count(value, least):
        raise InvalidArchitecture(f"{name} must be a whole number, {least} or more", repr(value))
    return int(value)
