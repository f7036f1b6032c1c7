"""A wide linear layer whose matrix is the product of two, for torch: the module of `FactorizedDense`."""

from math import sqrt

import torch
from torch import Generator, Tensor, nn

from widenet.architectures import FactorizedDense
from widenet.errors import InvalidInput
from widenet.networks.build import Plan, Shape, build, sets_outputs
from widenet.networks.hadamard import HadamardFactor
from widenet.networks.modules import Parameterization, ScaledModule, scaled


class FactorizedLinear(ScaledModule):
    """y = weight_std / sqrt(d rank) U V x + bias_std b: in the place of a torch.nn.Linear of d inputs and m outputs.

    Which of U (m x rank) and V (rank x d) is trained, and how a frozen one is drawn, is said by the layer of the
    algebra. Starts in the NTK parameterisation; `reparameterize("standard")` keeps the trained factor in the scale that
    the weights of a torch.nn.Linear have, so that its learning rates stay what they are.

    Args:
        in_features: d.
        out_features: m.
        layer: Rank, trained factors, kind of the frozen one, sizes of weights and biases.
        seed: Seed of the random numbers, or their source.
        dtype: Precision; torch's default if None.

    Attributes:
        inner: V, or None where it is structured.
        outer: U, or None where it is structured.
        bias: b, or None.
        structured: The structured factor, or None.

    Raises:
        InvalidInput: On sizes below 1.

    Cost:
        A sample takes rank (d + m) multiplications; with a structured U, rank d of them and 3 m log2(rank) additions.

    References:
        See `FactorizedDense`.

    Example:
        >>> layer = FactorizedLinear(50, 4096, FactorizedDense(32, frozen="hadamard"))
        >>> layer(torch.ones(3, 50)).shape, sum(values.numel() for values in layer.parameters())
        (torch.Size([3, 4096]), 1600)
    """

    inner: Tensor | None
    outer: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        layer: FactorizedDense,
        seed: int | Generator = 0,
        dtype: torch.dtype | None = None,
    ) -> None:
        if in_features < 1 or out_features < 1:
            raise InvalidInput("a layer has 1 input and 1 output or more", f"{in_features} and {out_features}")
        generator = seed if isinstance(seed, Generator) else Generator().manual_seed(seed)
        dtype = torch.get_default_dtype() if dtype is None else dtype
        self._set_up(layer, Shape((), in_features), Plan(out_features, "gaussian", generator, dtype, out_features))

    def _set_up(self, layer: FactorizedDense, shape: Shape, plan: Plan) -> None:
        m, d = plan.units(layer.width), shape.channels
        rank = layer.units(m)
        fan_in = d if layer.fan_in_scaling == "inverse" else 1
        factors = {"inner": layer.weight_std / sqrt(fan_in), "outer": 1 / sqrt(rank), "bias": layer.bias_std}
        super().__init__(factors)
        self.layer, self.sizes = layer, (d, rank, m)
        bias = plan.normal(m) if layer.bias_std > 0 else None
        self.hold("bias", bias, layer.train != "none")
        self.structured: HadamardFactor | None = None
        for name, rows, columns in (("outer", m, rank), ("inner", rank, d)):
            if layer.train in (name, "both"):
                self.hold(name, plan.matrix(rows, columns), trainable=True)
            elif layer.frozen == "hadamard" and self.structured is None:
                self.structured = HadamardFactor(rows, columns, plan.generator, plan.dtype)
                self.hold(name, None, trainable=False)
            else:
                values = plan.matrix(rows, columns)
                self.hold(name, values.sign() if layer.frozen == "sign" else values, trainable=False)
        self.parameterization = plan.readout

    @classmethod
    def planned(cls, layer: FactorizedDense, shape: Shape, plan: Plan) -> "FactorizedLinear":
        """The module of a layer in a network that is built by a plan."""
        module = cls.__new__(cls)
        module._set_up(layer, shape, plan)
        return module

    def factor(self, name: str, parameterization: Parameterization | None = None) -> float:
        """What a parameter is multiplied by; a structured factor has no other parameterisation than that of the NTK."""
        if getattr(self, name) is None:
            return self.factors[name]
        return super().factor(name, parameterization)

    def projected(self, x: Tensor) -> Tensor:
        """What U reads, (..., rank), without the factor of U: constant in training where V is frozen."""
        product = self.structured(x) if self.inner is None and self.structured is not None else x @ _of(self.inner).T
        return scaled(product, self.factor("inner"))

    def forward(self, x: Tensor) -> Tensor:
        """Units (..., m) of inputs (..., d)."""
        z = self.projected(x)
        product = self.structured(z) if self.outer is None and self.structured is not None else z @ _of(self.outer).T
        units = scaled(product, self.factor("outer"))
        return units if self.bias is None else units + scaled(self.bias, self.factor("bias"))

    @torch.no_grad()
    def matrix(self) -> Tensor:
        """The product of the factors with all constants, (m, d): the weight of an equal torch.nn.Linear."""
        units = self(torch.eye(self.sizes[0], dtype=self._like.dtype, device=self._like.device))
        return (units if self.bias is None else units - scaled(self.bias, self.factor("bias"))).T.contiguous()

    @property
    def _like(self) -> Tensor:
        return next(values for values in (self.inner, self.outer, self.bias) if values is not None)

    def extra_repr(self) -> str:
        """The layer and its sizes."""
        d, rank, m = self.sizes
        return f"inputs={d}, rank={rank}, outputs={m}, {self.layer!r}"


def _of(values: Tensor | None) -> Tensor:
    if values is None:
        raise AssertionError("a factor that is neither stored nor structured")
    return values


@build.register
def _(layer: FactorizedDense, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    return FactorizedLinear.planned(layer, shape, plan), Shape(shape.positions, plan.units(layer.width))


@sets_outputs.register
def _(layer: FactorizedDense) -> bool:
    return True
