"""Tables and figures of the tensors of finite networks over the depth."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from widenet.architectures import Elementwise
from widenet.experiments.figures import COLOURS, figure_style, new_figure
from widenet.experiments.result_tables import Column, ResultTable
from widenet.experiments.tensor_ensembles import TENSORS, MeasuredTensors
from widenet.theory.finite_width import Ensemble, LayerTensors, fluctuations

TANH = Elementwise(torch.tanh)
ENSEMBLES: tuple[Ensemble, ...] = ("gaussian", "orthogonal")

Measured = Mapping[Ensemble, Sequence[MeasuredTensors]]


def predicted(ensemble: Ensemble, layers: int) -> tuple[LayerTensors, ...]:
    """Tensors of the layers of a critical tanh network: weight_std 1, no biases, input of mean square 1."""
    return fluctuations(TANH, max(layers - 1, 1), 1, ensemble).layers[:layers]


def recursion_table(layers: Sequence[int]) -> ResultTable:
    """The tensors of some layers by the recursion.

    Args:
        layers: Numbers of layers with weights.
    """
    columns = (Column("layer"), Column("weights"), Column("K", ".10f"), Column("NTK", ".10f"))
    columns += tuple(Column(name, ".8f") for name in TENSORS)
    rows = []
    for layer in layers:
        for ensemble in ENSEMBLES:
            t = predicted(ensemble, layer)[-1]
            rows.append((layer, ensemble, t.K, t.tangent, *(getattr(t, name) for name in TENSORS)))
    return ResultTable(
        "Tensors of tanh networks at the critical point, by the recursion",
        columns,
        tuple(rows),
        (
            "z: pre-activations, H: tangent kernel between units, i != j, n units in every layer; V = n (E[z_i² z_j²] "
            "/ K² - 1), D = n (E[z_i² H_jj] / (K E H) - 1), F = n E[z_i z_j H_ij] / (K E H), A = n (E[H_ii H_jj] / "
            "(E H)² - 1), B = n E[H_ij²] / (E H)², to leading order in 1 / n.",
            "Relative variance of one entry of the NTK: (A + 2 B) / n.",
        ),
    )


def monte_carlo_table(measured: Measured, layers: Sequence[int], n: int, draws: int) -> ResultTable:
    """Measured tensors beside the recursion.

    Args:
        measured: One entry a layer, by ensemble.
        layers: Layers to show.
        n: Width.
        draws: Networks of each ensemble.
    """
    columns = (Column("layer"), Column("weights"), Column("tensor"), Column("measured", ".4f"), Column("s.e.", ".4f"))
    columns += (Column("recursion", ".4f"), Column("difference x n", ".1f"))
    rows = []
    for layer in layers:
        for ensemble in ENSEMBLES:
            exact = predicted(ensemble, layer)[-1]
            for name in TENSORS:
                found, expected = getattr(measured[ensemble][layer - 1], name), getattr(exact, name)
                difference = n * (found.value - expected)
                rows.append((layer, ensemble, name, found.value, found.error, expected, difference))
    return ResultTable(
        f"Monte Carlo at width {n}",
        columns,
        tuple(rows),
        (
            f"{draws:,} networks of each kind. The recursion is the limit n -> infinity of these numbers; the last "
            "column is the correction of the next order, as far as it is above the error.",
        ),
    )


def tensor_figure(measured: Measured, layers: int, n: int) -> Figure:
    """V, F and B over the depth: lines from the recursion, points from networks.

    Args:
        measured: One entry a layer, by ensemble.
        layers: Last layer of the lines.
        n: Width of the networks.
    """
    with figure_style():
        figure = new_figure(9.0, 3.2)
        for axes, name in zip(figure.subplots(1, 3), ("V", "F", "B"), strict=True):
            for ensemble, colour, marker in zip(ENSEMBLES, ("vermilion", "blue"), ("s", "o"), strict=True):
                lines = predicted(ensemble, layers)
                axes.plot([t.layer for t in lines], [getattr(t, name) for t in lines], color=COLOURS[colour])
                points = measured[ensemble]
                values = np.array([getattr(t, name).value for t in points])
                errors = np.array([getattr(t, name).error for t in points])
                places = [t.layer for t in points]
                axes.errorbar(
                    places, values, errors, color=COLOURS[colour], marker=marker, linestyle="none", label=ensemble
                )
            axes.set_xscale("log")
            axes.set_yscale("symlog", linthresh=1.0)
            axes.set_xlabel("layer")
            axes.set_title({"V": "V: pre-activations", "F": "F: both", "B": "B: tangent kernel"}[name])
        figure.axes[0].legend(title=f"points: networks, n = {n}")
    return figure
