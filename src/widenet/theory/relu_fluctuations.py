"""How far the tangent kernel of one finite ReLU network strays from its limit: width against depth."""

from dataclasses import dataclass
from math import ceil, exp, expm1, inf, log1p, prod, sqrt
from typing import Literal

import numpy as np
from scipy.special import polygamma

from widenet._arrays import is_count
from widenet.architectures.base import require_finite
from widenet.architectures.zoo_residual import Alpha, branch_scales
from widenet.errors import InvalidInput


@dataclass(frozen=True)
class KernelRegime:
    """Predicted fluctuation of K(x, x), the NTK of one randomly initialised network of finite width.

    Attributes:
        relative_std: Standard deviation of K(x, x) over draws of the weights, relative to its mean.
        leading_order: C in Var K / (E K)^2 = C / width + O(1 / width^2).
        width: The width it holds for.
        target: The relative standard deviation that was asked for.
        width_for_target: The least width with which the prediction does not exceed the target.
    """

    relative_std: float
    leading_order: float
    width: int
    target: float
    width_for_target: int

    @property
    def is_reached(self) -> bool:
        """Whether the network is in the kernel regime in the sense of the target."""
        return self.relative_std <= self.target


def kernel_regime(
    width: int, depth: int, alpha: Alpha | None = None, branch_depth: int = 2, target: float = 0.1
) -> KernelRegime:
    """Whether a ReLU network is wide enough for its tangent kernel to be close to the infinite-width one.

    Predicts Var K(x, x) / (E K(x, x))^2 = exp(C / width) - 1, where C / width is its exact leading order: C grows like
    (11/3) depth in plain networks, not at all with depth in residual ones with alpha = "1/L". The exponential is not
    exact; it follows simulations better than C / width does where that is not small.

    Args:
        width: Number of units of every hidden layer.
        depth: Number of hidden ReLU layers of a plain network, or of blocks of a residual one.
        alpha: None for a plain network; as in `residual` for a residual one.
        branch_depth: As in `residual`, whose branches start with a matrix.
        target: Relative standard deviation to find a width for.

    Returns:
        The prediction.

    Raises:
        InvalidInput: On a width, depth or branch depth that is no whole number of at least 1, or a target that is not
            positive.

    References: Littwin, Galanti and Wolf 2020, arXiv 2001.10460; Hanin and Nica 2019, arXiv 1909.05989. The constants
        are derived here.

    Example:
        >>> kernel_regime(width=100, depth=50).relative_std
        2.274526...
        >>> kernel_regime(width=100, depth=50, alpha="1/L").width_for_target
        446
    """
    width = _count("width", width)
    if not 0 < target < inf:
        raise InvalidInput("target must be a positive number", repr(target))
    leading = dense_ntk_variance(depth) if alpha is None else residual_ntk_variance(depth, branch_depth, alpha)
    exponent = leading / width
    relative_std = sqrt(expm1(exponent)) if exponent < 700 else inf
    return KernelRegime(relative_std, leading, width, float(target), max(1, ceil(leading / log1p(target**2))))


def dense_ntk_variance(depth: int) -> float:
    """C in Var K(x, x) / (E K(x, x))^2 = C / width + O(1 / width^2) for a plain network of ReLU layers.

    C = 5 L - 4 L (L + 2) / (3 (L + 1)) for L hidden layers, (11/3) L as L grows: `fully_connected` without biases.

    Args:
        depth: Number L of hidden layers.

    Returns:
        C.

    Raises:
        InvalidInput: On no whole number of layers of at least 1.
    """
    depth = _count("depth", depth)
    return 5 * depth - 4 * depth * (depth + 2) / (3 * (depth + 1))


