"""Fluctuations of finite networks with Gaussian or orthogonal weights, by layers, to leading order in 1 / width."""

from dataclasses import dataclass
from math import ceil, expm1, inf, log1p, sqrt
from typing import Literal

from widenet._arrays import is_count
from widenet.architectures.activations import Activation
from widenet.architectures.layers import Dense
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.theory.gaussian_moments import UnitMoments, unit_moments

Ensemble = Literal["gaussian", "orthogonal"]


@dataclass(frozen=True)
class LayerTensors:
    """Moments of the pre-activations z and of the tangent kernel H of one layer of width n, over draws of the weights.

    Units i != j; to leading order in 1 / n; V, D, F, A and B relative to the means, of order 1 or of the depth.

    Attributes:
        layer: Number of the layer with weights, from 1.
        K: E z_i^2.
        tangent: E H_ii, the limit NTK of the layer.
        V: n (E[z_i^2 z_j^2] / K^2 - 1).
        D: n (E[z_i^2 H_jj] / (K tangent) - 1).
        F: n E[z_i z_j H_ij] / (K tangent).
        A: n (E[H_ii H_jj] / tangent^2 - 1).
        B: n E[H_ij^2] / tangent^2.
    """

    layer: int
    K: float
    tangent: float
    V: float
    D: float
    F: float
    A: float
    B: float

    @property
    def tangent_variance(self) -> float:
        """C = A + 2 B in Var H_ii / (E H_ii)^2 = C / n + O(1 / n^2)."""
        return self.A + 2 * self.B


@dataclass(frozen=True)
class Fluctuations:
    """Predicted fluctuations of a network of finite width over draws of its weights.

    Leading order in 1 / width: trust it where `tangent_std` is well below 1.

    Attributes:
        ensemble: "gaussian" or "orthogonal".
        width: Units n of every layer.
        layers: The tensors of every layer with weights; the last one is the readout.
    """

    ensemble: Ensemble
    width: int
    layers: tuple[LayerTensors, ...]

    @property
    def readout(self) -> LayerTensors:
        """The tensors of the last layer."""
        return self.layers[-1]

    @property
    def depth(self) -> int:
        """Number of activations."""
        return len(self.layers) - 1

    @property
    def output_std(self) -> float:
        """Standard deviation of an output over draws."""
        return sqrt(self.readout.K)

    @property
    def output_kurtosis(self) -> float:
        """Excess kurtosis 3 V / n of an output: 0 in the limit, where outputs are Gaussian."""
        return 3 * self.readout.V / self.width

    @property
    def norm_std(self) -> float:
        """Relative standard deviation sqrt((2 + V) / n) of |z|^2 for a last layer of n units."""
        return sqrt(max(2 + self.readout.V, 0.0) / self.width)

    @property
    def tangent_std(self) -> float:
        """Relative standard deviation of K(x, x), the NTK of one output at one input.

        sqrt(exp(C / n) - 1) with C = A + 2 B, as in `kernel_regime`: the exponential is no more exact than C / n, but
        follows simulations of deep networks better.
        """
        return _std(self.readout, self.width)

    @property
    def cross_tangent_std(self) -> float:
        """Standard deviation sqrt(B / n) of the NTK between two outputs, whose mean is 0, relative to K(x, x)."""
        return sqrt(self.readout.B / self.width)

    def width_for(self, target: float = 0.1) -> int:
        """Least width at which `tangent_std` does not exceed the target, at this depth.

        Args:
            target: Relative standard deviation, positive.

        Raises:
            InvalidInput: On another target.
        """
        return max(1, ceil(self.readout.tangent_variance / log1p(_positive(target) ** 2)))

    def depth_for(self, target: float = 0.1) -> int:
        """Greatest depth, up to the one computed, to which `tangent_std` does not exceed the target, at this width.

        Args:
            target: Relative standard deviation, positive.

        Returns:
            Number of activations; 0 if already one is too many.

        Raises:
            InvalidInput: On another target.
        """
        allowed = _positive(target)
        beyond = (tensors.layer for tensors in self.layers if _std(tensors, self.width) > allowed)
        return next(beyond, len(self.layers) + 1) - 2


