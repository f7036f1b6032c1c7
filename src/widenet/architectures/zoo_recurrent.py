"""Recurrent networks of several layers, as the papers have them."""

from dataclasses import replace
from math import sqrt
from typing import Literal

from widenet._arrays import is_count
from widenet.architectures.base import Layer, serial
from widenet.architectures.layers import Dense
from widenet.architectures.recurrent import LastStep, Recurrent, StepwiseAverage
from widenet.architectures.spatial import GlobalAveragePool
from widenet.errors import InvalidArchitecture

Readout = Literal["last", "mean", "stepwise"]


def recurrent(
    layers: int = 1,
    cell: Recurrent = Recurrent(hidden_std=sqrt(2.0)),  # noqa: B008 (a frozen value)
    output_std: float = 1.0,
    readout: Readout = "last",
    frozen_layers: int = 0,
) -> Layer:
    """Recurrent network: equal recurrent layers, a readout over the steps, and a Dense layer without bias.

    The factors have the paper's names sigma_w = `cell.hidden_std`, sigma_u = `cell.input_std`,
    sigma_b = `cell.bias_std`, sigma_h = `cell.initial_std` and sigma_v = `output_std`.

    Args:
        layers: Number of recurrent layers L.
        cell: The layer; by default ReLU units with hidden_std sqrt(2), which weigh all steps alike.
        output_std: Factor of the weights of the output.
        readout: "last": the output reads the last step. "mean": the mean over the steps. "stepwise": every step by
            weights of its own, averaged; for sequences of one length.
        frozen_layers: How many recurrent layers, counted from the input, are not trained; with all of them frozen the
            NTK is the NNGP.

    Raises:
        InvalidArchitecture: On fewer than one layer, more frozen layers than layers, or an unknown readout.

    References: Alemohammad et al. 2021, arXiv 2006.10246; 2020, arXiv 2012.04859 ("mean" is their average pooling with
        one set of weights, "stepwise" with independent ones).

    Example:
        >>> recurrent(2, Recurrent(hidden_std=1.4, bias_std=0.1), readout="mean")
        Recurrent(hidden_std=1.4, bias_std=0.1) ** 2 >> GlobalAveragePool() >> Dense()
    """
    for name, count, least in (("layers", layers, 1), ("frozen_layers", frozen_layers, 0)):
        if not is_count(count, least):
            raise InvalidArchitecture(f"{name} must be a whole number, {least} or more", repr(count))
    if frozen_layers > layers:
        raise InvalidArchitecture(f"at most all {layers} recurrent layers can be frozen", str(frozen_layers))
    if not isinstance(cell, Recurrent):
        raise InvalidArchitecture("cell must be a Recurrent layer", repr(cell))
    readouts: dict[str, Layer] = {"last": LastStep(), "mean": GlobalAveragePool(), "stepwise": StepwiseAverage()}
    if readout not in readouts:
        raise InvalidArchitecture("readout must be 'last', 'mean' or 'stepwise'", repr(readout))
    stacks = [replace(cell, trainable=False) ** int(frozen_layers), cell ** (int(layers) - int(frozen_layers))]
    parts = [stack for stack, count in zip(stacks, (frozen_layers, layers - frozen_layers), strict=True) if count]
    over = [] if readout == "last" else [readouts[readout]]
    return serial(*parts, *over, Dense(output_std))