def residual_ntk_variance(blocks: int, branch_depth: int = 2, alpha: Alpha = "1/L") -> float:
    """C in Var K(x, x) / (E K(x, x))^2 = C / width + O(1 / width^2) for the network `residual`.

    All layers are trained, and branches start with a matrix. C is the sum over pairs of weight matrices of the product
    of their shares of K and of the covariance of what they hand on, times the width. A ReLU layer costs 5 where both
    see it from the same side and 1 otherwise; a linear layer 2 and 0.

    Args:
        blocks: Number L of blocks.
        branch_depth: Number m of weight matrices of a branch.
        alpha: As in `residual`.

    Returns:
        C; it tends to a constant with alpha = "1/L", and grows as L for a constant alpha.

    Raises:
        InvalidInput: On counts that are no whole numbers of at least 1.
        InvalidArchitecture: On a bad alpha.

    Cost: O(blocks).
    """
    m = _count("branch_depth", branch_depth)
    a = np.array(branch_scales(alpha, _count("blocks", blocks)))
    b = a / (1 + a)
    # One entry each for the input layer, the blocks and the readout.
    same = np.concatenate([[2.0], _block_cost(a, m), [2.0]])
    opposite = np.concatenate([[0.0], (m - 1) * b**2, [0.0]])
    share = np.concatenate([[1.0], m * b, [1.0]])
    partly = np.concatenate([[0.0], 3 * m * (m - 1) * b**2, [0.0]])  # a matrix of the block against all of the block
    within = np.concatenate([[0.0], b**2 * m * (5 * m * (m - 1) - 4 * (m * m - 1) / 3), [0.0]])
    before = np.cumsum(same) - same
    after = same.sum() - before - same
    crossed = np.cumsum(opposite)
    to_the_right = share.sum() - np.cumsum(share)
    to_the_left = np.cumsum(share) - share
    pairs = share * (before - crossed) + partly  # what the first of a pair brings
    others = share * (crossed - opposite + after) + partly
    total = 2 * (pairs @ to_the_right + others @ to_the_left) + (within + share**2 * (before + after)).sum()
    return float(total / share.sum() ** 2)


def residual_ntk_variance_limit(gamma: float, branch_depth: int = 2) -> float:
    """Limit of `residual_ntk_variance` with alpha = gamma / L as the number L of blocks grows.

    C = [4 g (2 + 2 m g + 2/3 m^2 g^2) + 4 (1 + m g)^2] / (2 + m g)^2 with g = gamma and m matrices a branch.

    Args:
        gamma: Sum of the alphas of all blocks, at least 0.
        branch_depth: Number m of weight matrices of a branch.

    Returns:
        C.

    Raises:
        InvalidInput: On a branch depth that is no whole number of at least 1.
        InvalidArchitecture: On a negative gamma.
    """
    g, mg = require_finite("gamma", gamma, 0.0), _count("branch_depth", branch_depth) * gamma
    return (4 * g * (2 + 2 * mg + 2 / 3 * mg**2) + 4 * (1 + mg) ** 2) / (2 + mg) ** 2


def densenet_ntk_variance(layers: int | Literal["infinite"], alpha: float = 1.0) -> float:
    """C in Var K(x, x) / (E K(x, x))^2 = C / width + O(1 / width^2) for the network `densenet`, all layers trained.

    C = sum_h b_h^2 (5 u_h^2 + 5 v_h^2 + 2 u_h v_h) / (1 + sum_h b_h)^2 over h = 0, ..., L, where b_0 = b_L = 1 and
    b_h = alpha / (h + alpha) otherwise are the matrices' shares of K, u_h = 1 + sum_{l > h} b_l and
    v_h = 1 + sum_{l < h} b_l. Layer h moves what follows it forward by b_h u_h and backward by b_h v_h; 5 and 1 are the
    variance and the covariance of these two moves in units of 1 / width. C stays below its limit, though that is
    approached as slowly as 1 / ln(L): 10 + 5 alpha^2 psi'(1 + alpha) with the trigamma function psi'.

    Args:
        layers: Number L of layers after the one on the inputs, or "infinite" for the limit.
        alpha: As in `densenet`.

    Returns:
        C.

    Raises:
        InvalidInput: On no whole number of layers of at least 1.
        InvalidArchitecture: On a negative alpha.

    Cost: O(layers).
    """
    a = require_finite("alpha", alpha, 0.0)
    if layers == "infinite":
        return 10 + 5 * a**2 * float(polygamma(1, 1 + a))
    share = np.concatenate([[1.0], a / (np.arange(1, _count("layers", layers)) + a), [1.0]])
    before = np.cumsum(share) - share
    u, v = 1 + share.sum() - before - share, 1 + before
    return float(np.sum(share**2 * (5 * u**2 + 5 * v**2 + 2 * u * v)) / (1 + share.sum()) ** 2)


