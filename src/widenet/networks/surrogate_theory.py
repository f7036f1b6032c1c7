"""Infinite width and proven widths of surrogate networks."""

from dataclasses import dataclass
from math import inf, sqrt

from widenet.architectures import Dense, ReLU
from widenet.errors import InvalidInput
from widenet.kernels.base import Kernel
from widenet.kernels.neural import NTK


@dataclass(frozen=True)
class WidthBounds:
    """Widths for which theorems promise that gradient descent fits all points, up to constants and logarithms.

    They are bounds of proofs and no advice: far narrower networks converge.

    Attributes:
        surrogate: n^2 L, for networks with fixed gates (Noy et al. 2021, arXiv 2101.04243; its abstract was read).
        zou_gu: n^8 L^12 (Zou and Gu 2019; this and the others are recalled from comparisons in the literature).
        allen_zhu: n^24 L^12 (Allen-Zhu, Li and Song 2018).
        zou: n^26 L^38 (Zou, Cao, Zhou and Gu 2018).
        du: 2^L n^4, for 2^O(L) n^4 (Du et al. 2018).
    """

    surrogate: float
    zou_gu: float
    allen_zhu: float
    zou: float
    du: float


def suggest_width(points: int, depth: int, constant: float = 1.0) -> WidthBounds:
    """Width constant n^2 L of surrogate networks, beside the bounds of earlier proofs for ReLU networks.

    Args:
        points: Number n of training points.
        depth: Number L of trained hidden layers.
        constant: Factor of every bound; theory leaves it open.

    Raises:
        InvalidInput: On numbers below 1, or a constant that is not positive.

    Example:
        >>> bounds = suggest_width(20, 3)
        >>> bounds.surrogate, f"{bounds.zou_gu:.1e}"
        (1200.0, '1.4e+16')
    """
    if points < 1 or depth < 1 or not 0 < constant < inf:
        raise InvalidInput("points, depth and constant must be positive", f"{points}, {depth}, {constant}")
    n, L = float(points), float(depth)
    terms = (n**2 * L, n**8 * L**12, n**24 * L**12, n**26 * L**38, 2**L * n**4)
    return WidthBounds(*(constant * term for term in terms))


def surrogate_kernel(depth: int, *, train_input: bool = False, output_scale: float = 1.0) -> Kernel:
    """Tangent kernel of an infinitely wide surrogate network, divided by its width.

    For unit vectors with c = x . z, v_0 = k1(c), v_j = k1(v_(j-1)):

        K / m = 1/2 sum over l of v_(l-1) prod over j = l..L of k0(v_(j-1)),

    k0 and k1 the arc-cosine kernels with k(1) = 1; with train_input a first term c k0(c) prod over j = 1..L is added.
    The ReLU network with the same weights has the same kernel. It is 1/2 NTK of a network whose first and last layers
    are frozen, in the start of `relu_stack`.

    Args:
        depth: Number L of trained hidden layers.
        train_input: Whether the first layer is trained as well.
        output_scale: Standard deviation of the output's weights.

    Returns:
        The kernel.

    Raises:
        InvalidInput: If the depth is below 1.

    References:
        Noy et al. 2021, arXiv 2101.04243 (abstract); this kernel is derived here.

    Example:
        >>> round(float(surrogate_kernel(1)([[1.0, 0.0]])[0, 0]), 12)
        0.5
    """
    if depth < 1:
        raise InvalidInput("depth must be at least 1", repr(depth))
    first = Dense(weight_std=sqrt(2), fan_in_scaling="none", trainable=train_input)
    hidden = (Dense(weight_std=sqrt(2)) >> ReLU()) ** depth
    network = first >> ReLU() >> hidden >> Dense(weight_std=output_scale, trainable=False)
    return 0.5 * NTK(network)
