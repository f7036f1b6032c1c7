"""Networks with fixed gates as plain ReLU networks of twice the width, with a certificate."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Certificate:
    """How well a converted network agrees with the surrogate network.

    Attributes:
        largest_difference: Largest |F(x) - converted(x)| on the reference set.
        largest_value: Largest |F(x)| there.
        largest_offset: Largest C of a unit; rounding grows with it.
        units_without_offset: (layer, unit), layers from 0 as in the stack: units with u = 0 or so near to it that no
            finite C serves, and v > 0, on an input of the reference set. They are wrong there.
        violating_inputs: Share of the inputs of the validation set on which a unit breaks its condition; None without
            a validation set.
        violating_pairs: The same as a share of the pairs of input and unit.
    """

    largest_difference: float
    largest_value: float
    largest_offset: float
    units_without_offset: tuple[tuple[int, int], ...]
    violating_inputs: float | None
    violating_pairs: float | None


@dataclass(frozen=True, eq=False)
class Conversion:
    """A plain ReLU network and how well it agrees with its surrogate.

    Attributes:
        network: `nn.Sequential` of `nn.Linear` without bias and `nn.ReLU`.
        certificate: Its certificate.
    """

    network: nn.Sequential
    certificate: Certificate


def unit_offsets(gate_values: Tensor, values: Tensor, margin: float, floor: float) -> tuple[Tensor, list[int]]:
    """C of every unit of a layer, with which 1[u > 0] v = relu(C u + v) - C relu(u) on these inputs.

    That holds where C u + v has the sign of u: for all C where v / u >= 0, and for C > -v / u elsewhere. Hence
    C = (1 + margin) max over the inputs of max(0, -v / u), for each unit: one C for all of them would lose digits.

    Args:
        gate_values: u, (n, units).
        values: v, (n, units).
        margin: Relative distance to the smallest C.
        floor: Smallest C.

    Returns:
        C, (units,), and the units for which no finite C serves all inputs: u = 0 and v > 0, or nearly so.
    """
    ratios = torch.where(values == 0, 0.0, -values / gate_values).clamp_min(0)
    ratios = torch.where(gate_values == 0, torch.where(values > 0, torch.inf, 0.0), ratios).to(values.dtype)
    needed = (1 + margin) * ratios
    hopeless = ~torch.isfinite(needed)
    offsets = torch.where(hopeless, 0.0, needed).amax(0).clamp_min(floor)
    return offsets, hopeless.any(0).nonzero()[:, 0].tolist()


def violations(gate_values: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
    """Where relu(C u + v) - C relu(u) differs from 1[u > 0] v, (n, units)."""
    sums = offsets * gate_values + values
    return torch.where(gate_values > 0, sums < 0, sums > 0)


def converted_weights(
    gate_weights: Sequence[Tensor], value_weights: Sequence[Tensor], output: Tensor, offsets: Sequence[Tensor]
) -> list[Tensor]:
    """Matrices of the equivalent ReLU network, which carries [alpha; q] with g = alpha - C q.

    q is the gate path and alpha = relu(C u + v):

        first layer  [diag(C) Z + W; Z],
        layer l      [W, diag(C_l) Z - W diag(C_(l-1)); 0, Z],
        output       [B, -B diag(C_L)].

    Args:
        gate_weights: Z of every trained layer; layers before these stay as they are.
        value_weights: W of the same layers.
        output: B, (outputs, units).
        offsets: C of the same layers.
    """
    found: list[Tensor] = []
    for number, (Z, W, C) in enumerate(zip(gate_weights, value_weights, offsets, strict=True)):
        gated = C[:, None] * Z
        if number == 0:
            found.append(torch.cat([gated + W, Z]))
            continue
        upper = torch.cat([W, gated - W * offsets[number - 1]], 1)
        found.append(torch.cat([upper, torch.cat([torch.zeros_like(Z), Z], 1)]))
    return [*found, torch.cat([output, -output * offsets[-1]], 1)]
