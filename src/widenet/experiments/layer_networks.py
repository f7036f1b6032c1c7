"""Small networks that between them hold every layer of the algebra, for measurements at finite width."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from widenet.architectures import (
    GELU,
    RBF,
    Abs,
    AbsLinear,
    Activation,
    AvgPool,
    Concat,
    Conv,
    Cosine,
    Dense,
    Elementwise,
    Erf,
    FactorizedDense,
    Flatten,
    GaussianBump,
    GlobalAveragePool,
    GlobalSumPool,
    Identity,
    LastStep,
    Layer,
    LayerNorm,
    LeakyReLU,
    Polynomial,
    Recurrent,
    ReLU,
    Scale,
    Sine,
    StepwiseAverage,
    SumPool,
    ThresholdReLU,
    densenet,
    freeze,
    residual,
    sparse_network,
)


@dataclass(frozen=True)
class LayerNetwork:
    """A network and the shape of what it reads.

    Attributes:
        architecture: The network, which ends with a Dense layer.
        shape: Shape of a point, (*positions, channels).
    """

    architecture: Layer
    shape: tuple[int, ...]

    def points(self) -> torch.Tensor:
        """Three points, the same ones whenever they are asked for, in double precision."""
        return torch.from_numpy(np.random.default_rng(3).normal(size=(3, *self.shape)))


ACTIVATIONS: tuple[Activation, ...] = (
    ReLU(),
    LeakyReLU(0.1),
    Abs(),
    AbsLinear(0.3, -0.8),
    Erf(1.3, 0.7, 0.2),
    GELU(),
    Sine(1.2, 0.8, 0.3),
    Cosine(1.2, 0.8, 0.3),
    RBF(0.6),
    GaussianBump(0.9),
    Polynomial((0.3, -0.5, 0.2), "hermite"),
    Elementwise(torch.tanh),
    ThresholdReLU(0.5),
)


def layer_networks() -> dict[str, LayerNetwork]:
    """The networks by name: one for each activation, and those of the other layers and of their options.

    Returns:
        Networks of dense layers, images, signals and sequences.
    """
    rows, image, signal, sequence = (4,), (3, 2, 2), (4, 2), (4, 2)
    activations = {type(f).__name__: Dense(1.2, 0.3) >> f >> Dense(0.9, 0.1) for f in ACTIVATIONS}
    unit = ReLU() >> Conv(2, weight_std=1.2)
    dense = {
        "depth 3": (Dense(1.4, 0.1) >> ReLU()) ** 2 >> Dense(bias_std=0.1),
        "biases from 0": Dense(1.2, 0.3, bias_init="zero") >> Erf() >> Dense(0.9, 0.2, bias_init="zero"),
        "no fan-in": Dense(0.5, fan_in_scaling="none") >> ReLU() >> Dense(),
        "factorized": FactorizedDense(0.5, "both", weight_std=1.2, bias_std=0.1) >> ReLU() >> Dense(),
        "factorized, structured": FactorizedDense(0.5, "inner", "hadamard", weight_std=1.2) >> ReLU() >> Dense(),
        "frozen": freeze((Dense(1.2, 0.1) >> ReLU()) ** 2 >> Dense(), 1),
        "layer norm": Dense(1.2) >> LayerNorm() >> ReLU() >> Dense(1.1, 0.2) >> LayerNorm() >> Dense(),
        "residual": residual(2),
        "densely connected": densenet(2),
        "widths": Dense() >> Concat(Dense(width=0.5) >> ReLU(), Dense(1.3, width=1.5) >> Erf()) >> Dense(),
        "scale": Dense() >> ReLU() >> Scale(0.7) >> Dense(),
        "sparse": sparse_network(0.5, depth=2, trained="all"),
    }
    images = {
        "conv same, flatten": Conv(2, bias_std=0.2) >> unit >> ReLU() >> Flatten() >> Dense(),
        "conv valid, stride, average": Conv(2, padding="valid", bias_std=0.2, bias_init="zero")
        >> Erf()
        >> Conv((2, 1), stride=2, width=0.5)
        >> ReLU()
        >> GlobalAveragePool()
        >> Dense(),
        "conv circular, sum": Conv((3, 2), padding="circular", bias_std=0.2) >> ReLU() >> GlobalSumPool() >> Dense(0.3),
        "delta-orthogonal conv": Conv(2, bias_std=0.2, init="delta_orthogonal")
        >> ReLU()
        >> Conv((2, 1), stride=2, trainable=False, init="delta_orthogonal")
        >> ReLU()
        >> Flatten()
        >> Dense(),
        "sum pool": Conv(1, bias_std=0.2) >> ReLU() >> SumPool(2, stride=1) >> Flatten() >> Dense(0.4),
        "conv residual, norm": Conv(2)
        >> LayerNorm()
        >> (Identity() + unit)
        >> Dense(0.9)
        >> ReLU()
        >> GlobalAveragePool()
        >> Dense(),
    }
    signals = {
        "average pool": Conv(3, bias_std=0.2)
        >> ReLU()
        >> AvgPool(2)
        >> Conv(2)
        >> unit
        >> ReLU()
        >> Flatten()
        >> Dense(),
    }
    relu, erf = (Recurrent(f, 1.2, bias_std=0.2, initial_std=0.5) for f in (ReLU(), Erf()))
    sequences = {
        "recurrent, last step": replace(relu, initial_state="shared") >> LastStep() >> Dense(),
        "recurrent, own states": erf**2 >> Dense(),
        "recurrent, mean": replace(erf, initial_state="zero") >> GlobalAveragePool() >> Dense(),
        "recurrent, stepwise": Recurrent(Erf(), 1.2, trainable=False)
        >> Recurrent(ReLU())
        >> StepwiseAverage()
        >> Dense(1.0, 0.1),
    }
    groups = ((activations, rows), (dense, rows), (images, image), (signals, signal), (sequences, sequence))
    return {name: LayerNetwork(arch, shape) for group, shape in groups for name, arch in group.items()}