def fluctuations(
    activation: Activation,
    depth: int,
    width: int,
    ensemble: Ensemble = "gaussian",
    dense: Dense | None = None,
    mean_square: float = 1.0,
) -> Fluctuations:
    """How the outputs and the NTK of a finite dense network vary over draws of its weights, Gaussian or orthogonal.

    The network is (dense >> activation) ** depth >> dense in the NTK parameterisation, with all widths n, and either
    independent N(0, 1) entries or sqrt(n) times Haar-distributed orthogonal matrices. Its limit n -> infinity is the
    same for both; they differ in the corrections of order 1 / n. For tanh at its critical point (weight_std 1, no
    bias) those of Gaussian weights grow like the depth, while those of the NTK with orthogonal weights fade.

    With C = weight_std^2, s = phi(z), t = phi'(z), averages <.> over z ~ N(0, K), T = E H_ii, g = C <t^2>,
    O = C s^2 + b^2 + C T t^2, o = 1 for orthogonal and 0 for Gaussian weights, tensors that are not relative, and a
    prime for the next layer:

        K' = C <s^2> + b^2,  T' = <O>,  V' = C^2 [<s^4> - (1 + 2 o) <s^2>^2 + (d<s^2>/dK)^2 V]
        D' = C [<s^2 O> - <s^2> T' + V d<s^2>/dK d<O>/dK] + D g C d<s^2>/dK
        F' = C^2 [<s^2 t^2> T - o <s^2> <t^2> T + (<z s t> / K)^2 F]
        A' = <O^2> - T'^2 + V (d<O>/dK)^2 + 2 D g d<O>/dK + g^2 A
        B' = C^2 [<t^4> T^2 - o <t^2>^2 T^2 + <t^2>^2 B]

    from V = -2 o (K - b^2)^2 and D = F = A = B = 0 at the first layer. Inputs count as n channels; where there are more
    and the weights are orthogonal, V of the first layer is smaller.

    Args:
        activation: phi.
        depth: Number of activations.
        width: n.
        ensemble: "gaussian" or "orthogonal".
        dense: The layers with weights: weight_std, and bias_std = b with Gaussian biases; None for Dense().
        mean_square: |x|^2 / d of the input.

    Returns:
        The prediction.

    Raises:
        InvalidInput: On counts that are no whole numbers of at least 1, a mean square that is not positive, or another
            ensemble.
        InvalidArchitecture: On layers without the limit, frozen ones, or an activation whose moments do not settle.

    Cost: Under a millisecond a layer, whatever the width.

    References: Day, Kahn and Roberts 2023, arXiv 2310.07765, report these effects; Huang, Du and Xu 2020, arXiv
        2004.05867, that the limits are equal. Only abstracts were read: the recursions are derived here, by Weingarten
        sums to leading order, and checked by Monte Carlo (`widenet reproduce orthogonal`).

    Example:
        >>> import torch
        >>> from widenet import Elementwise, fluctuations
        >>> for ensemble in ("gaussian", "orthogonal"):
        ...     found = fluctuations(Elementwise(torch.tanh), depth=50, width=500, ensemble=ensemble)
        ...     print(ensemble, round(found.tangent_std, 3), found.width_for(0.1))
        gaussian 0.265 3406
        orthogonal 0.012 8
    """
    if not isinstance(activation, Activation):
        raise InvalidArchitecture("fluctuations takes an activation", repr(activation), "For example ReLU()")
    if ensemble not in ("gaussian", "orthogonal"):
        raise InvalidInput("ensemble must be 'gaussian' or 'orthogonal'", repr(ensemble))
    depth, width = _count("depth", depth), _count("width", width)
    dense = _checked(Dense() if dense is None else dense)
    orthogonal = float(ensemble == "orthogonal")
    first = dense.weight_std**2 * _positive(mean_square, "mean_square")
    K = first + _bias_variance(dense)
    tensors = [LayerTensors(1, K, first + dense.bias_std**2, -2 * orthogonal * (first / K) ** 2, 0.0, 0.0, 0.0, 0.0)]
    for _ in range(depth):
        tensors.append(_next(tensors[-1], unit_moments(activation, tensors[-1].K), dense, orthogonal))
    return Fluctuations(ensemble, width, tuple(tensors))


def _next(before: LayerTensors, unit: UnitMoments, dense: Dense, orthogonal: float) -> LayerTensors:
    """The recursion in relative tensors, which neither vanish nor overflow with K."""
    signal = dense.weight_std**2 * unit.square
    handed_on = dense.weight_std**2 * before.tangent * unit.slope
    K = signal + _bias_variance(dense)
    tangent = signal + dense.bias_std**2 + handed_on
    of_signal, alpha, r = signal / K, signal / tangent, handed_on / tangent
    spread, both, slopes = unit.fourth - 1, unit.both - 1, unit.slope_fourth - 1
    of_s = unit.square_response
    of_tangent = alpha * of_s + r * unit.slope_response
    V = of_signal**2 * (spread - 2 * orthogonal + of_s**2 * before.V)
    D = alpha * spread + r * both + before.V * of_s * of_tangent + r * before.D * of_s
    F = r * (unit.both - orthogonal + unit.alignment * before.F)
    A = alpha**2 * spread + 2 * alpha * r * both + r**2 * slopes
    A += before.V * of_tangent**2 + 2 * r * before.D * of_tangent + r**2 * before.A
    B = r**2 * (unit.slope_fourth - orthogonal + before.B)
    return LayerTensors(before.layer + 1, K, tangent, V, of_signal * D, of_signal * F, A, B)


def _checked(dense: object) -> Dense:
    if not isinstance(dense, Dense):
        raise InvalidArchitecture("the layers with weights must be Dense", repr(dense))
    if dense.fan_in_scaling == "none" or not dense.trainable or dense.weight_std == 0:
        raise InvalidArchitecture(
            "fluctuations takes trained Dense layers that divide by sqrt(fan_in), with a positive weight_std",
            repr(dense),
        )
    return dense


def _bias_variance(dense: Dense) -> float:
    return dense.bias_std**2 if dense.bias_init == "normal" else 0.0


def _std(tensors: LayerTensors, width: int) -> float:
    exponent = tensors.tangent_variance / width
    return sqrt(expm1(exponent)) if exponent < 700 else inf


def _positive(value: float, name: str = "target") -> float:
    if isinstance(value, bool) or not 0 < value < inf:
        raise InvalidInput(f"{name} must be a positive number", repr(value))
    return float(value)


def _count(name: str, value: object) -> int:
    if not is_count(value):
        raise InvalidInput(f"{name} must be a whole number, 1 or more", repr(value))
    return int(value)
