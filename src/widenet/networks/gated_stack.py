"""Networks as functions of their weights, with gates that are given or their own: values, gradients, kernels."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Pass:
    """One forward pass.

    Attributes:
        signals: g_0, ..., g_L: what enters each layer and what leaves the last one, (n, units).
        gates: D_1, ..., D_L, (n, units).
        prediction: B g_L, (n, outputs).
    """

    signals: tuple[Tensor, ...]
    gates: tuple[Tensor, ...]
    prediction: Tensor


@dataclass(frozen=True, eq=False)
class GatedStack:
    """g_l = D_l W_l g_(l-1), f = B g_L on a fixed set of inputs, as a function of the weights W.

    Attributes:
        base: g_0, (n, units).
        gates: D_l of every layer, (n, units); None for ReLU: a unit's gate is open where its own value is above 0.
        output: B, (outputs, units).
    """

    base: Float[Tensor, "n units"]
    gates: tuple[Bool[Tensor, "n _"], ...] | None
    output: Float[Tensor, "outputs last"]

    def forward(self, weights: Sequence[Tensor]) -> Pass:
        """All signals and the prediction. Differentiable in the weights and in the base."""
        signals, gates = [self.base], []
        for number, weight in enumerate(weights):
            value = signals[-1] @ weight.T
            gates.append(value > 0 if self.gates is None else self.gates[number])
            signals.append(value * gates[-1])
        return Pass(tuple(signals), tuple(gates), signals[-1] @ self.output.T)

    def gradients(
        self, weights: Sequence[Tensor], passed: Pass, residuals: Float[Tensor, "n outputs"]
    ) -> tuple[Tensor, ...]:
        """J^T residuals: gradients of sum (residuals * f) in every weight matrix."""
        deltas = self._backward(weights, passed, residuals @ self.output)
        return tuple(delta.T @ signal for delta, signal in zip(deltas, passed.signals[:-1], strict=True))

    def descended(
        self, weights: Sequence[Tensor], passed: Pass, residuals: Float[Tensor, "n outputs"], step: float
    ) -> list[Tensor]:
        """New weights W - step gradient; no gradient is stored, which is as large as the weights themselves."""
        deltas = self._backward(weights, passed, residuals @ self.output)
        parts = zip(weights, deltas, passed.signals[:-1], strict=True)
        return [torch.addmm(weight, delta.T, signal, alpha=-step) for weight, delta, signal in parts]

    def change(self, weights: Sequence[Tensor], passed: Pass, directions: Sequence[Tensor]) -> Tensor:
        """J directions, (n, outputs): how the prediction moves with the weights, gates held."""
        total = torch.zeros_like(passed.signals[0])
        for number, direction in enumerate(directions):
            moved = passed.signals[number] @ direction.T
            if number:
                moved = moved + total @ weights[number].T
            total = moved * passed.gates[number]
        return total @ self.output.T

    def tangent_kernel(
        self, weights: Sequence[Tensor], passed: Pass, others: Pass | None = None
    ) -> Float[Tensor, "rows columns"]:
        """J J'^T by sum over l of (delta_l . delta_l') (g_(l-1) . g'_(l-1)): no Jacobian is stored.

        Args:
            weights: W_1, ..., W_L.
            passed: A pass over these inputs.
            others: A pass of a stack with the same output over other inputs; None for the same inputs.

        Returns:
            (n outputs, n' outputs), the outputs of an input beside each other.

        Cost:
            n outputs L m^2 + n n' outputs^2 L m for m units a layer.
        """
        outputs = len(self.output)
        rows = self._output_deltas(weights, passed)
        columns = rows if others is None else self._output_deltas(weights, others)
        total = 0
        for number in range(len(weights)):
            right = (passed if others is None else others).signals[number]
            products = (passed.signals[number] @ right.T).repeat_interleave(outputs, 0).repeat_interleave(outputs, 1)
            total = total + rows[number] @ columns[number].T * products
        return torch.as_tensor(total)

    def _output_deltas(self, weights: Sequence[Tensor], passed: Pass) -> list[Tensor]:
        """Gradients of every output in the values of every layer, (n outputs, units)."""
        outputs = len(self.output)
        gates = tuple(gate.repeat_interleave(outputs, 0) for gate in passed.gates)
        every = Pass(passed.signals, gates, passed.prediction)
        return self._backward(weights, every, self.output.repeat(len(passed.prediction), 1))

    def _backward(self, weights: Sequence[Tensor], passed: Pass, delta: Tensor) -> list[Tensor]:
        """Gradients in the values of every layer, from those in what leaves the last one."""
        found = []
        for number in reversed(range(len(weights))):
            delta = delta * passed.gates[number]
            found.append(delta)
            if number:
                delta = delta @ weights[number]
        return found[::-1]