def dense_second_moment(width: int, depth: int) -> float:
    """E|q|^4 / (E|q|^2)^2 = (1 + 5 / width)^L of the activations q of the last of L ReLU layers; exact.

    Args:
        width: Number of units of every hidden layer.
        depth: Number L of hidden layers.

    Returns:
        The ratio.

    Raises:
        InvalidInput: On counts that are no whole numbers of at least 1.
    """
    return (1 + 5 / _count("width", width)) ** _count("depth", depth)


def residual_second_moment(width: int, blocks: int, branch_depth: int = 2, alpha: Alpha = "1/L") -> float:
    """E|y|^4 / (E|y|^2)^2 of the output y of the last block of the network `residual`; exact at every width n.

    (1 + 2/n) prod_l [1 + (4 a/n + a^2 ((1 + 5/n)^(m-1) (1 + 2/n) - 1)) / (1 + a)^2], a being the alpha of block l.

    Args:
        width: Number n of units of every hidden layer.
        blocks: Number of blocks.
        branch_depth: Number m of weight matrices of a branch; branches start with a matrix.
        alpha: As in `residual`.

    Returns:
        The ratio.

    Raises:
        InvalidInput: On counts that are no whole numbers of at least 1.
        InvalidArchitecture: On a bad alpha.
    """
    n, m = _count("width", width), _count("branch_depth", branch_depth)
    branch = (1 + 5 / n) ** (m - 1) * (1 + 2 / n) - 1
    alphas = branch_scales(alpha, _count("blocks", blocks))
    return (1 + 2 / n) * prod(1 + (4 * a / n + a**2 * branch) / (1 + a) ** 2 for a in alphas)


def densenet_second_moment(width: int, layers: int | Literal["infinite"], alpha: float = 1.0) -> float:
    """E T^2 / (E T)^2 of T = sum_h |q_h|^2 / n over all activations q_0, ..., q_L of the network `densenet`; exact.

    (1 + 5/n) prod_{l=1}^L [1 + 5 a^2 / (n (l + a)^2)], a being alpha. As L grows it tends to a limit, which to
    leading order in the exponent is (1 + 5/n) exp(5 a^2 psi'(1 + a) / n) with the trigamma function psi'.

    Args:
        width: Number n of units of every layer.
        layers: Number L of layers after the one on the inputs, or "infinite" for that estimate of the limit.
        alpha: As in `densenet`.

    Returns:
        The ratio.

    Raises:
        InvalidInput: On counts that are no whole numbers of at least 1.
        InvalidArchitecture: On a negative alpha.
    """
    n, a = _count("width", width), require_finite("alpha", alpha, 0.0)
    if layers == "infinite":
        return (1 + 5 / n) * exp(5 * a**2 * float(polygamma(1, 1 + a)) / n)
    layer = np.arange(1, _count("layers", layers) + 1)
    return (1 + 5 / n) * float(np.prod(1 + 5 * a**2 / (n * (layer + a) ** 2)))


def _block_cost(a: np.ndarray, m: int) -> np.ndarray:
    """What whole blocks add, per unit of 1 / width, where both matrices of a pair see them from the same side."""
    return (4 * a + a**2 * (5 * m - 3)) / (1 + a) ** 2


def _count(name: str, value: object) -> int:
    if not is_count(value):
        raise InvalidInput(f"{name} must be a whole number, 1 or more", repr(value))
    return int(value)
