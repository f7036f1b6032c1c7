"""Finite networks as ordinary torch modules."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from widenet._arrays import is_count
from widenet.architectures import Layer, delta_orthogonal
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.networks.build import Init, Plan, build_chain, chain, input_shape, sets_outputs
from widenet.networks.modules import Parameterization, ScaledModule, require_equal_factors
from widenet.networks.recurrent import stacked

_PARAMETERIZATIONS, _INITS = ("ntk", "standard", "mean_field"), ("gaussian", "orthogonal")


class Network(nn.Sequential):
    """A finite network: the modules of its layers, one after the other. Made by `network`.

    Args:
        modules: The modules.
        architecture: The architecture, whose kernel is the limit of the network's own.
        shape: Shape of a point, (*positions, channels), -1 for any number of steps of a sequence.
    """

    def __init__(self, modules: Sequence[nn.Module], architecture: Layer, shape: tuple[int, ...]) -> None:
        super().__init__(*modules)
        self.architecture, self.shape = architecture, shape
        # Of all layers before the first is loaded.
        self.register_load_state_dict_pre_hook(require_equal_factors)

    def forward(self, X: Tensor) -> Tensor:
        """Outputs of points.

        Args:
            X: Points, (n, *positions, channels), or rows of as many numbers.

        Returns:
            Outputs, (n, outputs).

        Raises:
            InvalidInput: If the points have another shape, or are no tensor.
        """
        return super().forward(_points(X, self.shape))


def _points(X: object, shape: tuple[int, ...]) -> Tensor:
    if not isinstance(X, Tensor):
        raise InvalidInput("a network reads torch tensors", type(X).__name__, "Use torch.from_numpy(X)")
    fits = X.ndim == len(shape) + 1 and all(size in (-1, found) for size, found in zip(shape, X.shape[1:], strict=True))
    if fits and 0 not in X.shape[1:]:
        return X
    if X.ndim == 2 and -1 not in shape and X.shape[1] == prod(shape):
        return X.reshape(len(X), *shape)
    raise InvalidInput(f"the network reads points of the shape (n, {', '.join(map(str, shape))})", str(tuple(X.shape)))


def network(  # noqa: PLR0913 (each one a choice of its own, given by name)
    arch: Layer,
    fan_in: int | tuple[int, ...],
    *,
    width: int = 1024,
    outputs: int | None = None,
    seed: int = 0,
    parameterization: Parameterization = "ntk",
    init: Init = "gaussian",
    dtype: torch.dtype = torch.float32,
) -> Network:
    """A finite network of an architecture, with random weights, as an ordinary `torch.nn.Module`.

    Its neural tangent kernel tends to `NTK(net.architecture)` as the width grows, with an error of order width^-1/2.
    Layers with `trainable=False` hold buffers, all others parameters; random numbers are drawn on the CPU, in the
    order of the layers, so a seed gives the same network on every device.

    Args:
        arch: The architecture.
        fan_in: Number of channels of a point, or its shape: (*positions, channels). (-1, channels) for sequences
            of any number of steps.
        width: Units of every hidden layer, or channels of a convolution, times the layer's relative width.
        outputs: Number of outputs, by default 1; those of a network that does not end with a layer with weights
            are its last units, as many as there are.
        seed: Of the random numbers.
        parameterization: "ntk": parameters of variance 1, multiplied by weight_std / sqrt(fan-in) when they are used.
            "standard": these products are the parameters. "mean_field": as "ntk", but the outputs are divided by the
            square root of the last layer's fan-in once more.
        init: "gaussian": independent weights. "orthogonal": Haar matrices in dense and recurrent layers, which have the
            same limit; convolutions become delta-orthogonal, whose limit is `NTK(delta_orthogonal(arch))`.
        dtype: Precision of the parameters.

    Raises:
        InvalidArchitecture: On a width, shape or option that cannot be, a layer that has no finite reading, or
            branches of a sum of different width.

    References: Lee et al. 2020, arXiv 2007.15801 (parameterisations); Mei, Montanari and Nguyen 2018, arXiv 1804.06561
        (mean field); Huang, Du and Xu 2021, arXiv 2004.05867 (orthogonal weights).

    Example:
        >>> from widenet.architectures import Dense, ReLU
        >>> network(Dense() >> ReLU() >> Dense(bias_std=0.1), fan_in=6, width=64)
        Network(
          (0): DenseModule(inputs=6, outputs=64, weight_factor=0.4082)
          (1): ActivationModule(ReLU())
          (2): DenseModule(inputs=64, outputs=1, weight_factor=0.125, bias_factor=0.1)
        )
    """
    if not isinstance(arch, Layer):
        raise InvalidArchitecture("network takes an architecture", type(arch).__name__, "Compose it with >>")
    _require_count("width", width)
    for name, value, options in (("parameterization", parameterization, _PARAMETERIZATIONS), ("init", init, _INITS)):
        if value not in options:
            raise InvalidArchitecture(f"{name} must be one of {', '.join(map(repr, options))}", repr(value))
    if dtype not in (torch.float32, torch.float64):
        raise InvalidArchitecture("dtype must be torch.float32 or torch.float64", str(dtype), "Cast the network after")
    ends = sets_outputs(arch)
    if outputs is not None:
        _require_count("outputs", outputs)
    if (outputs is not None or parameterization == "mean_field") and not ends:
        asked = "outputs can be chosen" if outputs is not None else "the mean-field parameterization exists"
        raise InvalidArchitecture(
            f"{asked} where the network ends with a layer with weights", repr(arch), "End it with Dense()"
        )
    arch = delta_orthogonal(arch) if init == "orthogonal" else arch
    shape = input_shape(fan_in)
    generator = torch.Generator().manual_seed(seed)
    last = (1 if outputs is None else outputs) if ends else None
    plan = Plan(width, init, generator, dtype, last, "mean_field" if parameterization == "mean_field" else "ntk")
    modules, _ = build_chain(chain(arch), shape, plan)
    net = Network(stacked(modules), arch, (*shape.positions, shape.channels))
    if parameterization == "standard":
        for module in net.modules():
            if isinstance(module, ScaledModule):
                module.reparameterize("standard")
    return net


def _require_count(name: str, value: object) -> None:
    if not is_count(value):
        raise InvalidArchitecture(f"{name} must be a whole number, 1 or more", repr(value))
