"""What dense and factorised wide layers cost: numbers stored, operations, bytes, and a proxy of energy."""

from dataclasses import dataclass
from math import log2

from widenet.architectures import Dense, FactorizedDense
from widenet.errors import InvalidInput
from widenet.networks.hadamard import block_size


@dataclass(frozen=True)
class Energy:
    """Constants of the energy proxy, which is no measurement: joules = flops * per_flop + weight bytes * per_byte.

    Attributes:
        per_flop: Joules an operation. The default is of the order of a server's processor core, and a guess.
        per_byte: Joules a byte of weights that is moved from memory. The default is a guess as well.
    """

    per_flop: float = 2e-11
    per_byte: float = 2e-10

    def __post_init__(self) -> None:
        if not (0 <= self.per_flop < float("inf") and 0 <= self.per_byte < float("inf")):
            raise InvalidInput("energies must be finite and not negative", f"{self.per_flop} and {self.per_byte}")

    def joules(self, flops: float, weight_bytes: float) -> float:
        """The proxy for so many operations and bytes."""
        return flops * self.per_flop + weight_bytes * self.per_byte


@dataclass(frozen=True)
class LayerCost:
    """Cost of a hidden layer of m units on d inputs, with a readout to one output.

    Attributes:
        layer: The layer.
        trainable: Trained numbers.
        frozen: Frozen numbers, one for each random sign of a structured factor.
        forward_flops: Operations of one point at inference.
        step_flops: Operations of one gradient step on n points, without those that are done once before training.
        weight_bytes: Bytes of all numbers.
    """

    layer: Dense | FactorizedDense
    trainable: int
    frozen: int
    forward_flops: int
    step_flops: int
    weight_bytes: int

    def step_energy(self, energy: Energy) -> float:
        """Energy proxy of a step: its operations, weights read forward and backward, trained ones written."""
        width = self.weight_bytes / (self.trainable + self.frozen)
        return energy.joules(self.step_flops, 2 * self.weight_bytes + width * self.trainable)


def layer_cost(layer: Dense | FactorizedDense, n: int, d: int, m: int, number_bytes: int = 4) -> LayerCost:
    """Cost of one hidden layer between d inputs and m units, with the readout of one output.

    A product with a p x q matrix is 2 p q operations, one with a structured m x p factor 3 m log2(P), with P the next
    power of two.

    Args:
        layer: Dense or factorised.
        n: Points of a full-batch step.
        d: Inputs.
        m: Units.
        number_bytes: Bytes of a number.

    Raises:
        InvalidInput: On sizes below 1.
    """
    if min(n, d, m, number_bytes) < 1:
        raise InvalidInput("sizes must be 1 or more", f"n={n}, d={d}, m={m}, {number_bytes} bytes")
    if isinstance(layer, Dense):
        numbers = m * d, m
        return LayerCost(layer, *numbers, 2 * m * d + 2 * m, n * (4 * m * d + 4 * m), number_bytes * sum(numbers))
    p = layer.units(m)
    inner = _product(layer, p, d, layer.train in ("inner", "both"))
    outer = _product(layer, m, p, layer.train in ("outer", "both"))
    trainable = sum(numbers for numbers, _, trained in (inner, outer) if trained)
    frozen = inner[0] + outer[0] - trainable + m
    if layer.train == "inner":
        step = 2 * (inner[1] + outer[1])  # V t and S t forward; S^T c and the gradient of V backward
    elif layer.train == "outer":
        step = 2 * outer[1]  # the frozen projection is computed once
    else:
        step = 2 * inner[1] + 3 * outer[1]
    forward = inner[1] + outer[1] + 2 * m
    return LayerCost(layer, trainable, frozen, forward, n * (step + 4 * m), number_bytes * (trainable + frozen))


def _product(layer: FactorizedDense, rows: int, columns: int, trained: bool) -> tuple[int, int, bool]:
    """Numbers stored and operations a point of one factor."""
    if trained or layer.frozen != "hadamard":
        return rows * columns, 2 * rows * columns, trained
    size = block_size(columns)
    padded = -(-rows // size) * size
    return 3 * padded, round(3 * padded * log2(size)), False


@dataclass(frozen=True)
class CostReport:
    """Costs of the dense layer and of the factorised ones at one rank.

    Attributes:
        n: Points.
        rows: Costs by name.
        energy: Constants of the energy proxy.
    """

    n: int
    rows: dict[str, LayerCost]
    energy: Energy

    def __str__(self) -> str:
        names = ("layer", 22), ("trained", 12), ("frozen", 12), ("flop/point", 12), ("flop/step", 10), ("bytes", 12)
        head = " ".join([*(f"{name:>{width}}" for name, width in names), f"{'J/step':>9}"])
        lines = [
            f"{name:>22} {cost.trainable:12,} {cost.frozen:12,} {cost.forward_flops:12,} {cost.step_flops:10.2e} "
            f"{cost.weight_bytes:12,} {cost.step_energy(self.energy):9.2e}"
            for name, cost in self.rows.items()
        ]
        return "\n".join([head, *lines])


def cost_report(n: int, d: int, m: int, p: int, energy: Energy | None = None) -> CostReport:
    """Trained and frozen numbers, operations, bytes and an energy proxy of dense and factorised layers.

    Args:
        n: Points of a full-batch step.
        d: Inputs.
        m: Hidden units.
        p: Rank.
        energy: Constants of the energy proxy, to be set by the reader.

    Raises:
        InvalidInput: On sizes below 1.

    References:
        Ailon and Shit 2022, arXiv 2210.04807, for the aim; the counts are this library's.

    Example:
        >>> report = cost_report(n=256, d=256, m=16384, p=64)
        >>> report.rows["dense"].trainable, report.rows["inner, hadamard"].trainable
        (4194304, 16384)
    """
    layers: dict[str, Dense | FactorizedDense] = {"dense": Dense()}
    layers |= {f"{train}, gaussian": FactorizedDense(p, train) for train in ("inner", "outer", "both")}
    layers |= {f"{train}, hadamard": FactorizedDense(p, train, "hadamard") for train in ("inner", "outer")}
    rows = {name: layer_cost(layer, n, d, m) for name, layer in layers.items()}
    return CostReport(n, rows, Energy() if energy is None else energy)
