"""Chains of Dense layers and positively homogeneous activations: one fused pass for points of any norm."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from widenet.architectures import AbsLinear, Dense, FactorizedDense, Identity, Layer, Repeat, Scale, Serial
from widenet.kernels import _fused_dense
from widenet.kernels.factorized import dense_factors


@dataclass(frozen=True)
class _Step:
    """An activation, if any, and what follows it: a Dense layer, or only a factor.

    Attributes:
        linear: Square of the activation's factor of z; 0 like `absolute` for no activation.
        absolute: Square of its factor of |z|.
        gain: Square of the factor of the units; of the inputs as they are where `whole` says so.
        trained: Whether weights and biases add to the tangent kernel.
        bias: Square of the bias factor.
        random: Whether biases start random.
        whole: Whether the factor holds for inputs that are not divided by the root of their number.
    """

    linear: float = 0.0
    absolute: float = 0.0
    gain: float = 1.0
    trained: bool = False
    bias: float = 0.0
    random: bool = False
    whole: bool = False


@dataclass(frozen=True)
class DenseChain:
    """Kernel of such a chain by the fused pass, in double precision.

    Attributes:
        steps: The chain.
    """

    steps: tuple[_Step, ...]

    @staticmethod
    @lru_cache(maxsize=128)
    def of(architecture: Layer, tangent: bool) -> "DenseChain | None":
        """The chain for the NTK or else the NNGP of an architecture, or None where it is no such chain."""
        layers = elementary_chain(architecture)
        if layers is None:
            return None
        steps, activation = [], (0.0, 0.0)
        for layer in layers:
            if isinstance(layer, AbsLinear):
                activation = (layer.linear**2, layer.absolute**2)
                if activation == (0.0, 0.0):
                    return None
            elif isinstance(layer, Dense):
                steps.append(_dense(layer, activation))
                activation = (0.0, 0.0)
            elif isinstance(layer, Scale):
                steps.append(_Step(*activation, layer.factor**2))
                activation = (0.0, 0.0)
        if activation != (0.0, 0.0) or not steps:
            steps.append(_Step(*activation))
        # The NNGP is the NTK of which only the last layer's weights, and biases that start random, are trained.
        if not tangent:
            steps = [_untrained(step) for step in steps] + [_Step(trained=True)]
        return DenseChain(tuple(steps))

    def cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        """Kernel of all pairs of rows, (n, m) in float64 without gradients; rows that are zero hold no meaning.

        Args:
            X: Points, (n, d), on the CPU.
            Y: Points, (m, d).
            same: Whether Y is X; the result is then exactly symmetric.
        """
        (x_units, x_squares), (y_units, y_squares) = _directions(X), _directions(Y)
        C, channels = x_units @ y_units.T, X.shape[1]
        tables = self._tables(x_squares, channels), self._tables(y_squares, channels)
        program = [[s.linear, s.absolute, _gain(s, channels), s.bias * s.trained] for s in self.steps]
        _fused_dense.dense_chain(C.numpy(), (x_units.numpy(), y_units.numpy()), tables, np.array(program), same)
        return C

    def _tables(self, squares: np.ndarray, channels: int) -> np.ndarray:
        """What `_fused_dense.dense_chain` asks for every step and row, (steps, 3, n)."""
        tables = np.empty((len(self.steps), 3, len(squares)))
        before = squares / channels
        for table, step in zip(tables, self.steps, strict=True):
            size = before * _gain(step, channels) * ((step.linear + step.absolute) or 1.0)
            random = step.bias if step.random else 0.0
            before = size + random
            table[0] = np.sqrt(size) * step.trained
            table[1] = np.sqrt(np.divide(size, before, out=np.ones_like(size), where=before > 0))
            table[2] = np.sqrt(np.divide(random, before, out=np.zeros_like(size), where=before > 0))
        return tables


def _gain(step: _Step, channels: int) -> float:
    return step.gain * channels if step.whole else step.gain


def _dense(layer: Dense, activation: tuple[float, float]) -> _Step:
    whole, random = layer.fan_in_scaling == "none", layer.bias_init == "normal"
    return _Step(*activation, layer.weight_std**2, layer.trainable, layer.bias_std**2, random, whole)


def _untrained(step: _Step) -> _Step:
    bias = step.bias if step.random else 0.0
    return _Step(step.linear, step.absolute, step.gain, False, bias, step.random, step.whole)


def elementary_chain(layer: Layer) -> list[Layer] | None:
    """The elementary layers of a chain in order, or None where it has others or branches."""
    if isinstance(layer, (AbsLinear, Dense, Scale)):
        return [layer]
    if isinstance(layer, FactorizedDense):
        # Biases that are trained beside frozen weights are no chain of Dense layers.
        return None if layer.train == "inner" and layer.bias_std > 0 else list(dense_factors(layer))
    if isinstance(layer, Identity):
        return []
    if isinstance(layer, Repeat):
        part = elementary_chain(layer.layer)
        return None if part is None else part * layer.times
    if isinstance(layer, Serial):
        parts = [elementary_chain(part) for part in layer.layers]
        return None if None in parts else [inner for part in parts if part is not None for inner in part]
    return None


def _directions(points: Tensor) -> tuple[Tensor, np.ndarray]:
    """Unit rows and squared norms in double precision; zero rows stay zero."""
    rows = points.double()
    squares = rows.square().sum(1)
    return (rows / torch.where(squares > 0, squares, 1.0).sqrt()[:, None]).contiguous(), squares.numpy()
