"""Dense layers whose matrix is a product of two, one of which may stay as it was drawn."""

from dataclasses import dataclass
from typing import Literal

from widenet.architectures.base import Layer, set_finite
from widenet.errors import InvalidArchitecture

Trained = Literal["inner", "outer", "both", "none"]
Frozen = Literal["gaussian", "sign", "hadamard"]


@dataclass(frozen=True)
class FactorizedDense(Layer):
    """Fully connected layer of m units whose m x d matrix is U V / sqrt(rank), in the NTK parameterisation.

    h = weight_std / sqrt(fan_in rank) U V x + bias_std b, with U (m x rank) and V (rank x d) of entries of mean 0 and
    variance 1. "inner" trains V and leaves U as it was drawn: rank d trained numbers however wide the layer is. "outer"
    trains U behind a frozen projection V of its inputs, "both" trains both. A frozen factor may be structured, so that
    its product costs rows log(columns).

    The infinite-width kernel is that of two Dense layers without an activation between them, which is the limit of
    rank to infinity after the width; "inner" then has the kernel of Dense. A network of finite rank stays random as the
    width grows, by a standard deviation of order rank^(-1/2). Its mean is exactly this kernel in one hidden layer of a
    positively homogeneous activation that trains "inner", and differs from it by O(1 / rank) elsewhere.

    Args:
        rank: Number of units between the factors, or their share of the layer's units if below 1.
        train: Which factors are trained; biases are unless it is "none".
        frozen: How a frozen factor is drawn: N(0, 1), +-1, or stacked blocks of signs and Hadamard matrices.
        weight_std: Standard deviation of the product's entries before the division by sqrt(fan_in).
        bias_std: Factor of the bias, which starts as N(0, 1); 0 means no bias.
        fan_in_scaling: As of `Dense`.
        width: Relative width of the layer, as of `Dense`.

    Raises:
        InvalidArchitecture: On another rank, choice, or a number that is negative or not finite.

    References:
        Ailon and Shit 2022, arXiv 2210.04807, of which only the abstract was read: it names the factorisation and its
        use, not this form. The form, its variants and kernels are this library's reconstruction.

    Example:
        >>> FactorizedDense(64, frozen="hadamard")
        FactorizedDense(64, frozen='hadamard')
    """

    rank: int | float
    train: Trained = "inner"
    frozen: Frozen = "gaussian"
    weight_std: float = 1.0
    bias_std: float = 0.0
    fan_in_scaling: Literal["inverse", "none"] = "inverse"
    width: float = 1.0

    def __post_init__(self) -> None:
        set_finite(self, "weight_std", "bias_std", "width", minimum=0.0)
        whole = isinstance(self.rank, int) and not isinstance(self.rank, bool) and self.rank >= 1
        if not whole and not (isinstance(self.rank, float) and 0 < self.rank < 1):
            raise InvalidArchitecture(
                "FactorizedDense.rank must be a whole number from 1, or a share between 0 and 1", repr(self.rank)
            )
        if self.width == 0:
            raise InvalidArchitecture("FactorizedDense.width must be positive", "0")
        options = {"train": ("inner", "outer", "both", "none"), "frozen": ("gaussian", "sign", "hadamard")}
        options["fan_in_scaling"] = ("inverse", "none")
        for name, choices in options.items():
            if getattr(self, name) not in choices:
                listed = ", ".join(map(repr, choices))
                raise InvalidArchitecture(f"FactorizedDense.{name} must be one of {listed}", repr(getattr(self, name)))

    def __repr__(self) -> str:
        fields = list(self.__dataclass_fields__.items())[1:]
        shown = [f"{name}={getattr(self, name)!r}" for name, f in fields if getattr(self, name) != f.default]
        return f"FactorizedDense({', '.join([repr(self.rank), *shown])})"

    def units(self, outputs: int) -> int:
        """Number of units between the factors of a layer of so many outputs."""
        return self.rank if isinstance(self.rank, int) else max(1, round(self.rank * outputs))
